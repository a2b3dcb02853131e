/** What a node that ends says to its servers: how long it waits for those that do not answer, and that it waits for no other. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Farewell from "../../src/transport/Farewell.ts"

const goodBye = Duration.toMillis(Farewell.GOOD_BYE)
const hardly = Duration.toMillis(Farewell.HARDLY)

/** Until when it is waited, by the clock of the test. */
const endOf = (words: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const end = yield* Effect.forkChild(Effect.andThen(words, Clock.currentTimeMillis))
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(end)
  })

describe("the farewell of a node", () => {
  it.effect("waits for nothing longer than a second, and for all that follows hardly, whatever is answered then", () =>
    Effect.gen(function* () {
      const { say } = yield* Farewell.make
      assert.strictEqual(yield* endOf(say(Effect.never)), goodBye)
      const began = yield* Clock.currentTimeMillis
      yield* say(Effect.void)
      assert.strictEqual(yield* Clock.currentTimeMillis, began)
      assert.strictEqual((yield* endOf(Effect.andThen(say(Effect.never), say(Effect.never)))) - began, 2 * hardly)
    })
  )

  it.effect("waits for an answer, whatever it is, and says that something was unheard only then", () =>
    Effect.gen(function* () {
      const { say, unheard } = yield* Farewell.make
      const told = yield* Deferred.make<void>()
      yield* Effect.forkChild(Effect.andThen(unheard, Deferred.succeed(told, undefined)))
      for (const answer of [Effect.void, Effect.fail("no"), Effect.die("never")]) {
        yield* say(Effect.andThen(Effect.sleep(goodBye / 2), answer)).pipe(endOf)
        assert.isFalse(yield* Deferred.isDone(told))
      }
      yield* endOf(say(Effect.never))
      assert.isTrue(yield* Deferred.isDone(told))
    })
  )

  it.effect("leaves to itself what cannot be broken off", () =>
    Effect.gen(function* () {
      const { say } = yield* Farewell.make
      const answer = yield* Deferred.make<void>()
      const done = yield* Deferred.make<void>()
      const stubborn = Effect.uninterruptible(Effect.andThen(Deferred.await(answer), Deferred.succeed(done, undefined)))
      // As the end of a Scope says it.
      yield* endOf(Effect.uninterruptible(say(stubborn)))
      assert.isFalse(yield* Deferred.isDone(done))
      yield* Deferred.succeed(answer, undefined)
      yield* Deferred.await(done)
    })
  )
})
