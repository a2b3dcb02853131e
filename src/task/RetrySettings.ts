/** What a person may set about tasks whose attempt failed with what another attempt may cure. */
import { Effect, Schema } from "effect"
import { DurationFromString } from "../domain/Quantity.ts"
import { wholeNumber } from "../domain/Setting.ts"

/** A task that takes the runtime with it each time must not go on for ever. */
export const INTERRUPTIONS = 10

export const Attempts = wholeNumber(1, 100)
export const Factor = Schema.Finite.pipe(
  Schema.check(Schema.isBetween({ minimum: 1, maximum: 100 }, { message: "expected a number from 1 to 100" }))
)

export const RetrySettings = Schema.Struct({
  attempts: Attempts.pipe(Schema.withDecodingDefaultKey(Effect.succeed(3))).annotateKey({
    description: "How often a task is tried in all. Default 3"
  }),
  interruptions: wholeNumber(1, 1_000)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(INTERRUPTIONS)))
    .annotateKey({
      description:
        "How often a task may be broken off by what is no failure of its own, such as the end of the runtime or its agent's stop, which is no try. Default 10"
    }),
  delay: DurationFromString.pipe(Schema.withDecodingDefaultKey(Effect.succeed("5 seconds" as const))).annotateKey({
    description: 'The pause before the second attempt. Default "5 seconds"'
  }),
  factor: Factor.pipe(Schema.withDecodingDefaultKey(Effect.succeed(2))).annotateKey({
    description: "By how much each pause is longer than the one before. Default 2"
  }),
  maxDelay: DurationFromString.pipe(Schema.withDecodingDefaultKey(Effect.succeed("5 minutes" as const))).annotateKey({
    description: 'The longest pause; a limit that says when it ends is waited for, however long. Default "5 minutes"'
  })
})
export type RetrySettings = typeof RetrySettings.Type
