import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { Child } from "../../src/supervision/Child.ts"
import { Notebook, spec, within } from "./Script.ts"

describe("the end", () => {
  it.effect("stops children right to left, each after the one before has released what it holds", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("b", { releasing: () => Effect.sleep("2 seconds") })
      const { stop, supervisor } = yield* within(spec([notes.child("a"), slow, notes.child("c")]))
      notes.take()
      const stopping = yield* Effect.forkChild(stop)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(notes.take(), ["-c"])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(notes.take(), ["-b", "-a"])
      yield* supervisor.ended
    })
  )

  it.effect("goes on after five seconds without a child that does not end, and names it", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const stuck = notes.child("b", { releasing: () => Effect.never })
      const { stop } = yield* within(spec([notes.child("a"), stuck], { report: notes.report }))
      notes.take()
      const stopping = yield* Effect.forkChild(stop)
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(notes.take(), [])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(notes.take(), ["-a"])
      const overran = notes.events.find(({ _tag }) => _tag === "ShutdownOverran")
      assert.include(overran, { child: "b", why: "did not end within 5 seconds and was abandoned" })
    })
  )

  it.effect("goes on without a child that ignores interruption, and says so when that one ends after all", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const deaf: Child = {
        id: "deaf",
        shutdown: "1 second",
        start: Effect.succeed(Effect.uninterruptible(Effect.sleep("10 seconds")))
      }
      const { stop, supervisor } = yield* within(spec([deaf, notes.child("b")], { report: notes.report }))
      const stopped = yield* Effect.forkChild(supervisor.terminateChild("deaf"))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopped)
      yield* TestClock.adjust("9 seconds")
      assert.includeMembers([...notes.tags()], ["ShutdownOverran deaf", "ChildTerminated deaf", "AbandonedEnded deaf"])
      yield* stop
    })
  )

  it.effect("does not wait at all for a brutal child", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const stuck = notes.child("b", { shutdown: "brutal", releasing: () => Effect.never })
      const { stop } = yield* within(spec([notes.child("a"), stuck], { report: notes.report }))
      yield* stop
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b", "b!", "-a"])
      assert.notInclude(notes.tags(), "ShutdownOverran b")
    })
  )

  it.effect("waits without limit for a child whose shutdown is infinity", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("a", { shutdown: "infinity", releasing: () => Effect.sleep("1 day") })
      const { stop } = yield* within(spec([slow]))
      const stopping = yield* Effect.forkChild(stop)
      yield* TestClock.adjust("23 hours")
      assert.strictEqual(stopping.pollUnsafe(), undefined)
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(stopping)
    })
  )

  it.effect("ends although a finaliser fails", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const bad = notes.child("b", { releasing: () => Effect.die("in the finaliser") })
      const { stop } = yield* within(spec([notes.child("a"), bad]))
      yield* stop
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b", "b!", "-a"])
    })
  )
})
