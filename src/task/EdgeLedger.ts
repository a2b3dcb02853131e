/**
 * The ledger of a node at the edge of its fleet: the fleet's, as long as that can be reached, and what is needed to go on
 * where it cannot.
 *
 * Promises:
 * - while the fleet is there, it has the say: what is asked goes to it
 * - a node that is cut off finishes what it has begun. How an attempt ended is in the outbox, on the disk, before the answer
 *   comes, and reaches the fleet once, in order, whoever dies meanwhile. Whether it still counts the fence decides
 * - nothing of the fleet is begun without it: others may have it by now
 * - where it may (`storeAndForward`), it accepts tasks and performs them; each is at one place at a time, and gets to the
 *   fleet with its end, or not begun, under its id
 * - what only the fleet could answer is refused while it cannot be asked, never made up
 *
 * Whether the fleet can be asked is EdgeReach.ts, what is known of tasks EdgeReading.ts, where they are submitted
 * EdgeSubmit.ts; what is delivered, and how, EdgeDelivery.ts.
 */
import { Effect, type Scope, Stream } from "effect"
import { report } from "../domain/Fault.ts"
import { EventBus } from "../event/EventBus.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import * as EdgeDelivery from "./EdgeDelivery.ts"
import * as EdgeHere from "./EdgeHere.ts"
import * as EdgeReach from "./EdgeReach.ts"
import * as EdgeReading from "./EdgeReading.ts"
import * as EdgeReports from "./EdgeReports.ts"
import * as EdgeSubmit from "./EdgeSubmit.ts"
import * as EdgeTasks from "./EdgeTasks.ts"
import type { Letter, Outbox } from "./Outbox.ts"
import type { LedgerUnusable } from "./TaskError.ts"
import type { TaskLedger } from "./TaskLedger.ts"
import type { TaskRecord } from "./TaskRecord.ts"

type Ledger = TaskLedger["Service"]

export interface EdgeOptions extends Pick<EdgeReach.ReachOptions, "link" | "open"> {
  readonly local: Ledger
  readonly outbox: Outbox
  readonly whenCutOff: "noNewWork" | "storeAndForward"
  /** Tasks of this node that may wait for the fleet. */
  readonly tasks: number
  /** What this node is called. */
  readonly node?: string
}

export interface Edge {
  readonly ledger: Ledger
  readonly mode: () => EdgeReach.EdgeMode
  /** Why the fleet cannot be asked; undefined where it can. */
  readonly why: () => string | undefined
  /** What waits for the fleet. */
  readonly waiting: () => { readonly reports: number; readonly tasks: number }
}

