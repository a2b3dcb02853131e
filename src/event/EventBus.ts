/**
 * Carries events to whoever listens, without ever making the one who reports wait. A subscriber that is slower than
 * `capacity` events loses the oldest and is told so by an `events.gap`, never silently. What is published holds no secret:
 * it passes Redaction here, once for all who listen.
 */
import { Clock, Context, Effect, Layer, PubSub, type Scope, Stream } from "effect"
import { redactIn } from "../domain/Redaction.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import type { Event, Published } from "./Event.ts"

/** What names something is no text of anybody, and readers look for it as it is. */
const NAMES = new Set(["type", "agent", "task", "supervisor", "child", "from", "to"])

/** Events kept for a slow subscriber. */
export const CAPACITY = 4096

export class EventBus extends Context.Service<
  EventBus,
  {
    publish(event: Event): Effect.Effect<void>
    /** The number of the last event; 0 before the first. */
    readonly last: Effect.Effect<number>
    /** Live once the Effect completes; ends with the Scope. */
    readonly subscribe: Effect.Effect<Stream.Stream<Published>, never, Scope.Scope>
  }
>()("mister-smith/event/EventBus") {
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function* () {
      const events = yield* Effect.acquireRelease(PubSub.sliding<Published>(CAPACITY), PubSub.shutdown)
      let seq = 0
      return EventBus.of({
        publish: (event) =>
          Effect.flatMap(Clock.currentTimeMillis, (at) => {
            crashPoint("publish.before")
            const published = { ...redactIn(event, NAMES), seq: ++seq, at }
            return Effect.map(PubSub.publish(events, published), () => crashPoint("publish.after"))
          }),
        last: Effect.sync(() => seq),
        subscribe: Effect.suspend(() => {
          let last = seq
          return Effect.map(PubSub.subscribe(events), (subscription) =>
            Stream.fromSubscription(subscription).pipe(
              Stream.flatMap((event) => {
                const missed = event.seq - last - 1
                last = event.seq
                return missed > 0
                  ? Stream.make<[Published, Published]>(
                      { type: "events.gap", missed, seq: event.seq, at: event.at },
                      event
                    )
                  : Stream.succeed(event)
              })
            )
          )
        })
      })
    })
  )
}
