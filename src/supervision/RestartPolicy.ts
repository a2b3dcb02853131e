/**
 * The restart policies a person writes in the config, and the restart type and backoff each stands for.
 *
 * | policy                | restart type | waits                          |
 * |-----------------------|--------------|--------------------------------|
 * | `never`               | temporary    |                                |
 * | `always`              | permanent    | only if `initialDelay` is set  |
 * | `on_failure`          | transient    | only if `initialDelay` is set  |
 * | `unless_stopped`      | permanent    | only if `initialDelay` is set  |
 * | `exponential_backoff` | permanent    | yes, 1 second at first         |
 *
 * A deliberate stop stays a stop under every policy, so `unless_stopped` is another word for `always`.
 */
import { Effect, Schema } from "effect"
import { DurationFromString } from "../domain/Quantity.ts"
import type { Child } from "./Child.ts"

export const RestartPolicy = Schema.Struct({
  policy: Schema.Literals(["never", "always", "on_failure", "unless_stopped", "exponential_backoff"])
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("exponential_backoff" as const)))
    .annotateKey({ description: "When it is restarted after it has ended. Default exponential_backoff" }),
  initialDelay: Schema.optionalKey(DurationFromString).annotateKey({
    description: 'The pause before the first restart. Default "1 second" with exponential_backoff, none otherwise'
  }),
  factor: Schema.Finite.pipe(
    Schema.check(Schema.isGreaterThanOrEqualTo(1, { message: "expected a number of 1 or more" })),
    Schema.withDecodingDefaultKey(Effect.succeed(2))
  ).annotateKey({ description: "By how much each pause is longer than the one before. Default 2" }),
  maxDelay: DurationFromString.pipe(Schema.withDecodingDefaultKey(Effect.succeed("60 seconds" as const))).annotateKey({
    description: 'The longest pause. Default "60 seconds"'
  }),
  resetAfter: DurationFromString.pipe(Schema.withDecodingDefaultKey(Effect.succeed("5 minutes" as const))).annotateKey({
    description: 'How long it must have run for the pauses to start anew. Default "5 minutes"'
  })
})
export type RestartPolicy = typeof RestartPolicy.Type

const types = {
  never: "temporary",
  always: "permanent",
  on_failure: "transient",
  unless_stopped: "permanent",
  exponential_backoff: "permanent"
} as const

/** The part of a Child that the policy decides. */
export const toChild = (restart: RestartPolicy): Pick<Child, "restart" | "backoff"> => {
  const { factor, initialDelay, maxDelay, policy, resetAfter } = restart
  const type = types[policy]
  const first = initialDelay ?? (policy === "exponential_backoff" ? "1 second" : undefined)
  return first === undefined || policy === "never"
    ? { restart: type }
    : { restart: type, backoff: { initialDelay: first, factor, maxDelay, resetAfter, jitter: "full" } }
}
