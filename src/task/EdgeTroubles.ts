/**
 * What goes wrong between a node and its fleet: each trouble is told in the log once, until another one comes or it is over.
 * A defect is one of them, and told as a whole: it must not end what tries again.
 */
import { Effect } from "effect"
import { inModule } from "../observability/Log.ts"
import { LedgerUnusable } from "./TaskError.ts"

export interface EdgeTroubles {
  readonly tell: (message: string) => Effect.Effect<void>
  /** What comes of it: nothing, or why not. */
  readonly trial: (work: Effect.Effect<void, LedgerUnusable>) => Effect.Effect<LedgerUnusable | undefined>
  readonly over: () => void
}

export const make = (): EdgeTroubles => {
  let told = ""
  const tell = (message: string, log: Effect.Effect<void> = Effect.logWarning(message)) =>
    Effect.suspend(() => {
      if (told === message) return Effect.void
      told = message
      return inModule("task")(log)
    })
  return {
    tell: (message) => tell(message),
    trial: (work) =>
      work.pipe(
        Effect.catchDefect((defect) => {
          const fault = new LedgerUnusable({ where: "of the fleet", problem: "defect", detail: String(defect) })
          const log = Effect.logError("the fleet could not be worked with, please report it", defect)
          return Effect.andThen(tell(fault.message, log), Effect.fail(fault))
        }),
        Effect.match({ onFailure: (error) => error, onSuccess: () => undefined })
      ),
    over: () => {
      told = ""
    }
  }
}
