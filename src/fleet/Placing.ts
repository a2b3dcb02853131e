/**
 * Which tasks this node takes, among others that share its ledger: bids are said and heard over the servers. Where it shares
 * none it takes all.
 */
import { Effect, Layer, PubSub, type Scope, Stream } from "effect"
import type { SecureRandom } from "effect/crypto/SecureRandom"
import type { Fault } from "../domain/Fault.ts"
import type { EventBus } from "../event/EventBus.ts"
import type { TaskBid } from "../message/Bid.ts"
import { on } from "../message/MessageRouter.ts"
import { inModule } from "../observability/Log.ts"
import * as Placement from "../task/Placement.ts"
import { TaskLedger } from "../task/TaskLedger.ts"
import { FleetVoice, type Self } from "./Fleet.ts"
import type { Speech } from "./Speech.ts"

/** Bids that wait to be looked at; of more, the oldest are as if they had not been heard. */
const MAX_HEARD = 10_000

export const layer = ({
  settings
}: Self): Layer.Layer<never, never, FleetVoice | TaskLedger | EventBus | SecureRandom> =>
  Layer.effect(
    Placement.Placement,
    inModule("fleet")(
      Effect.gen(function* () {
        const { here } = yield* TaskLedger
        const { speech } = yield* FleetVoice
        if (here?.shared !== true) return yield* Placement.Placement
        const bids = settings.placement === "auction" && speech !== undefined ? yield* bidding(speech) : undefined
        return yield* Placement.make({ here, settings: { ...settings.auction, sticky: settings.sticky }, bids })
      })
    )
  )

const bidding = Effect.fnUntraced(function* ({
  router,
  subjects
}: Speech): Effect.fn.Return<Placement.Bids, never, SecureRandom | Scope.Scope> {
  const heard = yield* Effect.acquireRelease(PubSub.sliding<TaskBid>(MAX_HEARD), PubSub.shutdown)
  const subscription = yield* PubSub.subscribe(heard)
  const voice = yield* router([on("TaskBid", ({ envelope }) => Effect.asVoid(PubSub.publish(heard, envelope.body)))])
  yield* voice
    .listen(subjects.all.bid)
    .pipe(Effect.catch((fault: Fault) => Effect.logWarning(`this node hears no bids: ${fault.message}`)))
  return {
    heard: Stream.fromSubscription(subscription),
    say: (bid) =>
      Effect.fromResult(subjects.bid(bid.task)).pipe(
        Effect.flatMap((subject) => voice.publish(subject, { type: "TaskBid", body: bid, correlationId: bid.task })),
        Effect.as(true),
        Effect.catch((fault: Fault) => Effect.as(Effect.logDebug(fault.message), false))
      )
  }
})
