/**
 * What the fleet does not take now although it is there, because its storage is full, or because something is wrong with
 * this one: it waits, is tried again after a pause, and holds up nothing but what comes after it of the same task. A person
 * is told once that something waits, and again only when nothing has waited in between.
 */
import { Duration, Effect } from "effect"
import { millis } from "../domain/Monotonic.ts"
import { EventBus } from "../event/EventBus.ts"
import { inModule } from "../observability/Log.ts"
import type { HomeProblem } from "../state/HomeProblem.ts"
import type { LedgerUnusable } from "./TaskError.ts"

/** Before it is tried again. */
export const LATER = Duration.seconds(5)

/** What is wrong with all of the fleet's ledger, and not with one task. */
const OF_ALL: ReadonlySet<HomeProblem> = new Set<HomeProblem>(["unreachable", "denied", "differs", "nameTaken"])

export interface EdgeWaiting {
  /** Its time has not come. */
  readonly waits: (task: string) => Effect.Effect<boolean>
  /** Delivers something of a task; where that cannot be now, it waits. Fails where nothing can be delivered. */
  readonly trying: (task: string, work: Effect.Effect<void, LedgerUnusable>) => Effect.Effect<void, LedgerUnusable>
  /** How many tasks wait so. */
  readonly count: () => number
}

export const make = Effect.map(EventBus, (bus): EdgeWaiting => {
  /** Until when, by task, on a clock that nobody sets: an end must not wait for an hour because the other one was put right. */
  const waiting = new Map<string, number>()
  const later = (task: string, message: string, hint: string | undefined) =>
    Effect.gen(function* () {
      const first = waiting.size === 0
      waiting.set(task, (yield* millis) + Duration.toMillis(LATER))
      if (first) yield* bus.publish({ type: "operator.notified", supervisor: "tasks", child: "outbox", message, hint })
    })
  return {
    waits: (task) => Effect.map(millis, (now) => now < (waiting.get(task) ?? 0)),
    trying: (task, work) =>
      Effect.tap(work, () => Effect.sync(() => waiting.delete(task))).pipe(
        Effect.catchIf(
          ({ problem }) => !OF_ALL.has(problem),
          ({ hint, message }) =>
            later(task, `what this node has done of task "${task}" waits for its fleet: ${message}`, hint)
        ),
        Effect.catchDefect((defect) =>
          Effect.andThen(
            inModule("task")(
              Effect.logError(`what was done of task "${task}" cannot be delivered, please report it`, defect)
            ),
            later(task, `what this node has done of task "${task}" cannot be delivered: ${String(defect)}`, HINT)
          )
        )
      ),
    count: () => waiting.size
  }
})

const HINT = "the log has the whole of it; it is tried again, and the rest is delivered meanwhile"
