/** Things that happen at the same time, or when they should not, on purpose. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Child } from "../../src/supervision/Child.ts"
import * as Supervisor from "../../src/supervision/Supervisor.ts"
import { Boom, Notebook, spec, within } from "./Script.ts"

const once = (life: number, what: Effect.Effect<void>) => (life === 1 ? what : Effect.void)

describe("races", () => {
  it.effect("a child fails while it is being restarted: that is another failure, and another restart", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const child = notes.child("a", {
        starting: (life) =>
          life === 2 ? Effect.andThen(Effect.sleep("1 second"), Effect.fail(new Boom())) : Effect.void
      })
      const { supervisor } = yield* within(spec([child], { maxRestarts: 2 }))
      notes.end("a")
      yield* TestClock.adjust("1 second")
      assert.deepInclude((yield* supervisor.which)[0], { status: "running", restarts: 1 })
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "-a", "+a", "-a", "+a", "a!"])
    })
  )

  it.effect("a child fails on its way out, after it was told to stop: it is not restarted", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const child = notes.child("a", { releasing: () => Effect.die("on the way out") })
      const { supervisor } = yield* within(spec([child], { maxRestarts: 0 }))
      yield* supervisor.terminateChild("a")
      assert.deepInclude((yield* supervisor.which)[0], { status: "stopped", restarts: 0 })
    })
  )

  it.effect("a child fails while its supervisor stops: all stop, none is restarted", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("b", { releasing: () => Effect.sleep("1 second") })
      const { stop, supervisor } = yield* within(spec([notes.child("a"), slow], { maxRestarts: 0 }))
      notes.take()
      const stopping = yield* Effect.forkChild(stop, { startImmediately: true })
      notes.end("a")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopping)
      yield* supervisor.ended
      assert.deepStrictEqual(notes.take(), ["-a", "-b"])
    })
  )

  for (const strategy of ["one_for_all", "rest_for_one"] as const) {
    it.effect(`${strategy}: a child fails while a sibling starts in the same restart: the group begins again`, () =>
      Effect.gen(function* () {
        const notes = new Notebook()
        const slow = notes.child("b", { starting: (life) => (life === 2 ? Effect.sleep("1 second") : Effect.void) })
        yield* within(spec([notes.child("a"), slow, notes.child("c")], { strategy }))
        notes.end("a")
        notes.take()
        notes.end("a")
        assert.deepStrictEqual(notes.take(), ["-a", "-b", "+a", "a!", "+b", "b!", "+c", "c!"])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(notes.take(), [])
      })
    )

    it.effect(`${strategy}: a sibling fails while its group is being stopped: that is one failure, not two`, () =>
      Effect.gen(function* () {
        const notes = new Notebook()
        const slow = notes.child("c", { releasing: (life) => once(life, Effect.sleep("1 second")) })
        const all = spec([notes.child("a"), notes.child("b"), slow], { strategy, maxRestarts: 1 })
        const { supervisor } = yield* within(all)
        notes.take()
        notes.end("a")
        notes.end("b")
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(notes.take(), ["-a", "-b", "-c", "+a", "a!", "+b", "b!", "+c", "c!"])
        assert.strictEqual((yield* supervisor.count).active, 3)
      })
    )

    it.effect(`${strategy}: a sibling fails hopelessly while its group is being stopped: the supervisor gives up`, () =>
      Effect.gen(function* () {
        const notes = new Notebook()
        const slow = notes.child("c", { releasing: (life) => once(life, Effect.sleep("1 second")) })
        const all = spec([notes.child("a"), notes.child("b"), slow], { strategy })
        const { supervisor } = yield* within(all)
        notes.take()
        notes.end("a")
        notes.end("b", Effect.fail(new Boom("hopeless", { recovery: "escalate" })))
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Effect.flip(supervisor.ended)).why, "escalated")
        assert.deepStrictEqual(notes.take(), ["-a", "-b", "-c"])
      })
    )

    it.effect(`${strategy}: all fail in the same tick: that is one failure`, () =>
      Effect.gen(function* () {
        const notes = new Notebook()
        const trigger = yield* Deferred.make<void, Boom>()
        let lives = 0
        const child = (id: string): Child => ({
          id,
          start: Effect.sync(() => (++lives <= 3 ? Deferred.await(trigger) : Effect.never))
        })
        const all = spec(["a", "b", "c"].map(child), { strategy, maxRestarts: 1, report: notes.report })
        const { supervisor } = yield* within(all)
        yield* Deferred.fail(trigger, new Boom())
        assert.strictEqual((yield* supervisor.count).active, 3)
        assert.strictEqual(lives, 6)
        assert.strictEqual(notes.tags().filter((tag) => tag.startsWith("RestartScheduled")).length, 1)
      })
    )
  }

  it.effect(
    "an earlier sibling fails while the group after it pauses: the restart reaches further, and begins anew",
    () =>
      Effect.gen(function* () {
        const notes = new Notebook()
        const b = notes.child("b", { backoff: { initialDelay: "5 seconds", jitter: "none" } })
        yield* within(spec([notes.child("a"), b, notes.child("c")], { strategy: "rest_for_one" }))
        notes.end("b")
        notes.take()
        notes.end("a")
        assert.deepStrictEqual(notes.take(), ["-a", "+a", "a!", "+b", "b!", "+c", "c!"])
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(notes.take(), [])
      })
  )

  it.effect("the supervisor is stopped while its group is half stopped, half started, or pauses", () =>
    Effect.gen(function* () {
      const slowly = {
        stopping: { releasing: (life: number) => once(life, Effect.sleep("1 second")) },
        starting: { starting: (life: number) => (life === 2 ? Effect.never : Effect.void) },
        pausing: { backoff: { initialDelay: "1 hour", jitter: "none" } }
      } as const
      for (const how of [slowly.stopping, slowly.starting, slowly.pausing]) {
        const notes = new Notebook()
        const children = [notes.child("a"), notes.child("b", how), notes.child("c")]
        const { stop } = yield* within(spec(children, { strategy: "one_for_all" }))
        notes.end("b")
        const stopping = yield* Effect.forkChild(stop)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(stopping)
        assert.deepStrictEqual(
          ["a", "b", "c"].filter((id) => notes.isRunning(id)),
          []
        )
      }
    })
  )

  it.effect("the supervisor is stopped twice, and by its parent too", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("x", { releasing: () => Effect.sleep("1 second") })
      const { stop, supervisor } = yield* within(spec([Supervisor.child(spec([slow], { id: "inner" }))]))
      const all = yield* Effect.forEach([stop, supervisor.terminateChild("inner"), stop], (how) =>
        Effect.forkChild(Effect.exit(how), { startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.joinAll(all)
      assert.deepStrictEqual(notes.take(), ["+x", "x!", "-x"])
    })
  )

  it.effect("two ask for the same at once: both are answered", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("a", { releasing: () => Effect.sleep("1 second") })
      const { supervisor } = yield* within(spec([slow]))
      const both = yield* Effect.forEach([1, 2], () =>
        Effect.forkChild(supervisor.terminateChild("a"), { startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.joinAll(both)
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "-a"])
    })
  )

  it.effect("whoever asked goes away before the answer: the supervisor goes on", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([]))
      const slow = notes.child("a", { starting: () => Effect.sleep("1 second") })
      const asking = yield* Effect.forkChild(supervisor.startChild(slow), { startImmediately: true })
      yield* Fiber.interrupt(asking)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* supervisor.which)[0]?.status, "running")
    })
  )

  it.effect("a child that is over the moment it is ready, every time, uses up its restarts and does not spin", () =>
    Effect.gen(function* () {
      let lives = 0
      const child: Child = {
        id: "a",
        start: Effect.sync(() => {
          lives++
          return Effect.fail(new Boom())
        })
      }
      const { supervisor } = yield* within(spec([child], { maxRestarts: 1_000 }))
      assert.strictEqual((yield* Effect.flip(supervisor.ended)).why, "intensity")
      assert.strictEqual(lives, 1_001)
    })
  )

  it.effect("a listener that asks the supervisor things while it reports does not lock it", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      let handle: Supervisor.Supervisor | undefined
      const { supervisor } = yield* within(
        spec([notes.child("a")], {
          report: (event) =>
            event._tag === "ChildExited" && handle !== undefined
              ? Effect.ignore(handle.startChild(notes.child("b")))
              : Effect.void
        })
      )
      handle = supervisor
      notes.end("a")
      assert.strictEqual((yield* supervisor.count).active, 2)
    })
  )

  it.effect("a listener that fails, or has a bug, changes nothing", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a")], { report: () => Effect.die("bug") }))
      notes.end("a")
      assert.strictEqual((yield* supervisor.which)[0]?.status, "running")
    })
  )

  it.effect("a supervisor that is started in a scope that is closed already ends at once", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      const supervisor = yield* Scope.provide(Supervisor.start(spec([notes.child("a")])), scope)
      yield* supervisor.ended
      assert.isFalse(notes.isRunning("a"))
    })
  )

  it.effect("the requested start of a temporary child that its group ends is answered", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a")], { strategy: "one_for_all" }))
      const never = notes.child("b", { restart: "temporary", starting: () => Effect.never })
      const starting = yield* Effect.forkChild(Effect.flip(supervisor.startChild(never)), { startImmediately: true })
      notes.end("a")
      assert.strictEqual((yield* Fiber.join(starting))._tag, "ChildStartFailed")
      assert.strictEqual((yield* supervisor.count).children, 1)
    })
  )

  it.effect("a fault that does not count is paced even where the child's own pause is nothing", () =>
    Effect.gen(function* () {
      let lives = 0
      const limit = new Boom("rate limit", { countsAgainstIntensity: false })
      const child: Child = {
        id: "a",
        backoff: { initialDelay: 0 },
        start: Effect.sync(() => {
          lives++
          return Effect.fail(limit)
        })
      }
      yield* within(spec([child]))
      assert.strictEqual(lives, 2)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(lives, 3)
    })
  )

  it.effect("a child that finishes while its group's turn to start has come to it is not started twice", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const brief = notes.child("b", {
        restart: "transient",
        starting: (life) => (life === 2 ? Effect.sleep("1 second") : Effect.void)
      })
      yield* within(spec([notes.child("a"), brief], { strategy: "one_for_all" }))
      notes.end("a")
      notes.take()
      notes.end("b", Effect.void)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(notes.take(), ["b!", "-b"])
    })
  )

  it.effect(
    "the children around a pause are deleted, and a new one is asked for: it is started when the pause is over",
    () =>
      Effect.gen(function* () {
        const notes = new Notebook()
        const c = notes.child("c", { backoff: { initialDelay: "5 seconds", jitter: "none" } })
        const all = spec([notes.child("a"), notes.child("b"), c], { strategy: "rest_for_one" })
        const { supervisor } = yield* within(all)
        notes.end("c")
        for (const id of ["b", "c"]) {
          yield* supervisor.terminateChild(id)
          yield* supervisor.deleteChild(id)
        }
        notes.take()
        const starting = yield* Effect.forkChild(supervisor.startChild(notes.child("d")), { startImmediately: true })
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(starting)
        assert.deepStrictEqual(notes.take(), ["+d", "d!"])
      })
  )
})
