/**
 * Brings to the fleet what was kept for it: how attempts at its tasks have ended, and the tasks that this node accepted
 * itself. Each step can be repeated, by another life too, and comes to the same; what the fleet refuses for good is told
 * of and dropped.
 *
 * 1. A report is made once more as it was to be made. Where it is refused, it is looked whether it had arrived, or whether
 *    the task was only put back into the queue: then it is claimed again and ended with what was done.
 * 2. A task of this node that has ended is taken over with its end. One that was not begun leaves this node first, so that
 *    it is never given out at both places; the outbox knows that it is on its way.
 */
import { Effect } from "effect"
import { type Fault, report } from "../domain/Fault.ts"
import { isFinal } from "../domain/Task.ts"
import { EventBus } from "../event/EventBus.ts"
import { inModule } from "../observability/Log.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import { endedSo, mayLeave } from "./Adopting.ts"
import type { EdgeTasks } from "./EdgeTasks.ts"
import type { Kept, Letter, Outbox } from "./Outbox.ts"
import type { AttemptSuperseded, LedgerUnusable, TaskUnknown } from "./TaskError.ts"
import type { TaskLedger } from "./TaskLedger.ts"
import { begun, type TaskRecord } from "./TaskRecord.ts"

type Ledger = TaskLedger["Service"]

/** The fleet's ledger, as a node at its edge needs it. */
export interface SharedLedger {
  readonly ledger: Ledger
  /** Whether it has this task, as far as it is known here. */
  readonly knows: (id: string) => boolean
  /** Succeeds where it answers now. */
  readonly reach: Effect.Effect<void, LedgerUnusable>
  /** Completes with why when it has found by itself that it is not there any more. */
  readonly away?: Effect.Effect<LedgerUnusable>
  /** Completes when whoever reads ends from a stream has, or had, been told of this one. */
  readonly published: (id: string) => Effect.Effect<void, LedgerUnusable>
}

/** Reports that are read at a time. */
const BATCH = 100

/** Makes a report, to whichever ledger has the task. */
export const tell = (ledger: Ledger, { attempt, report, task }: Letter) => {
  switch (report.kind) {
    case "complete":
      return ledger.complete(task, attempt, report.result, report.remains)
    case "giveUp":
      return ledger.giveUp(task, attempt, report.result, report.remains)
    case "park":
      return ledger.park(task, attempt, report.why)
    case "awaitPerson":
      return ledger.awaitPerson(task, attempt, report.why)
  }
}

export const make = Effect.fnUntraced(function* (
  local: Ledger,
  outbox: Outbox,
  tasks: EdgeTasks,
  /** What this node is called. */
  node: string | undefined
) {
  const bus = yield* EventBus

  const refused = (task: string, attempt: number, fault: Fault) =>
    bus.publish({ type: "outbox.refused", task, attempt, fault: report(fault) })

  /** Has it arrived before? Or can it be made good? */
  const again = Effect.fnUntraced(function* (
    { ledger }: SharedLedger,
    letter: Kept,
    refusal: AttemptSuperseded
  ): Effect.fn.Return<void, AttemptSuperseded | TaskUnknown | LedgerUnusable> {
    const { agent, attempt, report, task } = letter
    const record = yield* ledger.get(task)
    const story = (yield* ledger.history(task)).find((one) => one.attempt === attempt)
    if (report.kind === "park" || report.kind === "awaitPerson") {
      // Of an attempt that was put back by others it is not worth saying more.
      if (story !== undefined && story.ended !== undefined && record.attempt === attempt) return
      return yield* refusal
    }
    if (record.attempt >= attempt && endedSo(record, report)) return
    if (record.state !== "queued" || record.attempt !== attempt) return yield* refusal
    const claimed = yield* ledger.claim(task, agent)
    // It is this attempt that ends the task: its result counts it.
    const result = { ...report.result, attempts: begun(claimed) }
    yield* tell(ledger, { ...letter, attempt: claimed.attempt, report: { ...report, result } })
  })

  const deliver = Effect.fnUntraced(function* (fleet: SharedLedger, letter: Kept) {
    const { attempt, task } = letter
    crashPoint("edge.deliver.before")
    yield* tell(fleet.ledger, letter).pipe(
      Effect.catchTag("AttemptSuperseded", (refusal) => again(fleet, letter, refusal)),
      Effect.andThen(Effect.sync(() => crashPoint("edge.deliver.within"))),
      Effect.andThen(
        letter.report.kind === "park" || letter.report.kind === "awaitPerson" ? Effect.void : fleet.published(task)
      ),
      Effect.catchTag(["AttemptSuperseded", "TaskUnknown"], (fault) => refused(task, attempt, fault))
    )
    yield* outbox.delivered(letter)
    crashPoint("edge.deliver.after")
  })

  const reports = Effect.fnUntraced(function* (fleet: SharedLedger) {
    for (;;) {
      const letters = yield* outbox.reports(BATCH)
      for (const letter of letters) yield* deliver(fleet, letter)
      if (letters.length < BATCH) return
    }
  })

  const adopt = Effect.fnUntraced(function* (fleet: SharedLedger, record: TaskRecord) {
    const { attempt, id, state } = record
    const done = node === undefined || attempt === 0 ? record : { ...record, node }
    const history = isFinal(state) ? yield* Effect.orElseSucceed(local.history(id), () => []) : []
    yield* fleet.ledger.adopt({ record: done, history }).pipe(
      Effect.andThen(Effect.sync(() => crashPoint("edge.adopt.within"))),
      Effect.andThen(isFinal(state) ? fleet.published(id) : Effect.void),
      Effect.catchTag(["AttemptSuperseded", "TaskConflict"], (fault) => refused(id, attempt, fault))
    )
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
    if (!mayLeave(record)) return
    yield* outbox.leave(record)
    crashPoint("edge.leave.before")
    if (!(yield* local.withdraw(id))) return yield* outbox.stays(id)
    crashPoint("edge.leave.within")
    tasks.left(record)
    crashPoint("edge.leave.after")
    yield* adopt(fleet, record)
  }, Effect.uninterruptible)

  return {
    /** All that can be delivered now, in order. Fails where the fleet cannot be reached, and goes on from there the next time. */
    all: Effect.fnUntraced(
      function* (fleet: SharedLedger) {
        yield* reports(fleet)
        for (const id of tasks.ids()) yield* handOver(fleet, id)
      },
      (work) => inModule("task")(work)
    )
  }
})
