/**
 * What is to be done, what is being done and how it ended. The one owner of a task's state: everybody else asks.
 *
 * Promises: a task is accepted once and finished once; a legal move or a typed refusal, never a silent one; every report
 * names its attempt, and a superseded attempt is refused (fenced); waiting tasks are bounded, and so is what is kept of
 * ended ones. Whoever has an answer may rely on it as far as the home goes: this one, in memory, forgets all with the
 * process; SqliteLedger.ts keeps it. Deciding who performs a task is left to the Dispatcher.
 */
import { Context, type Effect, Layer, type Scope, type Stream } from "effect"
import type { TaskResult } from "../domain/Task.ts"
import type { Adoptee } from "./Adopting.ts"
import type { Here } from "./Here.ts"
import * as Ledger from "./Ledger.ts"
import type { Kept } from "./LedgerStore.ts"
import { MemoryStore } from "./MemoryStore.ts"
import type {
  AttemptSuperseded,
  LedgerFull,
  LedgerUnusable,
  TaskConflict,
  TaskEnded,
  TaskInvalid,
  TaskNotDead,
  TaskNotWaiting,
  TaskUnknown
} from "./TaskError.ts"
import type { Asking, AttemptRecord, Parking, Remains, TaskFilter, TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"

export type { AttemptRecord, Parking, Remains, TaskFilter, TaskRecord } from "./TaskRecord.ts"

/** Why a report about a task is not taken. */
export type Refused = TaskUnknown | AttemptSuperseded | LedgerUnusable

/** Memory is dearer than a disk. */
const KEPT_IN_MEMORY: Kept = { tasks: 10_000, dead: 10_000, text: 64 * 1024 * 1024 }

export interface SubmitOptions {
  /** Whatever was asked for before and has failed or was cancelled is to be done once more. Default false. */
  readonly again?: boolean
  /** With `again`: also what was given up because it was broken off too often. Default true. */
  readonly brokenOff?: boolean
}

export class TaskLedger extends Context.Service<
  TaskLedger,
  {
    /** Accepts a task. The same id with the same content is answered with what is there. */
    submit(
      spec: TaskSpec,
      options?: SubmitOptions
    ): Effect.Effect<TaskRecord, TaskConflict | TaskInvalid | LedgerFull | LedgerUnusable>
    /** Accepts all of them or none. What they wait for must be there or among them, without a circle. */
    submitAll(
      specs: ReadonlyArray<TaskSpec>,
      options?: SubmitOptions
    ): Effect.Effect<ReadonlyArray<TaskRecord>, TaskConflict | TaskInvalid | LedgerFull | LedgerUnusable>
    /**
     * queued → running, as the next attempt. With a lease, in milliseconds, the task is queued again where neither a
     * report nor a `renew` comes within it; without one it is held until `recover`.
     */
    claim(id: string, agent: string, lease?: number): Effect.Effect<TaskRecord, Refused>
    /** The attempt is alive: its lease is so long from now on. */
    renew(id: string, attempt: number, lease: number): Effect.Effect<void, Refused>
    /** running → succeeded or failed. `remains` is what an attempt that has failed leaves in its story. */
    complete(id: string, attempt: number, result: TaskResult, remains?: Remains): Effect.Effect<void, Refused>
    /** running → dead: another attempt might have cured it, and there will be none. */
    giveUp(id: string, attempt: number, result: TaskResult, remains?: Remains): Effect.Effect<void, Refused>
    /** running → parked until it is due, and then queued again; queued at once where that is now; dead where it was broken off too often. */
    park(id: string, attempt: number, why: Parking): Effect.Effect<void, Refused>
    /**
     * running → waiting, for a person, as long as that takes; its `timeouts.whole` runs on. Uses up no try, as the attempt
     * that goes on is the same work.
     */
    awaitPerson(id: string, attempt: number, why: Asking): Effect.Effect<void, Refused>
    /** waiting → queued, before what was not begun yet. The first answer counts; to a second it is refused. */
    answered(id: string): Effect.Effect<TaskRecord, TaskUnknown | TaskNotWaiting | LedgerUnusable>
    /** Ends a task that has not ended; an attempt under way is superseded by it. */
    cancel(id: string, why: string): Effect.Effect<TaskRecord, TaskUnknown | TaskEnded | LedgerUnusable>
    /**
     * Takes a task over from another ledger, as it stands there: one that was not begun, or one that has ended, with its
     * end. Nothing is told of it here, and the same once more changes nothing. What is there and was begun, or has ended
     * otherwise, is not touched: AttemptSuperseded.
     */
    adopt(task: Adoptee): Effect.Effect<TaskRecord, TaskConflict | AttemptSuperseded | LedgerUnusable>
    /** Lets a task go to another ledger, where nobody has begun it: it is not given out here any more. False where it stays. */
    withdraw(id: string): Effect.Effect<boolean, LedgerUnusable>
    /** A dead letter goes back to the queue, with a new life; its story is kept. */
    replay(
      id: string
    ): Effect.Effect<TaskRecord, TaskUnknown | TaskNotDead | TaskConflict | TaskInvalid | LedgerFull | LedgerUnusable>
    /** dead → cancelled: it need not be kept as a dead letter, and is forgotten in its turn as others are. */
    drop(id: string): Effect.Effect<TaskRecord, TaskUnknown | TaskNotDead | LedgerUnusable>
    /**
     * For whoever gives out the tasks, before it gives out any: what an earlier life of it had running, without a lease,
     * is queued again, or given up where that has happened too often. Answers with these.
     */
    readonly recover: Effect.Effect<ReadonlyArray<TaskRecord>, LedgerUnusable>
    get(id: string): Effect.Effect<TaskRecord, TaskUnknown | LedgerUnusable>
    /** Those of a series that have not ended, in the order in which they were accepted. */
    openOf(series: string): Effect.Effect<ReadonlyArray<TaskRecord>, LedgerUnusable>
    /** Its latest attempts, first to last. */
    history(id: string): Effect.Effect<ReadonlyArray<AttemptRecord>, TaskUnknown | LedgerUnusable>
    /** The latest submitted first. */
    list(filter?: TaskFilter): Effect.Effect<ReadonlyArray<TaskRecord>, LedgerUnusable>
    /**
     * The first queued task of each lane, which is one type for one agent or for any with the same requirements: who may take
     * the first may take all of the lane. First what was begun before, then by priority and first come (Turn.ts). Of what was begun before, those named are passed over.
     */
    heads(passOver?: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<TaskRecord>, LedgerUnusable>
    /** Those of the named that are queued and were begun before, first come first. */
    interrupted(ids: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<TaskRecord>, LedgerUnusable>
    /** Waits for the end of a task. */
    result(id: string): Effect.Effect<TaskResult, TaskUnknown | LedgerUnusable>
    /** Completes when this attempt does not hold the task, or no longer. */
    released(id: string, attempt: number): Effect.Effect<void>
    /** Says that something has changed, at least once for any number of changes. Live once the Effect completes. */
    readonly changes: Effect.Effect<Stream.Stream<void>, never, Scope.Scope>
    /** This node among those that share the ledger. None: it is nobody's but this process's, which has no name. */
    readonly here?: Here
  }
>()("mister-smith/task/TaskLedger") {
  static readonly layerMemory = Layer.effect(
    this,
    Ledger.make(() => new MemoryStore(), KEPT_IN_MEMORY)
  )
}
