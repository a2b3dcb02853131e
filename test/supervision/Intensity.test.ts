import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Child } from "../../src/supervision/Child.ts"
import { Boom, Notebook, spec, within } from "./Script.ts"

describe("intensity", () => {
  for (const strategy of ["one_for_one", "one_for_all", "rest_for_one"] as const) {
    it.effect(`${strategy} allows so many restarts within the window and gives up at the next`, () =>
      Effect.gen(function* () {
        const notes = new Notebook()
        const children = [notes.child("a"), notes.child("b")]
        const { supervisor } = yield* within(spec(children, { strategy, maxRestarts: 2, within: "10 seconds" }))
        notes.end("a")
        yield* TestClock.adjust("5 seconds")
        notes.end("b")
        yield* TestClock.adjust("5 seconds")
        notes.take()
        notes.end("a", Effect.fail(new Boom("exit 137")))
        const error = yield* Effect.flip(supervisor.ended)
        assert.deepStrictEqual(notes.take(), ["-a", "-b"])
        assert.strictEqual(
          error.message,
          'supervisor "node" gave up: child "a" failed, and more than 2 restarts within 10 seconds are not allowed; the last failure was Boom: exit 137'
        )
        assert.deepStrictEqual(
          error.history.map(({ at, child, reason }) => [child, reason.message, at]),
          [
            ["a", "boom", 0],
            ["b", "boom", 5_000],
            ["a", "exit 137", 10_000]
          ]
        )
      })
    )

    it.effect(`${strategy} goes on when the oldest restart has left the window`, () =>
      Effect.gen(function* () {
        const notes = new Notebook()
        const { supervisor } = yield* within(
          spec([notes.child("a"), notes.child("b")], { strategy, maxRestarts: 2, within: "10 seconds" })
        )
        for (const wait of ["0 millis", "5 seconds", "5001 millis", "5 seconds"] as const) {
          yield* TestClock.adjust(wait)
          notes.end("a")
        }
        assert.deepStrictEqual(
          (yield* supervisor.which).map(({ status }) => status),
          ["running", "running"]
        )
      })
    )
  }

  it.effect("0 gives up at the first failure", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a")], { maxRestarts: 0 }))
      notes.end("a")
      assert.strictEqual((yield* Effect.flip(supervisor.ended)).why, "intensity")
    })
  )

  it.effect("the normal end of a permanent child counts", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a")], { maxRestarts: 0 }))
      notes.end("a", Effect.void)
      const error = yield* Effect.flip(supervisor.ended)
      assert.strictEqual(error.history[0]?.reason.kind, "Ended")
    })
  )

  it.effect("a fault that does not count restarts the child all the same, the second time in a row after a pause", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const limit = Effect.fail(new Boom("rate limit", { countsAgainstIntensity: false }))
      const { supervisor } = yield* within(spec([notes.child("a")], { maxRestarts: 0 }))
      notes.take()
      notes.end("a", limit)
      assert.deepStrictEqual(notes.take(), ["-a", "+a", "a!"])
      notes.end("a", limit)
      assert.deepStrictEqual(notes.take(), ["-a"])
      assert.strictEqual((yield* supervisor.which)[0]?.restartInMillis, 1_000)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(notes.take(), ["+a", "a!"])
    })
  )

  it.effect("a defect on the way out makes a fault count that would not", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const limit = Effect.fail(new Boom("rate limit", { countsAgainstIntensity: false }))
      const child = notes.child("a", { releasing: () => Effect.die("and a bug") })
      const { supervisor } = yield* within(spec([child], { maxRestarts: 0 }))
      notes.end("a", limit)
      assert.strictEqual((yield* Effect.flip(supervisor.ended)).why, "intensity")
    })
  )

  it.effect("many children that fail in the same tick are counted one by one", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const ids = ["a", "b", "c", "d"]
      const trigger = yield* Deferred.make<void, Boom>()
      const lives = new Map<string, number>()
      const children = ids.map(
        (id): Child => ({
          id,
          start: Effect.sync(() => {
            lives.set(id, (lives.get(id) ?? 0) + 1)
            return lives.get(id) === 1 ? Deferred.await(trigger) : Effect.never
          })
        })
      )
      const { supervisor } = yield* within(spec(children, { maxRestarts: 3, report: notes.report }))
      yield* Deferred.fail(trigger, new Boom())
      assert.deepStrictEqual(
        [...lives.values()],
        [2, 2, 2, 2].map((n, i) => (i === 3 ? n - 1 : n))
      )
      assert.strictEqual((yield* Effect.flip(supervisor.ended)).child, "d")
    })
  )
})
