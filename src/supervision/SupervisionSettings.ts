/** What a person may set about a supervisor, and what it is if they do not. */
import { Effect, Schema } from "effect"
import { DurationFromString } from "../domain/Quantity.ts"
import { EscalationStep } from "./EscalationLadder.ts"

export const Strategy = Schema.Literals(["one_for_one", "one_for_all", "rest_for_one", "escalate"])

/** A longer ladder is a slip of the keyboard. */
export const MAX_STEPS = 20

export const RestartBudgetSettings = Schema.Struct({
  maxRestarts: Schema.Int.pipe(
    Schema.check(Schema.isGreaterThanOrEqualTo(0, { message: "expected a whole number of 0 or more" }))
  ).annotateKey({ description: "Restarts allowed within the window" }),
  within: DurationFromString.annotateKey({ description: "The window over which they are counted" })
})

export const SupervisionSettings = Schema.Struct({
  strategy: Strategy.pipe(Schema.withDecodingDefaultKey(Effect.succeed("one_for_one" as const))).annotateKey({
    description:
      "What to do when a child fails: restart it alone (one_for_one), all (one_for_all), it and those after it (rest_for_one), or give up (escalate). Default one_for_one"
  }),
  maxRestarts: Schema.Int.pipe(
    Schema.check(Schema.isGreaterThanOrEqualTo(0, { message: "expected a whole number of 0 or more" })),
    Schema.withDecodingDefaultKey(Effect.succeed(3))
  ).annotateKey({ description: "Restarts allowed within the window; one more and the supervisor gives up. Default 3" }),
  within: DurationFromString.pipe(Schema.withDecodingDefaultKey(Effect.succeed("60 seconds" as const))).annotateKey({
    description: 'The window over which restarts are counted. Default "60 seconds"'
  }),
  escalation: Schema.Array(EscalationStep)
    .pipe(
      Schema.check(Schema.isMaxLength(MAX_STEPS, { message: `expected at most ${MAX_STEPS} steps` })),
      Schema.withDecodingDefaultKey(Effect.succeed([]))
    )
    .annotateKey({
      description:
        "What is tried, step by step, when the restarts are used up, before the supervisor gives up: restart_group, notify (with a command), start_standby, stop_node (with an exit code). Default none"
    }),
  restartBudget: Schema.optionalKey(RestartBudgetSettings).annotateKey({
    description: "Restarts that all supervisors of this node may make together. Default: no such bound"
  })
})
export type SupervisionSettings = typeof SupervisionSettings.Type
