/**
 * Brings reports to the fleet that were kept for it: how attempts at its tasks have ended. A report is made once more as it
 * was to be made. Where it is refused, it is looked whether it had arrived, or whether the task was only put back into the
 * queue: then it is claimed again and ended with what was done. What the fleet refuses for good is told of and dropped;
 * what is too large for it ends its task with less (EdgeLesser.ts).
 */
import { Effect } from "effect"
import { type FaultReport, report } from "../domain/Fault.ts"
import { EventBus } from "../event/EventBus.ts"
import { inModule } from "../observability/Log.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import { endedSo } from "./Adopting.ts"
import { endedLess, lesser } from "./EdgeLesser.ts"
import type { EdgeWaiting } from "./EdgeWaiting.ts"
import type { Letter, Outbox } from "./Outbox.ts"
import { type AttemptSuperseded, LedgerUnusable, type TaskUnknown } from "./TaskError.ts"
import type { TaskLedger } from "./TaskLedger.ts"
import { begun } from "./TaskRecord.ts"

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

export const isTooLarge = (error: unknown): boolean => error instanceof LedgerUnusable && error.problem === "tooLarge"

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

/** Who reads ends from a stream is told of this one, where a message can say it: else it is read from the ledger. */
export const published = (fleet: SharedLedger, id: string) =>
  Effect.catchIf(fleet.published(id), isTooLarge, (fault) => inModule("task")(Effect.logWarning(fault.message)))

export const make = Effect.fnUntraced(function* (outbox: Outbox, waiting: EdgeWaiting) {
  const bus = yield* EventBus

  const refused = ({ attempt, task }: Letter, fault: FaultReport) =>
    bus.publish({ type: "outbox.refused", task, attempt, fault })

  /** Has it arrived before? Or can it be made good? */
  const again = Effect.fnUntraced(function* (
    { ledger }: SharedLedger,
    letter: Letter,
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
    // It was too large, and less of it has arrived before.
    const lost = record.attempt >= attempt ? endedLess(record, report) : undefined
    if (lost !== undefined) return yield* refused(letter, lost)
    if (record.state !== "queued" || record.attempt !== attempt) return yield* refusal
    const claimed = yield* ledger.claim(task, agent)
    // It is this attempt that ends the task: its result counts it.
    const result = { ...report.result, attempts: begun(claimed) }
    yield* tell(ledger, { ...letter, attempt: claimed.attempt, report: { ...report, result } })
  })

  /** The fleet has it, now or before. */
  const made = (fleet: SharedLedger, letter: Letter) =>
    tell(fleet.ledger, letter).pipe(
      Effect.catchTag("AttemptSuperseded", (refusal) => again(fleet, letter, refusal)),
      Effect.andThen(Effect.sync(() => crashPoint("edge.deliver.within"))),
      Effect.andThen(
        letter.report.kind === "park" || letter.report.kind === "awaitPerson"
          ? Effect.void
          : published(fleet, letter.task)
      )
    )

  /** As much of it as the fleet can hold, so that its task is over there too. */
  const madeLess = Effect.fnUntraced(function* (fleet: SharedLedger, letter: Letter, fault: LedgerUnusable) {
    for (const less of lesser(letter.report, fault)) {
      const fits = yield* made(fleet, { ...letter, report: less }).pipe(
        Effect.as(true),
        Effect.catchIf(isTooLarge, () => Effect.succeed(false))
      )
      if (fits) break
    }
    yield* refused(letter, report(fault))
  })

  const deliver = Effect.fnUntraced(function* (fleet: SharedLedger, letter: Letter & { readonly seq: number }) {
    crashPoint("edge.deliver.before")
    yield* made(fleet, letter).pipe(
      Effect.catchIf(
        (error): error is LedgerUnusable => isTooLarge(error),
        (fault) => madeLess(fleet, letter, fault)
      ),
      Effect.catchTag(["AttemptSuperseded", "TaskUnknown"], (fault) => refused(letter, report(fault)))
    )
    yield* outbox.delivered(letter)
    crashPoint("edge.deliver.after")
  })

  /** All that can be delivered now, each task's in order. Fails where the fleet cannot be reached. */
  return Effect.fnUntraced(function* (fleet: SharedLedger) {
    /** What comes after something that waits, too, however long the rest takes. */
    const waits = new Set<string>()
    for (let after = 0; ; ) {
      const letters = yield* outbox.reports(BATCH, after)
      for (const letter of letters) {
        const { task } = letter
        if (!waits.has(task) && !(yield* waiting.waits(task))) yield* waiting.trying(task, deliver(fleet, letter))
        if (yield* waiting.waits(task)) waits.add(task)
        after = letter.seq
      }
      if (letters.length < BATCH) return
    }
  })
})
