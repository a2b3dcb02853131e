/**
 * What a home of the ledger must be able to keep. It keeps and finds; what may follow what is decided in Ledger.ts, once
 * for all homes. Every method is synchronous and may throw; `unusable` says what was thrown.
 */
import type { Effect } from "effect"
import type { TaskState } from "../domain/Task.ts"
import type { Moved } from "./Move.ts"
import type { LedgerUnusable } from "./TaskError.ts"
import type { AttemptRecord, TaskFilter, TaskRecord } from "./TaskRecord.ts"

/** How much of what has ended is kept. */
export interface Kept {
  readonly tasks: number
  /** Characters of their results. */
  readonly text: number
  /** Dead letters, which count apart: what has ended well does not drive them out. */
  readonly dead: number
}

export const KEPT: Kept = { tasks: 10_000, dead: 10_000, text: 1024 * 1024 * 1024 }

export interface LedgerStore {
  /** All or nothing; where `durable`, nothing that befalls the machine undoes it afterwards. */
  transact<A>(durable: boolean, work: () => A): A
  unusable(error: unknown): LedgerUnusable
  get(id: string): TaskRecord | undefined
  /** Cheaper than to get it. */
  has(id: string): boolean
  /** Where it is queued, behind what has come before it or is higher; see Turn.ts. */
  insert(record: TaskRecord, now: number): void
  /** Everything but its content may have changed. What comes to be queued comes now. */
  update(record: TaskRecord, from: TaskState, now: number): void
  /** It waits for the ends of these. */
  wait(id: string, on: ReadonlyArray<string>): void
  /** It waits for this one no longer, or for none. For how many does it still? */
  unwait(id: string, on?: string): number
  /** Who waits for its end, in the order in which they were accepted. */
  waiters(on: string): ReadonlyArray<string>
  /** The same number again is the same attempt. */
  writeAttempt(id: string, attempt: AttemptRecord): void
  attempt(id: string, attempt: number): AttemptRecord | undefined
  /** The latest attempts, first to last. */
  history(id: string): ReadonlyArray<AttemptRecord>
  heads(passOver: ReadonlyArray<string>): ReadonlyArray<TaskRecord>
  interrupted(ids: ReadonlyArray<string>): ReadonlyArray<TaskRecord>
  list(filter: TaskFilter): ReadonlyArray<TaskRecord>
  /** Running without a lease. */
  unleased(): ReadonlyArray<TaskRecord>
  /** Of which a date has come (`nextDate`); at most `limit`, the earliest first. */
  due(now: number, limit: number): ReadonlyArray<TaskRecord>
  /** When the next will be due. */
  nextDue(): number | undefined
  /** The clock was set back: what is parked after an attempt that has ended only in the future waits as long as it was to, from now. */
  setBack(now: number): void
  /** Those of a series that have not ended, in the order in which they were accepted. */
  openOf(series: string): ReadonlyArray<TaskRecord>
  /** How many have not ended. */
  open(): number
  /** Drops the oldest ended tasks over the bounds, and the oldest dead letters over theirs, but never the last of either. */
  forget(kept: Kept): void
  /** Only of a home that others write to as well, over a network. */
  readonly shared?: Shared
}

/** What is known of it here may be behind; what is written is not. */
export interface Shared {
  /** What this one is called among those who write to it. */
  readonly node: string
  /**
   * In place of `transact`: runs the work on what is known here, as often as others have been faster, each time as if it
   * had not been run before, until what it has written is kept: all or nothing. Fails with what it has thrown, or with
   * what `unusable` understands.
   */
  transact<A>(work: () => A): Effect.Effect<A, unknown>
  /** What is known here is what was there when this was begun. Where that cannot be asked, it stays as it was. */
  readonly refresh: Effect.Effect<void>
  /** False while nothing can be written. */
  reachable(): boolean
  /** Told of each move that was not made by `transact`. */
  listen(heard: (moved: Moved) => void): void
}
