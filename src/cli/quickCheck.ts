/**
 * `check` without the command line library, whose loading would cost half of the time: for calls that need none of it.
 * Flags that are not known here, help among them, go the long way through cli.ts.
 */
import { Effect } from "effect"
import { check } from "./check.ts"
import { EXIT, explain } from "./ExitCode.ts"
import { USUAL_CONFIG } from "./UsualConfig.ts"

/** The command, or undefined where the long way must be taken. */
export const quickCheck = (args: ReadonlyArray<string>): Effect.Effect<number> | undefined => {
  const operands = args.slice(1).filter((arg) => arg !== "--json")
  const [config = USUAL_CONFIG] = operands
  if (operands.length > 1 || config.startsWith("-")) return undefined
  return check({ config, json: args.includes("--json") }).pipe(Effect.as(EXIT.done), Effect.catchCause(explain))
}
