/**
 * The latest events of this run, so that a reader who comes late, was away, or is slow can still have them.
 *
 * Promises: it holds between CAPACITY and twice CAPACITY events and no more, however many read and however slowly; a
 * reader gets every event once and in order; what it cannot get any more is told by an `events.gap`, never left out
 * silently.
 */
import { Context, Effect, Layer, PubSub, Stream } from "effect"
import type { Published } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"

/** Events that are kept at least. */
export const CAPACITY = 4096

/** Where a reader wants to begin. Nothing said: with what happens from now on. */
export interface From {
  /** After the event with this number. */
  readonly after?: number | undefined
  /** With the latest so many. */
  readonly last?: number | undefined
}

export class History extends Context.Service<
  History,
  {
    /**
     * The place is taken when the Effect completes, so that nothing after it is missed. Without `follow` the stream ends
     * with what there is now; with it, when the History does.
     */
    read(from: From, follow: boolean): Effect.Effect<Stream.Stream<Published>>
  }
>()("mister-smith/admin/History") {
  /** Everything published from the moment the Layer is built. */
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function* () {
      const events = yield* (yield* EventBus).subscribe
      const changed = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)
      const kept: Array<Published> = []
      let newest = 0

      yield* events.pipe(
        Stream.runForEachArray((chunk) => {
          for (const event of chunk) {
            // A reader finds every gap itself, by the numbers.
            if (event.type === "events.gap") continue
            kept.push(event)
            newest = event.seq
          }
          if (kept.length > 2 * CAPACITY) kept.splice(0, kept.length - CAPACITY)
          return PubSub.publish(changed, undefined)
        }),
        Effect.forkScoped
      )

      /** What there is after the event with this number, every gap told in its place. */
      const since = (seq: number): ReadonlyArray<Published> => {
        let last = seq
        return kept.slice(kept.findLastIndex((event) => event.seq <= seq) + 1).flatMap((event) => {
          const missed = event.seq - last - 1
          last = event.seq
          return missed > 0 ? [{ type: "events.gap", missed, seq: event.seq - 1, at: event.at }, event] : [event]
        })
      }

      const place = ({ after, last }: From): number =>
        // A number that has not been given yet is of another run: all there is, then.
        after !== undefined ? (after > newest ? 0 : after) : last === undefined ? newest : before(last)
      const before = (last: number) => {
        const first = last === 0 ? undefined : kept.at(-Math.min(last, kept.length))
        return first === undefined ? newest : first.seq - 1
      }

      return History.of({
        read: (from, follow) =>
          Effect.sync(() => {
            let read = place(from)
            const more = Effect.sync(() => {
              const found = since(read)
              read = found.at(-1)?.seq ?? read
              return found
            })
            if (!follow) return Stream.fromIterableEffect(more)
            return Stream.unwrap(
              Effect.map(PubSub.subscribe(changed), (changes) =>
                Stream.make(undefined).pipe(
                  Stream.concat(Stream.fromSubscription(changes)),
                  Stream.mapEffect(() => more),
                  Stream.flattenIterable
                )
              )
            )
          })
      })
    })
  )
}
