/**
 * What a node that is cut off from its fleet keeps for it, in one SQLite file: how attempts at the fleet's tasks have
 * ended, which of the tasks that it accepted itself are on their way, and what has happened.
 *
 * Promises: what is kept as a report is on the disk when the answer comes, is read in the order in which it came, and stays
 * until it was delivered. Reports are as many as the node had attempts under way: nothing of the fleet is begun without
 * it. Of events there are at most so many; the oldest go, and they are counted. All of it is kept for one fleet, the one for
 * which it is open: what is another's, because this node has worked with that before, stays for it untouched.
 */
import { Effect, type Scope } from "effect"
import type { TaskResult } from "../domain/Task.ts"
import * as Database from "../state/Database.ts"
import { explain } from "../state/DatabaseError.ts"
import { APPLICATION_ID, FILE, MIGRATIONS } from "./OutboxSchema.ts"
import * as SqliteOutbox from "./SqliteOutbox.ts"
import { LedgerUnusable } from "./TaskError.ts"
import type { Asking, Parking, Remains, TaskRecord } from "./TaskRecord.ts"

export { FILE }

/** How an attempt has ended. */
export type Report =
  | { readonly kind: "complete" | "giveUp"; readonly result: TaskResult; readonly remains?: Remains | undefined }
  | { readonly kind: "park"; readonly why: Parking }
  | { readonly kind: "awaitPerson"; readonly why: Asking }

export interface Letter {
  readonly task: string
  readonly attempt: number
  readonly agent: string
  readonly report: Report
}
export interface Kept extends Letter {
  readonly seq: number
}

/** Something that has happened, under an id by which it is known. */
export interface Told {
  readonly id: string
  readonly event: unknown
}

export type Answer<A> = Effect.Effect<A, LedgerUnusable>

export interface Outbox {
  /** An attempt has one end: the same once more changes nothing. */
  readonly keep: (letter: Letter) => Answer<void>
  /** The first of them; `after` is the last that was read before. */
  readonly reports: (limit: number, after?: number) => Answer<ReadonlyArray<Kept>>
  readonly holds: (task: string) => boolean
  readonly delivered: (letter: Kept) => Answer<void>
  /** This task, as it stands here, is on its way to the fleet: whether it is there is to be found out. */
  readonly leave: (record: TaskRecord) => Answer<void>
  readonly leaving: () => Answer<ReadonlyArray<TaskRecord>>
  /** The same, to other fleets. */
  readonly leavingElsewhere: () => Answer<ReadonlyArray<string>>
  /** It has not left for whichever fleet. */
  readonly stays: (task: string) => Answer<void>
  /** The fleet has these tasks, as they were accepted by it. */
  readonly knows: (records: ReadonlyArray<TaskRecord>) => Answer<void>
  /** The fleet has this task, which was this node's. */
  readonly gave: (task: string) => Answer<void>
  readonly isKnown: (task: string) => boolean
  /** This fleet has it, or another one that this node has worked with. */
  readonly isGiven: (task: string) => boolean
  /** One that the fleet has, as it was when it was accepted. Undefined where that is not remembered. */
  readonly remembered: (task: string) => Answer<TaskRecord | undefined>
  /** Keeps an event, and answers with how many of the oldest had to go for it. */
  readonly tell: (told: Told) => Answer<number>
  readonly events: (limit: number) => Answer<ReadonlyArray<Told & { readonly seq: number }>>
  /** All up to this one. */
  readonly told: (seq: number) => Answer<void>
  /** Events that had to go since the last time that somebody was told of it. */
  readonly lost: () => Answer<number>
  readonly lossTold: (events: number) => Answer<void>
  readonly counts: () => { readonly reports: number; readonly events: number }
  /** What is kept for other fleets. */
  readonly elsewhere: () => Answer<ReadonlyArray<KeptFor>>
}

/** Of a fleet that this node has worked with before. */
export interface KeptFor {
  readonly fleet: string
  readonly reports: number
  /** On their way there. */
  readonly tasks: number
  readonly events: number
}

export interface OutboxOptions {
  /** For which all is kept, by a name that no other fleet has. */
  readonly fleet: string
  /** At most so many. */
  readonly events: number
}

export const open = (file: string, bounds: OutboxOptions): Effect.Effect<Outbox, LedgerUnusable, Scope.Scope> =>
  Database.open({ file, applicationId: APPLICATION_ID, migrations: MIGRATIONS }).pipe(
    Effect.mapError(({ detail, file, problem }) => new LedgerUnusable({ where: file, problem, detail })),
    Effect.flatMap((database) =>
      Effect.try({
        try: () => SqliteOutbox.make(database, bounds),
        catch: (error) => {
          const { detail, file, problem } = explain(database.file, error)
          return new LedgerUnusable({ where: file, problem, detail })
        }
      })
    )
  )
