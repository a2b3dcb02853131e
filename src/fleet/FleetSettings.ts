/** What a person may set about a node among others, and what it is called there if they say nothing. */
import { Effect, Schema } from "effect"
import { PositiveDurationFromString } from "../domain/Quantity.ts"
import { SigningSettings } from "../message/SigningSettings.ts"
import { FailureSettings } from "../task/FailureSettings.ts"

/** One token of a subject, and a key of a bucket. */
export const NodeId = Schema.String.pipe(
  Schema.check(
    Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, {
      message: 'expected a name of at most 63 letters, digits, dashes and underscores, such as "edge-1"'
    })
  )
)

/** Beats that may be missed before a node counts as gone: fewer, and a pause would be a death. */
export const MISSED = 2

export const FleetSettings = Schema.Struct({
  node: Schema.optionalKey(NodeId).annotateKey({
    description:
      "What this node is called among others; each needs a name of its own. Default: name and the host's name"
  }),
  heartbeat: PositiveDurationFromString.pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("5 seconds" as const))
  ).annotateKey({ description: 'How often this node tells that it is there, and how it is. Default "5 seconds"' }),
  expire: PositiveDurationFromString.pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("20 seconds" as const))
  ).annotateKey({
    description:
      'After how long without a heartbeat a node is not listed any more; the same for all nodes. Default "20 seconds"'
  }),
  replicas: Schema.Int.pipe(
    Schema.check(Schema.isBetween({ minimum: 1, maximum: 5 }, { message: "expected a whole number from 1 to 5" })),
    Schema.withDecodingDefaultKey(Effect.succeed(1))
  ).annotateKey({
    description: "On how many servers of a cluster the list of nodes is kept, when this node is the first. Default 1"
  }),
  failure: FailureSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "When another node of the same ledger counts as dead"
  }),
  signing: Schema.optionalKey(SigningSettings).annotateKey({
    description: "Who is believed, and how this node proves who it is. Default: nothing is signed, and all are believed"
  })
})
export type FleetSettings = typeof FleetSettings.Type

/** A name for who has not been given one. */
export const nodeIdOf = (name: string, host: string): string =>
  `${name}-${host}`
    .replaceAll(/[^A-Za-z0-9_-]+/g, "-")
    .replace(/^[-_]+/, "")
    .slice(0, 63)
    .replace(/-+$/, "") || "node"
