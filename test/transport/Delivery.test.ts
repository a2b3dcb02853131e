/** What waits between a link and one who reads, and what becomes of what is too much. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, References, Stream } from "effect"
import * as Delivery from "../../src/transport/Delivery.ts"

const make = (options: Partial<Delivery.Options<number>> = {}) => {
  const told: Array<string> = []
  const delivery = Delivery.make<number>({
    subject: "s",
    // Each number is so many bytes.
    sizeOf: (size) => size,
    messages: 1000,
    bytes: 1_000_000,
    overflow: "drop",
    slow: ({ dropped }) => told.push(`slow ${dropped}`),
    caughtUp: (dropped) => told.push(`caught up ${dropped}`),
    ...options
  })
  return { ...delivery, told }
}

describe("a delivery", () => {
  it.effect("hands out all of it in order, however it comes, to one who reads all the while", () =>
    Effect.gen(function* () {
      const { end, offer, stream } = make({ messages: 100_000, bytes: Number.MAX_SAFE_INTEGER })
      for (let n = 0; n < 30_000; n++) offer(n)
      const reader = yield* Effect.forkChild(Stream.runCollect(stream))
      for (let n = 30_000; n < 60_000; n++) {
        offer(n)
        if (n % 7 === 0) yield* Effect.yieldNow
      }
      end()
      assert.deepStrictEqual(
        yield* Fiber.join(reader),
        Array.from({ length: 60_000 }, (_, n) => n)
      )
    })
  )

  it.effect("forgets no reader that yields between looking and waiting", () =>
    Effect.gen(function* () {
      const { end, offer, stream } = make()
      const got: Array<number> = []
      const reader = yield* Effect.forkChild(
        Stream.runForEach(stream, (n) => Effect.sync(() => got.push(n))).pipe(
          // It yields after every few steps.
          Effect.provideService(References.MaxOpsBeforeYield, 3)
        )
      )
      for (let n = 0; n < 200; n++) {
        // At another of the reader's steps each time.
        for (let step = 0; step < n % 20; step++) yield* Effect.yieldNow
        offer(n)
        for (let step = 0; got.at(-1) !== n; step++) {
          assert.isBelow(step, 1000, "the reader was not woken")
          yield* Effect.yieldNow
        }
      }
      end()
      yield* Fiber.join(reader)
    })
  )

  it.effect("is bounded in bytes as well, but lets in alone what is larger than all of it", () =>
    Effect.gen(function* () {
      const { dropped, end, offer, stream, told } = make({ bytes: 100 })
      for (const size of [60, 40, 1, 1]) offer(size)
      assert.strictEqual(dropped(), 2)
      assert.deepStrictEqual(told, ["slow 1"])
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(stream, 2)), [60, 40])
      assert.deepStrictEqual(told, ["slow 1", "caught up 2"])
      offer(5000)
      offer(1)
      assert.strictEqual(dropped(), 3)
      assert.deepStrictEqual(told, ["slow 1", "caught up 2", "slow 3"])
      end()
      assert.deepStrictEqual(yield* Stream.runCollect(stream), [5000])
    })
  )

  it.effect("knows whether it is read", () =>
    Effect.gen(function* () {
      const { end, isRead, offer, stream } = make()
      assert.isTrue(isRead())
      offer(1)
      assert.isFalse(isRead())
      const reader = yield* Effect.forkChild(Stream.runForEach(stream, () => Effect.never))
      yield* Effect.yieldNow
      // Taken, but not done with.
      assert.isFalse(isRead())
      yield* Fiber.interrupt(reader)
      end()
      yield* Stream.runDrain(stream)
      assert.isTrue(isRead())
    })
  )

  it.effect("ends for one who waits, and takes nothing afterwards", () =>
    Effect.gen(function* () {
      const { dropped, end, offer, stream } = make()
      const reader = yield* Effect.forkChild(Stream.runCollect(stream))
      yield* Effect.yieldNow
      end()
      assert.deepStrictEqual(yield* Fiber.join(reader), [])
      offer(1)
      assert.strictEqual(dropped(), 0)
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(Stream.runDrain(stream))))
    })
  )
})
