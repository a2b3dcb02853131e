import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Supervisor from "../../src/supervision/Supervisor.ts"
import { Boom, Notebook, spec } from "./Script.ts"

describe("the first start", () => {
  it.effect("starts children left to right, the next one when the one before is ready", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("b", { starting: () => Effect.sleep("3 seconds") })
      const starting = yield* Effect.forkScoped(Supervisor.start(spec([notes.child("a"), slow, notes.child("c")])))
      yield* TestClock.adjust("2999 millis")
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b"])
      assert.strictEqual(starting.pollUnsafe(), undefined)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(notes.take(), ["b!", "+c", "c!"])
      yield* Fiber.join(starting)
    })
  )

  it.effect("stops what was started, last one first, when a child cannot be started, and fails", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const bad = notes.child("c", { starting: () => Effect.fail(new Boom("no such file")) })
      const error = yield* Effect.flip(
        Supervisor.start(spec([notes.child("a"), notes.child("b"), bad, notes.child("d")]))
      )
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b", "b!", "+c", "-c", "-b", "-a"])
      assert.strictEqual(
        error.message,
        'supervisor "node" did not start: child "c" could not be started: Boom: no such file'
      )
    })
  )

  it.effect("stops what was started when it is interrupted before all are ready", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const never = notes.child("b", { starting: () => Effect.never })
      const starting = yield* Effect.forkChild(
        Effect.scoped(Supervisor.start(spec([notes.child("a"), never, notes.child("c")]))),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(starting)
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b", "-b", "-a"])
    })
  )

  it.effect("starts no other child while one that has failed to start is unwound, though it takes its time", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const bad = notes.child("b", {
        starting: () => Effect.fail(new Boom()),
        releasing: () => Effect.sleep("2 seconds")
      })
      const starting = yield* Effect.forkScoped(Supervisor.start(spec([notes.child("a"), bad, notes.child("c")])))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(notes.take(), ["-b", "-a"])
      assert.isTrue(Exit.isFailure(yield* Fiber.await(starting)))
    })
  )

  it.effect("restarts a child that fails while a sibling still starts", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("b", { starting: () => Effect.sleep("3 seconds") })
      yield* Effect.forkScoped(Supervisor.start(spec([notes.child("a"), slow])))
      yield* TestClock.adjust("1 second")
      notes.end("a")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b", "-a", "+a", "a!", "b!"])
    })
  )

  it.effect("refuses what is specified wrongly, naming the value, and starts nothing", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const a = notes.child("a")
      const refusals = [
        spec([a], { maxRestarts: -1 }),
        spec([a], { maxRestarts: 1.5 }),
        spec([a], { within: 0 }),
        spec([a], { id: "a/b" }),
        spec([a, notes.child("a")]),
        spec([a, notes.child("b", { shutdown: 0 })]),
        spec([a, notes.child("b", { backoff: { initialDelay: -1 } })]),
        spec([a, notes.child("b", { backoff: { initialDelay: 1, factor: 0.5 } })]),
        spec([a, notes.child("")])
      ]
      const messages = yield* Effect.forEach(refusals, (bad) =>
        Effect.map(Effect.flip(Supervisor.start(bad)), ({ message }) => message)
      )
      assert.deepStrictEqual(messages, [
        'supervisor "node" is refused: maxRestarts is -1, expected a whole number of 0 or more',
        'supervisor "node" is refused: maxRestarts is 1.5, expected a whole number of 0 or more',
        'supervisor "node" is refused: within is 0, expected a time above 0',
        'supervisor "a/b" is refused: id is "a/b", expected a name without slashes',
        'supervisor "node" is refused: children is "a" twice, expected children with different ids',
        'child "b" of supervisor "node" is refused: shutdown is 0, expected a time above 0, "brutal" or "infinity"',
        'child "b" of supervisor "node" is refused: backoff.initialDelay is -1, expected a time of 0 or more',
        'child "b" of supervisor "node" is refused: backoff.factor is 0.5, expected a number of 1 or more',
        'child "" of supervisor "node" is refused: id is , expected a name'
      ])
      assert.deepStrictEqual(notes.take(), [])
    })
  )
})
