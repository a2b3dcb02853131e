/** When another node counts as dead, so that what it holds is queued again. */
import { Duration, Effect, Schema } from "effect"
import { PositiveDurationFromString } from "../domain/Quantity.ts"
import type { PeerSettings } from "../supervision/Peers.ts"

/** A phi of 16 is a chance of one in ten million times a thousand million. */
const Phi = Schema.Finite.pipe(
  Schema.check(Schema.isBetween({ minimum: 0.5, maximum: 16 }, { message: "expected a number from 0.5 to 16" }))
)

export const FailureSettings = Schema.Struct({
  after: PositiveDurationFromString.pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("15 seconds" as const))
  ).annotateKey({
    description:
      'For how long a node must be silent, at the least, before it counts as dead and what it holds is queued again. Default "15 seconds"'
  }),
  longest: PositiveDurationFromString.pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("30 seconds" as const))
  ).annotateKey({
    description:
      'A node that is silent for so long is dead, however unevenly it has spoken before. Default "30 seconds"'
  }),
  suspect: Phi.pipe(Schema.withDecodingDefaultKey(Effect.succeed(3))).annotateKey({
    description:
      "How unlikely a silence is, as phi, before its node is suspected and gets no work: 3 is one in a thousand. Default 3"
  }),
  dead: Phi.pipe(Schema.withDecodingDefaultKey(Effect.succeed(12))).annotateKey({
    description: "The same before it counts as dead. Default 12"
  })
})
export type FailureSettings = typeof FailureSettings.Type

export const peersOf = (
  { after, dead, longest, suspect }: FailureSettings,
  heartbeat: Duration.Duration
): PeerSettings => ({
  every: Duration.toMillis(heartbeat),
  after: Duration.toMillis(after),
  longest: Duration.toMillis(longest),
  suspectAt: suspect,
  deadAt: dead
})
