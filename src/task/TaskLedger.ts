/**
 * What is to be done, what is being done and how it ended. The one owner of a task's state: everybody else asks.
 *
 * Promises: a legal move or a typed refusal, never a silent one; every report names its attempt, and a superseded
 * attempt is refused (fenced); waiting tasks are bounded, and so is the memory of ended ones. This home keeps all in
 * memory and forgets it with the process. Deciding who performs a task is left to the Dispatcher.
 */
import { Clock, Context, Deferred, Effect, Exit, Layer, PubSub, type Scope, Stream } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import type { FaultReport } from "../domain/Fault.ts"
import { isFinal, moves, noUsage, type TaskResult, type TaskState, type TaskUsage } from "../domain/Task.ts"
import { EventBus } from "../event/EventBus.ts"
import { AttemptSuperseded, LedgerFull, TaskConflict, TaskUnknown } from "./TaskError.ts"
import type { TaskSpec } from "./TaskSpec.ts"

export interface TaskRecord {
  readonly id: string
  readonly spec: TaskSpec
  readonly state: TaskState
  /** How often it has been claimed; the number of the attempt that holds it. */
  readonly attempt: number
  /** Who holds it, or held it last. */
  readonly agent: string | undefined
  readonly submittedAt: number
  /** When its first attempt began. */
  readonly startedAt: number | undefined
  /** When a parked task may run again, milliseconds since the epoch. */
  readonly dueAt: number | undefined
  readonly lastFault: FaultReport | undefined
  /** Over all attempts. */
  readonly usage: TaskUsage
  readonly result: TaskResult | undefined
}

/** Tasks that are not ended, at most. */
export const MAX_OPEN = 100_000
/** Ended tasks that are remembered, at most. */
export const MAX_ENDED = 10_000
/** Characters of their results that are remembered, at most: an answer may be long. */
export const MAX_ENDED_TEXT = 64 * 1024 * 1024

export class TaskLedger extends Context.Service<
  TaskLedger,
  {
    /** Accepts a task. The same id with the same content is answered with what is there. */
    submit(spec: TaskSpec): Effect.Effect<TaskRecord, TaskConflict | LedgerFull>
    /** queued → running, as the next attempt. */
    claim(id: string, agent: string): Effect.Effect<TaskRecord, TaskUnknown | AttemptSuperseded>
    /** running → succeeded or failed. */
    complete(id: string, attempt: number, result: TaskResult): Effect.Effect<void, TaskUnknown | AttemptSuperseded>
    /** running → parked until it is due, and then queued again. */
    park(id: string, attempt: number, why: Parking): Effect.Effect<void, TaskUnknown | AttemptSuperseded>
    get(id: string): Effect.Effect<TaskRecord, TaskUnknown>
    /** What waits to be claimed, first come first. */
    readonly queued: Effect.Effect<ReadonlyArray<TaskRecord>>
    readonly list: Effect.Effect<ReadonlyArray<TaskRecord>>
    /** Waits for the end of a task. */
    result(id: string): Effect.Effect<TaskResult, TaskUnknown>
    /** Says that something has changed, at least once for any number of changes. Live once the Effect completes. */
    readonly changes: Effect.Effect<Stream.Stream<void>, never, Scope.Scope>
  }
>()("mister-smith/task/TaskLedger") {
  static readonly layerMemory = Layer.effect(
    this,
    Effect.suspend(() => makeMemory)
  )
}

export interface Parking {
  readonly until: number
  readonly fault: FaultReport
  readonly usage: TaskUsage
}

interface Entry {
  record: TaskRecord
  readonly ended: Deferred.Deferred<TaskResult>
}

