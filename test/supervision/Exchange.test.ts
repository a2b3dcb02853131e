/** A child gives its place to another of its name, while all around it goes on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as StoppedStore from "../../src/supervision/StoppedStore.ts"
import { Boom, Notebook, spec, within } from "./Script.ts"

const yes = () => true
const ids = (children: ReadonlyArray<{ readonly id: string }>) => children.map(({ id }) => id)

describe("exchangeChild", () => {
  it.effect("stops the one before it starts the other, in its place, and remembers no stop", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const stopped = StoppedStore.memory()
      const { stop, supervisor } = yield* within(
        spec(
          ["a", "b", "c"].map((id) => notes.child(id)),
          { stopped }
        )
      )
      notes.take()
      const next = notes.child("b", { starting: () => Effect.sleep("1 second") })
      const exchange = yield* Effect.forkChild(supervisor.exchangeChild(next, yes), { startImmediately: true })
      assert.deepStrictEqual(notes.take(), ["-b", "+b"])
      assert.strictEqual((yield* stopped.all).size, 0)
      assert.strictEqual((yield* Effect.flip(supervisor.restartChild("b")))._tag, "ChildRunning")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(exchange)
      assert.deepStrictEqual(notes.take(), ["b!"])
      // It is the new one that is restarted from now on.
      notes.end("b")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(notes.take(), ["-b", "+b", "b!"])
      yield* stop
      assert.deepStrictEqual(notes.take(), ["-c", "-b", "-a"])
    })
  )

  it.effect("one that does not come up stays in the list, stays down, restarts nobody and counts for nothing", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const all = ["a", "b"].map((id) => notes.child(id))
      const { supervisor } = yield* within(spec(all, { strategy: "one_for_all", maxRestarts: 0 }))
      notes.take()
      const bad = notes.child("a", { starting: () => Effect.fail(new Boom("broken", { recovery: "escalate" })) })
      const failed = yield* Effect.flip(supervisor.exchangeChild(bad, yes))
      assert.strictEqual(failed._tag, "ChildStartFailed")
      assert.deepStrictEqual(notes.take(), ["-a", "+a", "-a"])
      assert.deepStrictEqual(ids(yield* supervisor.which), ["a", "b"])
      yield* supervisor.exchangeChild(notes.child("a"), yes)
      assert.deepStrictEqual(notes.take(), ["+a", "a!"])
      assert.isTrue(notes.isRunning("b"))
    })
  )

  it.effect("keeps one in the list that was never started before and does not come up", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a"), notes.child("b", { standby: true })]))
      const bad = notes.child("b", { starting: () => Effect.fail(new Boom()) })
      yield* Effect.flip(supervisor.exchangeChild(bad, yes))
      assert.deepStrictEqual(ids(yield* supervisor.which), ["a", "b"])
    })
  )

  it.effect("is not started where it is not wanted any more when its turn comes", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("a", { releasing: () => Effect.sleep("1 second") })
      const { supervisor } = yield* within(spec([slow]))
      notes.take()
      let wanted = true
      const exchange = yield* Effect.forkChild(
        supervisor.exchangeChild(notes.child("a"), () => wanted),
        { startImmediately: true }
      )
      const stop = yield* Effect.forkChild(supervisor.terminateChild("a"), { startImmediately: true })
      wanted = false
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(exchange)
      yield* Fiber.join(stop)
      assert.deepStrictEqual(notes.take(), ["-a"])
      assert.strictEqual((yield* supervisor.which)[0]?.status, "stopped")
    })
  )

  it.effect("takes the place of one that waits for its restart, and of a temporary one", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const paused = notes.child("a", { backoff: { initialDelay: "1 hour", jitter: "none" } })
      const { supervisor } = yield* within(spec([paused, notes.child("b", { restart: "temporary" }), notes.child("c")]))
      notes.end("a")
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* supervisor.which)[0]?.status, "restarting")
      yield* supervisor.exchangeChild(notes.child("a"), yes)
      yield* supervisor.exchangeChild(notes.child("b"), yes)
      yield* supervisor.arrangeChildren(["a", "b", "c"])
      notes.take()
      // The pause that was under way is over with it.
      yield* TestClock.adjust("2 hours")
      assert.deepStrictEqual(notes.take(), [])
      assert.deepStrictEqual(
        (yield* supervisor.which).map(({ id, status }) => `${id} ${status}`),
        ["a running", "b running", "c running"]
      )
    })
  )

  it.effect("in the middle of a group's restart it is started once, in its turn", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("c", { releasing: () => Effect.sleep("1 second") })
      const { supervisor } = yield* within(
        spec([notes.child("a"), notes.child("b"), slow], { strategy: "one_for_all" })
      )
      notes.take()
      notes.end("a")
      yield* TestClock.adjust(0)
      const exchange = yield* Effect.forkChild(supervisor.exchangeChild(notes.child("c"), yes), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(exchange)
      assert.deepStrictEqual(notes.take(), ["-a", "-c", "-b", "+a", "a!", "+b", "b!", "+c", "c!"])
    })
  )

  it.effect("whoever waits for it is told when the supervisor ends meanwhile", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("a", { releasing: () => Effect.sleep("1 second") })
      const { stop, supervisor } = yield* within(spec([slow]))
      const exchange = yield* Effect.forkChild(Effect.flip(supervisor.exchangeChild(notes.child("a"), yes)), {
        startImmediately: true
      })
      const end = yield* Effect.forkChild(stop, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(exchange))._tag, "SupervisorEnded")
      yield* Fiber.join(end)
      assert.isFalse(notes.isRunning("a"))
    })
  )
})

describe("arrangeChildren", () => {
  it.effect("is the order of starts, stops and groups from then on", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const all = ["a", "b", "c"].map((id) => notes.child(id))
      const { stop, supervisor } = yield* within(spec(all, { strategy: "rest_for_one" }))
      yield* supervisor.startChild(notes.child("d"))
      yield* supervisor.arrangeChildren(["c", "d", "nobody", "a"])
      assert.deepStrictEqual(ids(yield* supervisor.which), ["c", "d", "a", "b"])
      notes.take()
      notes.end("d")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(notes.take(), ["-d", "-b", "-a", "+d", "d!", "+a", "a!", "+b", "b!"])
      yield* stop
      assert.deepStrictEqual(notes.take(), ["-b", "-a", "-d", "-c"])
    })
  )

  it.effect("waits for a group's restart that is under way", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("c", { releasing: (life) => (life === 1 ? Effect.sleep("1 second") : Effect.void) })
      const { stop, supervisor } = yield* within(
        spec([notes.child("a"), notes.child("b"), slow], { strategy: "one_for_all" })
      )
      notes.take()
      notes.end("b")
      yield* TestClock.adjust(0)
      yield* supervisor.arrangeChildren(["c", "b", "a"])
      assert.deepStrictEqual(ids(yield* supervisor.which), ["a", "b", "c"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(notes.take(), ["-b", "-c", "-a", "+a", "a!", "+b", "b!", "+c", "c!"])
      assert.deepStrictEqual(ids(yield* supervisor.which), ["c", "b", "a"])
      yield* stop
      assert.deepStrictEqual(notes.take(), ["-a", "-b", "-c"])
    })
  )
})

describe("amendChild and removeChild", () => {
  it.effect("an amended child goes on, and its next life is the new one's", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a")]))
      notes.take()
      yield* supervisor.amendChild(notes.child("a", { restart: "transient" }))
      assert.deepStrictEqual(notes.take(), [])
      assert.strictEqual((yield* supervisor.which)[0]?.restart, "transient")
      notes.end("a", Effect.void)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(notes.take(), ["-a"])
    })
  )

  it.effect("a removed child is gone with what was remembered of it, running or not", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const stopped = StoppedStore.memory()
      const { supervisor } = yield* within(spec([notes.child("a"), notes.child("b")], { stopped }))
      yield* supervisor.terminateChild("a")
      assert.strictEqual((yield* stopped.all).size, 1)
      notes.take()
      yield* supervisor.removeChild("a")
      yield* supervisor.removeChild("b")
      yield* supervisor.removeChild("nobody")
      assert.deepStrictEqual(notes.take(), ["-b"])
      assert.strictEqual((yield* stopped.all).size, 0)
      assert.deepStrictEqual(yield* supervisor.which, [])
    })
  )
})
