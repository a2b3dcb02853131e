/** Fields of settings that are alike in many rooms. What holds where nothing is said is written once: taken, and told. */
import { Effect, Schema } from "effect"
import { PositiveDurationFromString } from "./Quantity.ts"

/** How long. The description is a sentence, or several; the default is told after it. */
export const duration = (
  byDefault: `${number} ${"millis" | "second" | "seconds" | "minute" | "minutes" | "days"}`,
  description: string
) =>
  PositiveDurationFromString.pipe(Schema.withDecodingDefaultKey(Effect.succeed(byDefault))).annotateKey({
    description: `${description} Default "${byDefault}"`
  })

/** A whole number, with its bounds. */
export const wholeNumber = (minimum: number, maximum: number) =>
  Schema.Int.pipe(
    Schema.check(
      Schema.isBetween({ minimum, maximum }, { message: `expected a whole number from ${minimum} to ${maximum}` })
    )
  )
