/**
 * The sign of life of a node in the ledger's bucket, and what follows from those of others: who is suspected, dead or back
 * is told, and what a dead one held is queued again. Between two signs of life it looks once more when somebody's silence
 * becomes too long, so that a death is found when it is one and not at the next occasion.
 */
import { Clock, Effect, PubSub, Stream } from "effect"
import { EventBus } from "../event/EventBus.ts"
import { inModule } from "../observability/Log.ts"
import type { JetStreamStore, NodeChange } from "./JetStreamStore.ts"
import type { OtherNodes } from "./OtherNodes.ts"

/** By the machine's time, and no other: servers and nodes live by it. */
export const pause = (millis: number) =>
  Effect.callback<void>((resume) => {
    const timer = setTimeout(() => resume(Effect.void), millis)
    return Effect.sync(() => clearTimeout(timer))
  })

/** Does this for ever, with the pauses that it answers with. What fails is said once, until it works again. */
export const again = (store: JetStreamStore, work: Effect.Effect<number, unknown>, otherwise: number) => {
  let said = false
  return work.pipe(
    Effect.tap(() => Effect.sync(() => (said = false))),
    Effect.catch((error) =>
      Effect.suspend(() => {
        if (said) return Effect.succeed(otherwise)
        said = true
        return Effect.as(inModule("task")(Effect.logWarning(store.unusable(error).message)), otherwise)
      })
    ),
    Effect.flatMap(pause),
    Effect.forever,
    Effect.forkScoped
  )
}

const eventOf = ({ from, peer: node, phi, silenceMillis, state, tasks }: NodeChange) => {
  const silence = { node, phi: Math.round(phi * 100) / 100, silenceMillis: Math.round(silenceMillis) }
  if (state === "suspected") return { type: "fleet.suspected" as const, ...silence }
  if (state === "dead") return { type: "fleet.dead" as const, ...silence, tasks }
  return { type: "fleet.back" as const, node, was: from === "dead" ? ("dead" as const) : ("suspected" as const) }
}

/** Lives with the Scope. */
export const watching = Effect.fnUntraced(function* (store: JetStreamStore) {
  const bus = yield* EventBus
  const changed = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)
  const { peers } = store
  const { every } = peers.settings
  let due = 0

  const look = Effect.gen(function* () {
    const regular = performance.now() >= due
    if (regular) due = performance.now() + every
    const changes = yield* Effect.tryPromise({ try: () => store.beat(regular), catch: (error) => error })
    for (const change of changes) {
      // That somebody is gone who went before this node came, and has left nothing, is no news.
      if (change.from === "left") continue
      if (change.tasks > 0 || peers.wasHeard(change.peer)) yield* bus.publish(eventOf(change))
    }
    const now = yield* Clock.currentTimeMillis
    if (changes.some(({ state }) => state === "dead")) store.lately()
    store.holding.takeOver(now)
    if (regular) store.holding.giveUpOrphans(now)
    if (changes.length > 0) yield* PubSub.publish(changed, undefined)
    return Math.max(0, Math.min(due - performance.now(), peers.next()))
  })
  yield* again(store, look, every)

  return {
    standing: (node) => peers.stateOf(node),
    lives: (node) => peers.lives(node),
    all: () => peers.views(),
    changes: Effect.map(PubSub.subscribe(changed), Stream.fromSubscription)
  } satisfies OtherNodes
})
