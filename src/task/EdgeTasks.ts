/**
 * Which tasks this node has accepted by itself and the fleet does not have yet, those on their way among them. What it
 * knows of the next life is in the outbox and the local ledger; here it is in the order in which they were accepted.
 */
import { Deferred, Effect } from "effect"
import { hasLeft } from "./Adopting.ts"
import type { Outbox } from "./Outbox.ts"
import type { LedgerUnusable } from "./TaskError.ts"
import type { TaskLedger } from "./TaskLedger.ts"
import type { TaskRecord } from "./TaskRecord.ts"

export interface EdgeTasks {
  readonly has: (id: string) => boolean
  readonly count: () => number
  readonly ids: () => ReadonlyArray<string>
  readonly accepted: (ids: Iterable<string>) => void
  /** As it was when it left, if it is on its way. */
  readonly leaving: (id: string) => TaskRecord | undefined
  readonly left: (record: TaskRecord) => void
  /** The fleet cannot have it: it was on its way, and is this node's again. */
  readonly cameBack: (id: string) => Effect.Effect<void, LedgerUnusable>
  /** The fleet has it, or wants none of it. */
  readonly gave: (id: string) => Effect.Effect<void, LedgerUnusable>
  /** Completes when the fleet has it. */
  readonly given: (id: string) => Effect.Effect<void>
}

export const make = Effect.fnUntraced(function* (local: TaskLedger["Service"], outbox: Outbox) {
  const own = new Set<string>()
  const hasGone = (id: string) =>
    local.get(id).pipe(
      Effect.map(hasLeft),
      Effect.catchTag("TaskUnknown", () => Effect.succeed(true))
    )
  const away = new Map<string, TaskRecord>()
  const waiting = new Map<string, Deferred.Deferred<void>>()
  for (const record of yield* outbox.leaving()) {
    // It may have been begun before it could leave.
    if (yield* local.withdraw(record.id)) away.set(record.id, record)
    else yield* outbox.stays(record.id)
  }
  // What has not left is this node's still.
  for (const id of yield* outbox.leavingElsewhere()) if (!(yield* hasGone(id))) yield* outbox.stays(id)
  const there = yield* local.list({ limit: Number.MAX_SAFE_INTEGER })
  for (const record of [...there].reverse())
    if (away.has(record.id) || !(hasLeft(record) || outbox.isGiven(record.id))) own.add(record.id)
  const tasks: EdgeTasks = {
    has: (id) => own.has(id),
    count: () => own.size,
    ids: () => [...own],
    accepted: (ids) => {
      for (const id of ids) own.add(id)
    },
    leaving: (id) => away.get(id),
    left: (record) => void away.set(record.id, record),
    cameBack: (id) => Effect.map(outbox.stays(id), () => void away.delete(id)),
    gave: (id) =>
      Effect.map(outbox.gave(id), () => {
        own.delete(id)
        away.delete(id)
        const given = waiting.get(id)
        waiting.delete(id)
        if (given !== undefined) Deferred.doneUnsafe(given, Effect.void)
      }),
    given: (id) =>
      Effect.suspend(() => {
        if (!own.has(id)) return Effect.void
        const given = waiting.get(id) ?? Deferred.makeUnsafe<void>()
        waiting.set(id, given)
        return Deferred.await(given)
      })
  }
  return tasks
})
