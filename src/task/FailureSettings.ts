/** How it is judged whether another node is dead, so that what it holds is queued again. */
import { Duration, Effect, Schema } from "effect"
import { PositiveDurationFromString } from "../domain/Quantity.ts"
import type { PeerSettings } from "../supervision/Peers.ts"

/** Phi from which a node is suspected, and from which it is dead, where nobody says otherwise. */
const SUSPECT = 5
const DEAD = 12
/** Of a chance that is smaller than this nobody can say anything. */
const MAX_PHI = 16
/** Signs of life that fit into the silence after which a node is dead, and how often that is the longest. */
export const SIGNS = 3
const LONGEST = 2

const Phi = Schema.Finite.pipe(
  Schema.check(
    Schema.isBetween({ minimum: 0.5, maximum: MAX_PHI }, { message: `expected a number from 0.5 to ${MAX_PHI}` })
  )
)

export const FailureSettings = Schema.Struct({
  suspect: Phi.pipe(Schema.withDecodingDefaultKey(Effect.succeed(SUSPECT))).annotateKey({
    description:
      "How unlikely a silence is, as phi, before its node is suspected and gets no work: 5 is one in a hundred thousand. Default 5"
  }),
  dead: Phi.pipe(Schema.withDecodingDefaultKey(Effect.succeed(DEAD))).annotateKey({
    description: "The same before it counts as dead, where it has been silent for takeover. Default 12"
  }),
  longest: Schema.optionalKey(PositiveDurationFromString).annotateKey({
    description:
      "A node that is silent for so long is dead, however unevenly it has spoken before. Default: twice takeover"
  })
})
export type FailureSettings = typeof FailureSettings.Type

/** For who says only after how long, in milliseconds, a node is to be dead. */
export const peersAfter = (after: number): PeerSettings => ({
  every: after / SIGNS,
  after,
  longest: after * LONGEST,
  suspectAt: SUSPECT,
  deadAt: DEAD
})

/** A node gives a sign of life with each heartbeat, or more often where that is too rarely. */
export const peersOf = ({
  failure: { dead, longest, suspect },
  heartbeat,
  takeover
}: {
  readonly failure: FailureSettings
  readonly heartbeat: Duration.Duration
  readonly takeover: Duration.Duration
}): PeerSettings => {
  const usual = peersAfter(Duration.toMillis(takeover))
  return {
    ...usual,
    every: Math.min(Duration.toMillis(heartbeat), usual.every),
    ...(longest === undefined ? {} : { longest: Duration.toMillis(longest) }),
    suspectAt: suspect,
    deadAt: dead
  }
}
