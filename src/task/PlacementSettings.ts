/** Which node of a fleet takes a task that several may take. */
import { Effect, Schema } from "effect"
import { duration } from "../domain/Setting.ts"

const Dollars = Schema.Finite.pipe(
  Schema.check(Schema.isGreaterThanOrEqualTo(0, { message: "expected a number, 0 or more" }))
)

export const PlacedBy = Schema.Literals(["first", "auction"])
  .pipe(Schema.withDecodingDefaultKey(Effect.succeed("first" as const)))
  .annotateKey({
    description:
      "Which node gets a task. first: whoever claims it first; auction: nodes bid for it, and the best bid claims it; the same for all nodes. Default first"
  })

export const Sticky = duration(
  "1 minute",
  "For how long a task that was begun on another node is left to that one, which may still hold its conversation, while it lives."
)

export const AuctionSettings = Schema.Struct({
  window: duration("150 millis", "How long bids are waited for, up to 10 seconds."),
  grace: duration("2 seconds", "How long those who were outbid keep away, up to 1 minute; then the task is anybody's."),
  price: Schema.optionalKey(Dollars).annotateKey({
    description: "What a million tokens cost on this node, in dollars, as it bids. Default: not said, which is dearest"
  }),
  quotaUsd: Schema.optionalKey(Dollars).annotateKey({
    description:
      "Dollars that the agents of this node are to spend in a run: with nothing left it bids behind all others. Default: no bound"
  })
})
export type AuctionSettings = typeof AuctionSettings.Type
