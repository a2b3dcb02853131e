import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import * as CircuitBreaker from "../../src/resource/CircuitBreaker.ts"
import { bulkhead } from "../../src/resource/Limits.ts"
import { BulkheadFull } from "../../src/resource/ResourceError.ts"
import * as Retry from "../../src/resource/Retry.ts"

const bad = Effect.fail("bad")
const good = Effect.succeed("good")

describe("a circuit breaker", () => {
  const make = (settings: Partial<CircuitBreaker.CircuitSettings> = {}) =>
    CircuitBreaker.make({ name: "api", window: 4, minimumCalls: 4, halfOpenPermits: 2, ...settings })

  it.effect("opens when half of the latest calls have failed, and then rejects without calling", () =>
    Effect.gen(function* () {
      const states: Array<string> = []
      const breaker = yield* make({ onChange: (state) => states.push(state) })
      for (const call of [bad, good, good]) yield* Effect.exit(breaker.run(call))
      assert.strictEqual(yield* breaker.state, "closed")
      yield* Effect.exit(breaker.run(bad))
      assert.deepStrictEqual(states, ["open"])
      let called = false
      const call = Effect.sync(() => {
        called = true
      })
      const error = yield* Effect.flip(breaker.run(call))
      assert.isFalse(called)
      assert.strictEqual(error.message, '"api" has failed too often and is not called for another 30000 ms')
    })
  )

  it.effect("looks back on the latest calls only", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      for (const call of [bad, good, good, good, bad, good, good, good, bad]) yield* Effect.exit(breaker.run(call))
      assert.strictEqual(yield* breaker.state, "closed")
    })
  )

  it.effect("lets a few calls through after a while, and closes when all of them go well", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      for (let n = 0; n < 4; n++) yield* Effect.exit(breaker.run(bad))
      yield* TestClock.adjust("30 seconds")
      const gate = yield* Deferred.make<void>()
      const trials = yield* Effect.forEach([1, 2], () =>
        Effect.forkChild(breaker.run(Deferred.await(gate)), { startImmediately: true })
      )
      assert.strictEqual(yield* breaker.state, "half-open")
      assert.strictEqual((yield* Effect.flip(breaker.run(good)))._tag, "CircuitOpen")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(trials)
      assert.strictEqual(yield* breaker.state, "closed")
    })
  )

  it.effect("opens again when one of them fails", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      for (let n = 0; n < 4; n++) yield* Effect.exit(breaker.run(bad))
      yield* TestClock.adjust("30 seconds")
      yield* Effect.exit(breaker.run(bad))
      assert.strictEqual(yield* breaker.state, "open")
      yield* TestClock.adjust("29 seconds")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(breaker.run(good))))
    })
  )

  it.effect("gets its permit back from an interrupted call", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      for (let n = 0; n < 4; n++) yield* Effect.exit(breaker.run(bad))
      yield* TestClock.adjust("30 seconds")
      for (let n = 0; n < 5; n++) {
        const trial = yield* Effect.forkChild(breaker.run(Effect.never), { startImmediately: true })
        yield* Fiber.interrupt(trial)
      }
      yield* breaker.run(good)
      yield* breaker.run(good)
      assert.strictEqual(yield* breaker.state, "closed")
    })
  )

  it.effect("does not count a call that began before the last change", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      const gate = yield* Deferred.make<void, string>()
      const late = yield* Effect.forkChild(Effect.exit(breaker.run(Deferred.await(gate))), { startImmediately: true })
      for (let n = 0; n < 4; n++) yield* Effect.exit(breaker.run(bad))
      yield* TestClock.adjust("30 seconds")
      yield* breaker.run(good)
      yield* Deferred.fail(gate, "late")
      yield* Fiber.join(late)
      assert.strictEqual(yield* breaker.state, "half-open")
    })
  )

  it.effect("counts defects always, and errors only where they speak against what was called", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ isFailure: (error) => error !== "not found" })
      for (let n = 0; n < 8; n++) yield* Effect.exit(breaker.run(Effect.fail("not found")))
      assert.strictEqual(yield* breaker.state, "closed")
      for (let n = 0; n < 2; n++) yield* Effect.exit(breaker.run(Effect.die("bug")))
      assert.strictEqual(yield* breaker.state, "open")
    })
  )
})

