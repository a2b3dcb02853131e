/**
 * Is an answer what the task's schema asks for? The CLI checks it too, but a task's output is a promise of the runtime,
 * so it is not taken on trust. The validator is @cfworker/json-schema: it interprets, where others generate code.
 */
import { Validator } from "@cfworker/json-schema"
import { Effect } from "effect"
import { OutputInvalid, type TurnOk } from "../claude/ClaudeFailure.ts"
import { brief } from "../event/Event.ts"

/** Problems that are told, at most. */
const MAX_PROBLEMS = 5

/** The same turn, or `OutputInvalid`. A turn without a schema is left as it is. */
export const checkOutput = (turn: TurnOk, schema: unknown): Effect.Effect<TurnOk, OutputInvalid> => {
  if (typeof schema !== "object" || schema === null) return Effect.succeed(turn)
  return Effect.try({
    try: () => new Validator(schema, "2020-12", false).validate(turn.output),
    // A pattern that is no regular expression, a reference that leads nowhere.
    catch: (error) => new OutputInvalid({ problems: [`the schema itself is wrong: ${brief(String(error))}`] })
  }).pipe(
    Effect.flatMap(({ errors, valid }) => {
      if (valid) return Effect.succeed(turn)
      // The last errors are the innermost.
      const problems = errors.slice(-MAX_PROBLEMS).map(({ error, instanceLocation }) => `${instanceLocation}: ${error}`)
      return Effect.fail(new OutputInvalid({ problems }))
    })
  )
}