export const make = Effect.fnUntraced(function* ({
  link,
  local,
  node,
  open,
  outbox,
  tasks: bound,
  whenCutOff
}: EdgeOptions): Effect.fn.Return<Edge, LedgerUnusable, EventBus | Scope.Scope> {
  const bus = yield* EventBus
  const accepts = whenCutOff === "storeAndForward"
  const tasks = yield* EdgeTasks.make(local, outbox)
  const delivery = yield* EdgeDelivery.make(local, outbox, tasks, node)
  const waiting = () => ({ reports: outbox.counts().reports, tasks: tasks.count() })
  const reach = yield* EdgeReach.make({
    link,
    open,
    waiting,
    cutOff: accepts ? "store_and_forward" : "no_new_work",
    delivery
  })
  const reading = EdgeReading.make({ local, outbox, reach, tasks, accepts })
  const submitAll = EdgeSubmit.make({ local, outbox, reach, tasks, accepts, bound, get: reading.get })

  const keep = (letter: Letter) =>
    Effect.suspend(() => {
      crashPoint("edge.keep.before")
      return outbox.keep(letter)
    }).pipe(
      Effect.andThen(Effect.sync(() => crashPoint("edge.keep.after"))),
      Effect.andThen(
        bus.publish({ type: "outbox.kept", task: letter.task, attempt: letter.attempt, agent: letter.agent })
      ),
      // It may have come back in this moment.
      Effect.andThen(reach.forward)
    )

  const settle = (letter: Letter) =>
    Effect.suspend(() => {
      if (isHere(letter.task)) return EdgeReports.tell(local, letter)
      // What was said before comes first.
      if (reach.there() === undefined || outbox.holds(letter.task)) return keep(letter)
      return Effect.catchIf(
        reach.askWhileThere((ledger) => EdgeReports.tell(ledger, letter)),
        // What is too large is not made smaller by whoever asks again: it is ended with less (EdgeReports.ts).
        (error) => EdgeReach.isLost(error) || EdgeReports.isTooLarge(error),
        () => keep(letter)
      )
    })

  const agentOf = (id: string) =>
    Effect.map(Effect.option((reach.fleet()?.ledger ?? local).get(id)), (record) =>
      record._tag === "Some" ? (record.value.agent ?? "") : ""
    )

  /** What neither this node nor, as far as it knows, the fleet has is nobody's: it is asked for here. */
  const isHere = (id: string) =>
    tasks.has(id) || (reach.there() === undefined && !outbox.isKnown(id) && reach.fleet()?.knows(id) !== true)

  /** At its place; on its way it is nobody's. */
  const at = <A, E>(
    id: string,
    question: (ledger: Ledger) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | LedgerUnusable> =>
    Effect.suspend((): Effect.Effect<A, E | LedgerUnusable> => {
      if (!isHere(id)) return reach.ask(question)
      return tasks.leaving(id) === undefined ? question(local) : Effect.fail(reach.unreachable())
    })

  const ledger: Ledger = {
    ...reading,
    submit: (spec, options) => Effect.map(submitAll([spec], options), ([record]) => record as TaskRecord),
    submitAll,
    claim: (id, agent, lease) =>
      Effect.suspend((): ReturnType<Ledger["claim"]> => {
        if (isHere(id)) return at(id, (ledger) => ledger.claim(id, agent, lease))
        return reach.askWhileThere(
          (ledger) => ledger.claim(id, agent, lease),
          // Nobody performs it: it is given back.
          (ledger, { attempt, usage }) =>
            ledger.park(id, attempt, { until: 0, interrupted: true, fault: report(reach.unreachable()), usage })
        )
      }),
    renew: (id, attempt, lease) => at(id, (ledger) => ledger.renew(id, attempt, lease)),
    complete: (task, attempt, result, remains) =>
      settle({ task, attempt, agent: result.agent ?? "", report: { kind: "complete", result, remains } }),
    giveUp: (task, attempt, result, remains) =>
      settle({ task, attempt, agent: result.agent ?? "", report: { kind: "giveUp", result, remains } }),
    park: (task, attempt, why) =>
      Effect.flatMap(agentOf(task), (agent) => settle({ task, attempt, agent, report: { kind: "park", why } })),
    awaitPerson: (task, attempt, why) =>
      Effect.flatMap(agentOf(task), (agent) => settle({ task, attempt, agent, report: { kind: "awaitPerson", why } })),
    answered: (id) => at(id, (ledger) => ledger.answered(id)),
    adopt: (adoptee) => at(adoptee.record.id, (ledger) => ledger.adopt(adoptee)),
    withdraw: (id) => at(id, (ledger) => ledger.withdraw(id)),
    cancel: (id, why) => at(id, (ledger) => ledger.cancel(id, why)),
    replay: (id) => at(id, (ledger) => ledger.replay(id)),
    drop: (id) => at(id, (ledger) => ledger.drop(id)),
    recover: Effect.suspend(() =>
      reach.there() === undefined
        ? local.recover
        : Effect.zipWith(
            local.recover,
            reach.ask((ledger) => ledger.recover),
            (here, fleets) => [...here, ...fleets]
          )
    ),
    released: (id, attempt) =>
      Effect.suspend(() => (isHere(id) ? local : (reach.fleet()?.ledger ?? local)).released(id, attempt)),
    changes: reach.changes,
    ...(node === undefined
      ? {}
      : {
          here: EdgeHere.make({
            node,
            holds: tasks.has,
            fleets: () => reach.fleet()?.ledger.here,
            isThere: () => reach.there() !== undefined,
            changes: reach.othersChanged
          })
        })
  }

  yield* reach.begin
  yield* reach.follow(local)
  const own = yield* local.changes
  // What is done here goes to the fleet as it ends.
  yield* Effect.forkScoped(Stream.runForEach(own, () => reach.forward))
  return { ledger, mode: reach.mode, why: reach.why, waiting }
})
