/**
 * What a node that ends still says to its servers: that it goes, what has happened last, what others may have at once.
 *
 * Promises: all of it together holds up the end by little more than `GOOD_BYE`. What is not answered within that, or has no
 * connection, nobody waits for any longer, and for each thing after it only `HARDLY`. It is left to itself then, and ends
 * with the connections. So nothing that must not be lost is said this way only: it is on the disk, or others find out by
 * themselves, later.
 */
import { Context, Deferred, Duration, Effect, Fiber, Layer } from "effect"

/** How long the servers have to answer one thing. */
export const GOOD_BYE = Duration.seconds(1)
/** The same, when they have not answered once. */
export const HARDLY = Duration.millis(200)

export interface FarewellShape {
  /** Says it, and waits for the answer as long as may be waited. What comes of it is nobody's concern. */
  readonly say: (words: Effect.Effect<unknown, unknown>) => Effect.Effect<void>
  /** Completes when something was not answered: whoever waits for the servers of a node that ends need not any longer. */
  readonly unheard: Effect.Effect<void>
}

export const make = Effect.gen(function* () {
  const unheard = yield* Deferred.make<void>()
  let time = GOOD_BYE
  const farewell: FarewellShape = {
    say: (words) =>
      Effect.gen(function* () {
        const said = yield* Effect.forkDetach(words)
        const answered = yield* Effect.raceFirst(
          Effect.as(Fiber.await(said), true),
          Effect.as(Effect.sleep(time), false)
        )
        if (answered) return
        time = HARDLY
        yield* Deferred.succeed(unheard, undefined)
      }),
    unheard: Deferred.await(unheard)
  }
  return farewell
})

/** One for each node; where there is no node, each thing that is said has all of the time. */
export const Farewell = Context.Reference<FarewellShape>("mister-smith/transport/Farewell", {
  defaultValue: () => ({
    say: (words) => Effect.flatMap(make, ({ say }) => say(words)),
    unheard: Effect.never
  })
})

export const layer = Layer.effect(Farewell, make)
