import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { TestClock } from "effect/testing"
import { delayOf, toMillis } from "../../src/supervision/Backoff.ts"
import { Boom, Notebook, spec, within } from "./Script.ts"

const backoff = {
  initialDelay: "1 second",
  factor: 3,
  maxDelay: "10 seconds",
  resetAfter: "1 minute",
  jitter: "none"
} as const

describe("backoff", () => {
  it.effect("waits longer each time, up to the maximum", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a", { backoff })], { maxRestarts: 9 }))
      for (const wait of [1_000, 3_000, 9_000, 10_000, 10_000]) {
        notes.end("a")
        assert.strictEqual((yield* supervisor.which)[0]?.restartInMillis, wait)
        yield* TestClock.adjust(wait - 1)
        assert.isFalse(notes.isRunning("a"))
        yield* TestClock.adjust(1)
        assert.isTrue(notes.isRunning("a"))
      }
    })
  )

  it.effect("starts anew after a stable run", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a", { backoff })]))
      notes.end("a")
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("59999 millis")
      notes.end("a")
      assert.strictEqual((yield* supervisor.which)[0]?.restartInMillis, 3_000)
      yield* TestClock.adjust("3 seconds")
      yield* TestClock.adjust("1 minute")
      notes.end("a")
      assert.strictEqual((yield* supervisor.which)[0]?.restartInMillis, 1_000)
    })
  )

  it.effect("waits after a failed start too, and does not take the wait for a stable run", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const child = notes.child("a", {
        backoff: { ...backoff, resetAfter: "1 second" },
        starting: (life) =>
          life === 2 ? Effect.andThen(Effect.sleep("2 seconds"), Effect.fail(new Boom())) : Effect.void
      })
      const { supervisor } = yield* within(spec([child]))
      notes.end("a")
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* supervisor.which)[0]?.restartInMillis, 3_000)
    })
  )

  it.effect("does not keep siblings waiting, nor requests", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a", { backoff }), notes.child("b")]))
      notes.end("a")
      notes.take()
      notes.end("b")
      yield* supervisor.startChild(notes.child("c"))
      assert.deepStrictEqual(notes.take(), ["-b", "+b", "b!", "+c", "c!"])
    })
  )

  it.effect("of a child holds back its whole group", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      yield* within(spec([notes.child("a"), notes.child("b", { backoff })], { strategy: "one_for_all" }))
      notes.take()
      notes.end("b")
      assert.deepStrictEqual(notes.take(), ["-b", "-a"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b", "b!"])
    })
  )

  it.effect("with full jitter takes a random part of the delay from the Random service", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const child = notes.child("a", { backoff: { ...backoff, jitter: "full" } })
      const waits = Effect.gen(function* () {
        const { supervisor } = yield* within(spec([child], { maxRestarts: 9 }))
        const seen: Array<number> = []
        for (let n = 0; n < 4; n++) {
          notes.end("a")
          seen.push((yield* supervisor.which)[0]?.restartInMillis ?? 0)
          yield* TestClock.adjust("10 seconds")
        }
        return seen
      })
      const first = yield* Random.withSeed(waits, "jitter")
      const second = yield* Random.withSeed(waits, "jitter")
      assert.deepStrictEqual(first, second)
      assert.isTrue(first.every((wait, n) => wait >= 0 && wait <= ([1_000, 3_000, 9_000, 10_000][n] ?? 0)))
      assert.notDeepEqual(first, [1_000, 3_000, 9_000, 10_000])
    })
  )

  it("never waits longer than the maximum, however many restarts there have been", () => {
    const millis = toMillis(backoff)
    for (const attempt of [10, 1_000, 1_000_000])
      assert.strictEqual(
        delayOf(millis, attempt, () => 1),
        10_000
      )
  })
})
