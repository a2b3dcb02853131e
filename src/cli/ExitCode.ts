/** How a command ends: every outcome is one of these codes, and what went wrong is a sentence with a hint on stderr. */
import { Cause, Console, Effect, Option } from "effect"
import { type Fault, isFault } from "../domain/Fault.ts"
import { redact } from "../domain/Redaction.ts"
import { TasksFailed } from "./CliFault.ts"
import { harmless } from "./Words.ts"

/** 130 and 143, for SIGINT and SIGTERM, are given by start.ts, which hears the signals. */
export const EXIT = { done: 0, failed: 1, usage: 2, unreachable: 3 } as const

/** What was asked was wrong, and asking again will not do. */
const MISTAKES = new Set([
  "ConfigInvalid",
  "ConfigUnreadable",
  "TaskInvalid",
  "FileUnusable",
  "TaskConflict",
  "TaskUnknown",
  "TaskEnded",
  "TaskNotDead",
  "AgentUnknown",
  "ChildRunning",
  "AgentNotRunning",
  "RequestInvalid"
])

/** Says what went wrong, and answers with the exit code. Interrupted commands stay interrupted. */
export const explain = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>) {
  if (Cause.hasInterruptsOnly(cause)) return yield* Effect.interrupt
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error instanceof TasksFailed) return EXIT.failed
  if (isFault(error)) {
    yield* Console.error(sentence(error))
    if (MISTAKES.has(error._tag)) return EXIT.usage
    // A step stop_node of the escalation has chosen the code.
    return "exitCode" in error && typeof error.exitCode === "number" ? error.exitCode : EXIT.failed
  }
  // Ours, not the user's: the whole story, so that it can be reported.
  yield* Console.error(redact(`internal error, please report it:\n${Cause.pretty(cause)}`))
  return EXIT.failed
})

const sentence = ({ hint, message }: Fault) =>
  harmless(redact(hint === undefined ? message : `${message}\nhint: ${hint}`))
