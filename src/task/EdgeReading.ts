/**
 * What a node at the edge knows of tasks that may be at either of two places: its own ledger, and the fleet's.
 *
 * Promises: a task is answered from the place where it is, on its way as it was when it left; where only the fleet could
 * say it, and cannot be asked, that is said, and never that there is no such task; whoever waits for an end waits for the
 * fleet, too.
 */
import { Effect } from "effect"
import { hasLeft } from "./Adopting.ts"
import { type EdgeReach, isLost } from "./EdgeReach.ts"
import type { EdgeTasks } from "./EdgeTasks.ts"
import { DEFAULT_LIMIT } from "./MemoryStore.ts"
import type { Outbox } from "./Outbox.ts"
import { type LedgerUnusable, TaskUnknown } from "./TaskError.ts"
import type { TaskLedger } from "./TaskLedger.ts"
import { begun, type TaskFilter, type TaskRecord } from "./TaskRecord.ts"
import { priorityOf } from "./Turn.ts"

type Ledger = TaskLedger["Service"]
export type EdgeReading = Pick<Ledger, "get" | "history" | "list" | "openOf" | "heads" | "interrupted" | "result">

export interface EdgeReadingOptions {
  readonly local: Ledger
  readonly outbox: Outbox
  readonly reach: EdgeReach
  readonly tasks: EdgeTasks
  /** This node performs its own tasks while it is cut off. */
  readonly accepts: boolean
}

/** What was begun before first, then by priority and first come. */
const byTurn = (one: TaskRecord, other: TaskRecord): number =>
  Number(begun(other) > 0) - Number(begun(one) > 0) ||
  priorityOf(other.spec) - priorityOf(one.spec) ||
  one.submittedAt - other.submittedAt

export const make = ({ accepts, local, outbox, reach, tasks }: EdgeReadingOptions): EdgeReading => {
  /** What is known of a task where the fleet does not say it. */
  const known = <A>(
    id: string,
    question: (ledger: Ledger) => Effect.Effect<A, TaskUnknown | LedgerUnusable>
  ): Effect.Effect<A, TaskUnknown | LedgerUnusable> => {
    const remembered = Effect.flatMap(
      local.get(id),
      (record): Effect.Effect<A, TaskUnknown | LedgerUnusable> =>
        hasLeft(record) ? Effect.fail(new TaskUnknown({ task: id })) : question(local)
    )
    return Effect.suspend(() => {
      const fleet = reach.fleet()
      const first = fleet === undefined ? Effect.fail(new TaskUnknown({ task: id })) : question(fleet.ledger)
      return first.pipe(
        Effect.catchTag("TaskUnknown", () => remembered),
        // It may well be there.
        Effect.catchTag("TaskUnknown", (error) =>
          Effect.fail(reach.there() === undefined && outbox.isKnown(id) ? reach.unreachable() : error)
        )
      )
    })
  }

  const result = (id: string): ReturnType<Ledger["result"]> =>
    Effect.suspend(() => {
      const again = Effect.suspend(() => result(id))
      if (!tasks.has(id))
        return Effect.catchIf(
          known(id, (ledger) => ledger.result(id)),
          isLost,
          // Whoever waits for an end waits for the fleet, too.
          (error) => (reach.there() === undefined ? Effect.andThen(reach.found, again) : Effect.fail(error))
        )
      if (tasks.leaving(id) !== undefined) return Effect.andThen(tasks.given(id), again)
      return Effect.raceFirst(local.result(id), Effect.andThen(tasks.given(id), again))
    })

  /** Those of both places. */
  const both = <A>(question: (ledger: Ledger) => Effect.Effect<ReadonlyArray<A>, LedgerUnusable>) =>
    Effect.suspend(() => {
      const fleet = reach.fleet()
      if (fleet === undefined) return question(local)
      return Effect.zipWith(question(local), question(fleet.ledger), (here, fleets) => [...here, ...fleets])
    })

  /** Those that may be begun now. */
  const startable = (question: (ledger: Ledger) => Effect.Effect<ReadonlyArray<TaskRecord>, LedgerUnusable>) =>
    Effect.suspend(() => {
      // The next of a series is accepted as the one before it ends.
      const here = Effect.tap(question(local), (records) =>
        Effect.sync(() => tasks.accepted(records.map(({ id }) => id)))
      )
      if (reach.there() === undefined) return accepts ? here : Effect.succeed([])
      const fleets = reach.ask(question)
      if (tasks.count() === 0) return fleets
      return Effect.zipWith(here, fleets, (own, others) => [...own, ...others].sort(byTurn))
    })

  return {
    get: (id) =>
      Effect.suspend(() => {
        const away = tasks.leaving(id)
        if (away !== undefined) return Effect.succeed(away)
        return tasks.has(id) ? local.get(id) : known(id, (ledger) => ledger.get(id))
      }),
    history: (id) =>
      Effect.suspend(() => (tasks.has(id) ? local.history(id) : known(id, (ledger) => ledger.history(id)))),
    list: (filter: TaskFilter = {}) =>
      Effect.suspend(() => {
        const fleet = reach.fleet()
        if (fleet !== undefined && tasks.count() === 0) return fleet.ledger.list(filter)
        const { limit = DEFAULT_LIMIT } = filter
        const isOurs = (record: TaskRecord) =>
          !hasLeft(record) && (fleet === undefined || tasks.has(record.id) || !outbox.isKnown(record.id))
        return Effect.map(
          Effect.zip(local.list(filter), fleet === undefined ? Effect.succeed([]) : fleet.ledger.list(filter)),
          ([here, fleets]) => {
            const ours = here.filter(isOurs)
            if (fleets.length === 0) return ours
            const ids = new Set(ours.map(({ id }) => id))
            return [...ours, ...fleets.filter(({ id }) => !ids.has(id))]
              .sort((one, other) => other.submittedAt - one.submittedAt)
              .slice(0, limit)
          }
        )
      }),
    openOf: (series) => both((ledger) => ledger.openOf(series)),
    heads: (passOver) => startable((ledger) => ledger.heads(passOver)),
    interrupted: (ids) => startable((ledger) => ledger.interrupted(ids)),
    result
  }
}