describe("a bulkhead", () => {
  it.effect("lets so many in, lets so many wait in order, and rejects the rest", () =>
    Effect.gen(function* () {
      const limit = yield* bulkhead({ name: "api", permits: 2, queue: 1 })
      const done: Array<number> = []
      const gate = yield* Deferred.make<void>()
      const call = (n: number) =>
        limit.run(
          Effect.andThen(
            Deferred.await(gate),
            Effect.sync(() => done.push(n))
          )
        )
      const calls = yield* Effect.forEach([1, 2, 3], (n) => Effect.forkChild(call(n), { startImmediately: true }))
      assert.deepStrictEqual([yield* limit.running, yield* limit.waiting], [2, 1])
      const error = yield* Effect.flip(call(4))
      assert.instanceOf(error, BulkheadFull)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(calls)
      assert.deepStrictEqual(done, [1, 2, 3])
      assert.deepStrictEqual([yield* limit.running, yield* limit.waiting], [0, 0])
    })
  )

  it.effect("loses no permit, whatever becomes of the calls", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(fc.array(fc.constantFrom("well", "fails", "dies", "interrupted"), { maxLength: 30 }), (ends) =>
          Effect.runPromise(
            Effect.gen(function* () {
              const limit = yield* bulkhead({ name: "api", permits: 2, queue: 3 })
              for (const end of ends) {
                const call = { well: good, fails: bad, dies: Effect.die("bug"), interrupted: Effect.never }[end]
                const fiber = yield* Effect.forkChild(Effect.exit(limit.run(call)), { startImmediately: true })
                yield* Fiber.interrupt(fiber)
              }
              assert.deepStrictEqual([yield* limit.running, yield* limit.waiting], [0, 0])
              yield* Effect.all([limit.run(good), limit.run(good)], { concurrency: 2 })
            })
          )
        ),
        { numRuns: 200 }
      )
    )
  )

  it.effect("an interrupted caller leaves the queue", () =>
    Effect.gen(function* () {
      const limit = yield* bulkhead({ name: "api", permits: 1, queue: 1 })
      yield* Effect.forkChild(limit.run(Effect.never), { startImmediately: true })
      const waiting = yield* Effect.forkChild(limit.run(good), { startImmediately: true })
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(yield* limit.waiting, 0)
    })
  )
})

describe("retry", () => {
  const curable = new BulkheadFull({ bulkhead: "api", permits: 1, queue: 0 })

  it.effect("tries again what another try may cure, so many times, and nothing else", () =>
    Effect.gen(function* () {
      let calls = 0
      const call = (error: unknown) => Effect.suspend(() => Effect.fail([++calls, error][1]))
      const first = yield* Effect.forkChild(Effect.exit(Retry.retry(call(curable), { times: 3 })))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(first)
      assert.strictEqual(calls, 4)
      yield* Effect.exit(Retry.retry(call("hopeless"), { times: 3 }))
      assert.strictEqual(calls, 5)
    })
  )

  it.effect("stays within its budget when everything fails, and gives back what the call failed with", () =>
    Effect.gen(function* () {
      const budget = yield* Retry.budget({ ratio: 0.2, reserve: 5 })
      let calls = 0
      const call = Effect.suspend(() => Effect.fail([++calls, curable][1]))
      const failing = Effect.forEach(
        Array.from({ length: 100 }),
        () => Effect.flip(Retry.retry(call, { times: 3, budget })),
        { concurrency: "unbounded" }
      )
      const all = yield* Effect.forkChild(failing)
      yield* TestClock.adjust("1 minute")
      const errors = yield* Fiber.join(all)
      assert.isTrue(errors.every((error) => error === curable))
      assert.isAtMost(calls, 100 + 25)
      assert.isAtLeast(calls, 105)
    })
  )

  it.effect("has a budget again when time has passed", () =>
    Effect.gen(function* () {
      const budget = yield* Retry.budget({ ratio: 0, reserve: 1 })
      assert.isTrue(budget.withdraw())
      assert.isFalse(budget.withdraw())
      yield* TestClock.adjust("10 minutes")
      assert.isTrue(budget.withdraw())
    })
  )
})
