/**
 * Where a node at the edge submits what it is given: with the fleet, as long as that is there, or by itself.
 *
 * Promises: what the fleet has is never accepted here a second time; what waits for a task of this node stays with it; what
 * cannot be answered without the fleet is refused. Tasks of one call may so come to stand at two places: each is answered
 * in its order.
 */
import { Effect } from "effect"
import { isFinal } from "../domain/Task.ts"
import { hasLeft } from "./Adopting.ts"
import { edgesOf } from "./After.ts"
import { sameContent } from "./Content.ts"
import type { EdgeReach } from "./EdgeReach.ts"
import type { EdgeTasks } from "./EdgeTasks.ts"
import type { Outbox } from "./Outbox.ts"
import { LedgerFull, TaskConflict } from "./TaskError.ts"
import type { SubmitOptions, TaskLedger } from "./TaskLedger.ts"
import type { TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"

type Ledger = TaskLedger["Service"]

export interface EdgeSubmitOptions {
  readonly local: Ledger
  readonly outbox: Outbox
  readonly reach: EdgeReach
  readonly tasks: EdgeTasks
  /** This node accepts tasks while it is cut off. */
  readonly accepts: boolean
  /** Tasks of this node that may wait for the fleet. */
  readonly bound: number
  /** What is known of a task at whichever place. */
  readonly get: Ledger["get"]
}

export const make = ({ accepts, bound, get, local, outbox, reach, tasks }: EdgeSubmitOptions): Ledger["submitAll"] => {
  /** A task that the fleet has, as far as it is known without it. */
  const accepted = Effect.fnUntraced(function* (spec: TaskSpec, again: boolean) {
    const id = String(spec.id)
    const record = yield* Effect.catchTag(get(id), ["TaskUnknown", "LedgerUnusable"], () => outbox.remembered(id))
    if (record === undefined) return yield* reach.unreachable()
    if (!sameContent(record.spec, spec)) return yield* new TaskConflict({ task: id })
    // What is to be done once more is the fleet's to say.
    if (again && isFinal(record.state) && record.state !== "succeeded") return yield* reach.unreachable()
    return record
  })

  const hasGone = ({ id }: TaskSpec) =>
    id === undefined || tasks.has(id)
      ? Effect.succeed(false)
      : Effect.orElseSucceed(Effect.map(local.get(id), hasLeft), () => false)

  const here = Effect.fnUntraced(function* (specs: ReadonlyArray<TaskSpec>, options?: SubmitOptions) {
    const added = specs.filter(({ id }) => id === undefined || !tasks.has(id)).length
    if (added > 0 && tasks.count() + added > bound) return yield* new LedgerFull({ limit: bound })
    // What has left for another fleet is nothing to this one.
    const gone = new Set(yield* Effect.filter(specs, hasGone))
    const records = yield* apart(
      specs,
      gone,
      (some) => local.submitAll(some, { ...options, again: true }),
      (rest) => local.submitAll(rest, options)
    )
    tasks.accepted(records.map(({ id }) => id))
    return records
  }, Effect.uninterruptible)

  return Effect.fn("EdgeLedger.submitAll")(function* (specs, options) {
    const named = specs.flatMap(({ id }) => id ?? [])
    const fleets = () => new Set(specs.filter(({ id }) => id !== undefined && !tasks.has(id) && outbox.isKnown(id)))
    // What is done here, and what waits for it, stays together.
    if (named.some(tasks.has) || specs.some((spec) => [...edgesOf(spec).keys()].some(tasks.has))) {
      if (named.some((id) => tasks.leaving(id) !== undefined)) return yield* reach.unreachable()
      return yield* apart(
        specs,
        fleets(),
        (some) => reach.ask((ledger) => ledger.submitAll(some, options)),
        (rest) => here(rest, options)
      )
    }
    if (reach.there() === undefined) {
      if (!accepts) return yield* reach.unreachable()
      // What the fleet has must not be done twice.
      return yield* apart(
        specs,
        fleets(),
        (some) => Effect.forEach(some, (spec) => accepted(spec, options?.again === true)),
        (rest) => here(rest, options)
      )
    }
    const records = yield* reach.ask((ledger) => ledger.submitAll(specs, options))
    yield* outbox.knows(records)
    return records
  })
}

type Submits<E> = (specs: ReadonlyArray<TaskSpec>) => Effect.Effect<ReadonlyArray<TaskRecord>, E>

/** Some at the one place, the rest at the other; answered in the order of all. */
const apart = Effect.fnUntraced(function* <E, E2>(
  specs: ReadonlyArray<TaskSpec>,
  some: ReadonlySet<TaskSpec>,
  one: Submits<E>,
  other: Submits<E2>
) {
  if (some.size === 0) return yield* other(specs)
  const there = (yield* one([...some])).values()
  const here = (yield* other(specs.filter((spec) => !some.has(spec)))).values()
  return specs.map((spec) => (some.has(spec) ? there : here).next().value as TaskRecord)
})
