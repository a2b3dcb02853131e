/**
 * Brings to the fleet what was kept for it: how attempts at its tasks have ended (EdgeReports.ts), and then the tasks that
 * this node accepted itself. Each step can be repeated, by another life too, and comes to the same; what the fleet refuses
 * for good is told of and dropped, what it cannot take now waits and lets the rest pass (EdgeWaiting.ts).
 *
 * A task of this node that has ended is taken over with its end. One that was not begun leaves this node first, so that it
 * is never given out at both places; the outbox knows that it is on its way. One that is too large for the fleet comes
 * back, and is performed here.
 */
import { Effect } from "effect"
import { type Fault, report } from "../domain/Fault.ts"
import { isFinal } from "../domain/Task.ts"
import { EventBus } from "../event/EventBus.ts"
import { inModule } from "../observability/Log.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import { type Adoptee, mayLeave } from "./Adopting.ts"
import { lesser } from "./EdgeLesser.ts"
import * as EdgeReports from "./EdgeReports.ts"
import { isTooLarge, published, type SharedLedger } from "./EdgeReports.ts"
import type { EdgeTasks } from "./EdgeTasks.ts"
import * as EdgeWaiting from "./EdgeWaiting.ts"
import type { Outbox } from "./Outbox.ts"
import type { LedgerUnusable } from "./TaskError.ts"
import type { TaskLedger } from "./TaskLedger.ts"
import type { TaskRecord } from "./TaskRecord.ts"

type Ledger = TaskLedger["Service"]

export interface EdgeDelivery {
  /** All that can be delivered now, in order. Fails where the fleet cannot be reached, and goes on from there the next time. */
  readonly all: (fleet: SharedLedger) => Effect.Effect<void, LedgerUnusable>
  /** How many tasks have something that the fleet did not take, and is to be tried again. */
  readonly waiting: () => number
}

export const make = Effect.fnUntraced(function* (
  local: Ledger,
  outbox: Outbox,
  tasks: EdgeTasks,
  /** What this node is called. */
  node: string | undefined
) {
  const bus = yield* EventBus
  const waiting = yield* EdgeWaiting.make
  const reports = yield* EdgeReports.make(outbox, waiting)
  /** Of this life: too large for the fleet while they are not begun. */
  const stay = new Set<string>()

  const refused = ({ attempt, id }: TaskRecord, fault: Fault) =>
    bus.publish({ type: "outbox.refused", task: id, attempt, fault: report(fault) })

  /** With an end that is as short as can be; what was asked may be what is too large. */
  const adoptLess = Effect.fnUntraced(function* (fleet: SharedLedger, { record }: Adoptee, fault: LedgerUnusable) {
    const { lastFault, result, state } = record
    const less = result === undefined ? undefined : lesser({ kind: "complete", result }, fault).at(-1)
    const end = less?.kind === "giveUp" ? { state: "dead" as const, lastFault: report(fault) } : { state, lastFault }
    if (less !== undefined && "result" in less)
      yield* fleet.ledger.adopt({ record: { ...record, ...end, result: less.result }, history: [] }).pipe(
        Effect.andThen(published(fleet, record.id)),
        Effect.catchIf(isTooLarge, () => Effect.void)
      )
    yield* refused(record, fault)
  })

  /** Nobody has begun it: it is this node's again, and stays so. */
  const comeBack = Effect.fnUntraced(function* ({ id, spec }: TaskRecord, { message }: LedgerUnusable) {
    stay.add(id)
    yield* Effect.orDie(local.submit(spec, { again: true }))
    yield* tasks.cameBack(id)
    yield* Effect.logWarning(`task "${id}" is performed here, as it cannot be given to the fleet: ${message}`)
  })

  const adopt = Effect.fnUntraced(function* (fleet: SharedLedger, record: TaskRecord) {
    const { attempt, id, state } = record
    const done = node === undefined || attempt === 0 ? record : { ...record, node }
    const history = isFinal(state) ? yield* Effect.orElseSucceed(local.history(id), () => []) : []
    const adoptee = { record: done, history }
    const fits = yield* fleet.ledger.adopt(adoptee).pipe(
      Effect.andThen(Effect.sync(() => crashPoint("edge.adopt.within"))),
      Effect.andThen(isFinal(state) ? published(fleet, id) : Effect.void),
      Effect.as(true),
      Effect.catchIf(
        (error): error is LedgerUnusable => isTooLarge(error),
        (fault) =>
          isFinal(state) ? Effect.as(adoptLess(fleet, adoptee, fault), true) : Effect.as(comeBack(record, fault), false)
      ),
      Effect.catchTag(["AttemptSuperseded", "TaskConflict"], (fault) => Effect.as(refused(record, fault), true))
    )
    if (!fits) return
    yield* tasks.gave(id)
    crashPoint("edge.adopt.after")
  })

  /** One task of this node, where it may go now. */
  const handOver = Effect.fnUntraced(function* (fleet: SharedLedger, id: string) {
    const away = tasks.leaving(id)
    if (away !== undefined) return yield* adopt(fleet, away)
    const record = yield* Effect.catchTag(local.get(id), "TaskUnknown", () => Effect.undefined)
    if (record === undefined) return yield* tasks.gave(id)
    if (isFinal(record.state)) {
      // The next of its series came with its end.
      if (record.series !== undefined) tasks.accepted((yield* local.openOf(record.series)).map(({ id }) => id))
      return yield* adopt(fleet, record)
    }
    if (stay.has(id) || !mayLeave(record)) return
    yield* outbox.leave(record)
    crashPoint("edge.leave.before")
    if (!(yield* local.withdraw(id))) return yield* outbox.stays(id)
    crashPoint("edge.leave.within")
    tasks.left(record)
    crashPoint("edge.leave.after")
    yield* adopt(fleet, record)
  }, Effect.uninterruptible)

  const all = Effect.fnUntraced(
    function* (fleet: SharedLedger) {
      yield* reports(fleet)
      for (const id of tasks.ids()) if (!(yield* waiting.waits(id))) yield* waiting.trying(id, handOver(fleet, id))
    },
    (work) => inModule("task")(work)
  )
  const delivery: EdgeDelivery = { all, waiting: waiting.count }
  return delivery
})