const makeMemory = Effect.gen(function* () {
  const bus = yield* EventBus
  const random = yield* SecureRandom
  const scope = yield* Effect.scope
  const changed = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)
  const entries = new Map<string, Entry>()
  /** Those of `entries` that wait to be claimed, first come first. */
  const queue = new Map<string, Entry>()
  let open = 0
  /** Characters of the results of ended tasks. */
  let ended = 0

  const find = (id: string) =>
    Effect.suspend(() => {
      const entry = entries.get(id)
      return entry === undefined ? Effect.fail(new TaskUnknown({ task: id })) : Effect.succeed(entry)
    })

  /** The only place where a state changes. */
  const move = Effect.fnUntraced(function* (entry: Entry, to: TaskState, change: Partial<TaskRecord>) {
    const { attempt, id, state: from } = entry.record
    if (!moves[from].includes(to)) {
      return yield* new AttemptSuperseded({ task: id, attempt: change.attempt ?? attempt, current: attempt })
    }
    const record: TaskRecord = { ...entry.record, ...change, state: to }
    entry.record = record
    if (from === "queued") queue.delete(id)
    if (to === "queued") queue.set(id, entry)
    if (isFinal(to)) {
      open--
      ended += record.result?.text.length ?? 0
      forget()
    }
    yield* bus.publish({
      type: "task.state",
      task: id,
      from,
      to,
      attempt: record.attempt,
      agent: record.agent,
      reason: to === "parked" || to === "failed" ? record.lastFault : undefined,
      dueAt: to === "parked" ? record.dueAt : undefined
    })
    yield* PubSub.publish(changed, undefined)
    return record
  })

  /** Drops the oldest ended tasks over the bounds, but never the last. Maps keep the order of insertion. */
  const forget = () => {
    for (const [id, { record }] of entries) {
      const remembered = entries.size - open
      if (remembered <= 1 || (remembered <= MAX_ENDED && ended <= MAX_ENDED_TEXT)) return
      if (!isFinal(record.state)) continue
      entries.delete(id)
      ended -= record.result?.text.length ?? 0
    }
  }

  /** The entry, if this attempt holds it. */
  const held = Effect.fnUntraced(function* (id: string, attempt: number) {
    const entry = yield* find(id)
    return entry.record.attempt === attempt && entry.record.state === "running"
      ? entry
      : yield* new AttemptSuperseded({ task: id, attempt, current: entry.record.attempt })
  })

  const wake = Effect.fnUntraced(function* (entry: Entry, attempt: number, until: number) {
    yield* Effect.sleep(Math.max(0, until - (yield* Clock.currentTimeMillis)))
    if (entry.record.state === "parked" && entry.record.attempt === attempt) {
      yield* Effect.ignore(move(entry, "queued", { dueAt: undefined }))
    }
  })

  return TaskLedger.of({
    submit: Effect.fn("TaskLedger.submit")(function* (spec) {
      const id = spec.id ?? (yield* random.uuidV7())
      const known = entries.get(id)
      if (known !== undefined) {
        return sameContent(known.record.spec, spec) ? known.record : yield* new TaskConflict({ task: id })
      }
      if (open >= MAX_OPEN) return yield* new LedgerFull({ limit: MAX_OPEN })
      const record: TaskRecord = {
        id,
        spec,
        state: "queued",
        attempt: 0,
        agent: undefined,
        submittedAt: yield* Clock.currentTimeMillis,
        startedAt: undefined,
        dueAt: undefined,
        lastFault: undefined,
        usage: noUsage,
        result: undefined
      }
      const entry: Entry = { record, ended: Deferred.makeUnsafe() }
      entries.set(id, entry)
      queue.set(id, entry)
      open++
      yield* bus.publish({
        type: "task.state",
        task: id,
        from: undefined,
        to: "queued",
        attempt: 0,
        agent: undefined,
        reason: undefined,
        dueAt: undefined
      })
      yield* PubSub.publish(changed, undefined)
      return record
    }),
    claim: Effect.fn("TaskLedger.claim")(function* (id, agent) {
      const entry = yield* find(id)
      const { attempt, startedAt } = entry.record
      return yield* move(entry, "running", {
        agent,
        attempt: attempt + 1,
        startedAt: startedAt ?? (yield* Clock.currentTimeMillis)
      })
    }),
    complete: Effect.fn("TaskLedger.complete")(function* (id, attempt, result) {
      const entry = yield* held(id, attempt)
      yield* move(entry, result.status, { result, usage: result.usage, lastFault: result.fault })
      Deferred.doneUnsafe(entry.ended, Exit.succeed(result))
    }),
    park: Effect.fn("TaskLedger.park")(function* (id, attempt, { fault, until, usage }) {
      const entry = yield* held(id, attempt)
      yield* move(entry, "parked", { dueAt: until, lastFault: fault, usage })
      yield* Effect.forkIn(wake(entry, attempt, until), scope)
    }),
    get: (id) => Effect.map(find(id), ({ record }) => record),
    queued: Effect.sync(() => [...queue.values()].map(({ record }) => record)),
    list: Effect.sync(() => [...entries.values()].map(({ record }) => record)),
    result: (id) => Effect.flatMap(find(id), ({ ended }) => Deferred.await(ended)),
    changes: Effect.map(PubSub.subscribe(changed), Stream.fromSubscription)
  })
})

const sameContent = (a: TaskSpec, b: TaskSpec) =>
  a.type === b.type &&
  a.prompt === b.prompt &&
  a.agent === b.agent &&
  JSON.stringify(a.schema) === JSON.stringify(b.schema)
