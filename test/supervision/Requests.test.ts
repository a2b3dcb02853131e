import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Boom, Notebook, spec, within } from "./Script.ts"

describe("requests", () => {
  it.effect("startChild adds a child at the end and completes when it is ready", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { stop, supervisor } = yield* within(spec([notes.child("a")]))
      const slow = notes.child("b", { starting: () => Effect.sleep("1 second") })
      const starting = yield* Effect.forkChild(supervisor.startChild(slow), { startImmediately: true })
      assert.strictEqual((yield* supervisor.which)[1]?.status, "starting")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(starting)
      assert.strictEqual((yield* supervisor.which)[1]?.status, "running")
      notes.take()
      yield* stop
      assert.deepStrictEqual(notes.take(), ["-b", "-a"])
    })
  )

  it.effect("startChild does not keep a child that fails to start, and restarts nothing", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a")], { maxRestarts: 0 }))
      const bad = notes.child("b", { starting: () => Effect.fail(new Boom("no such file")) })
      const error = yield* Effect.flip(supervisor.startChild(bad))
      assert.strictEqual(error.message, 'child "b" of supervisor "node" could not be started: Boom: no such file')
      assert.deepStrictEqual(
        (yield* supervisor.which).map(({ id }) => id),
        ["a"]
      )
    })
  )

  it.effect("startChild refuses a name that is taken and a child that is specified wrongly", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a")]))
      const taken = yield* Effect.flip(supervisor.startChild(notes.child("a")))
      assert.strictEqual(taken.message, 'supervisor "node" has a child "a" already; it is running')
      const wrong = yield* Effect.flip(supervisor.startChild(notes.child("b", { shutdown: 0 })))
      assert.strictEqual(wrong._tag, "ChildRefused")
    })
  )

  it.effect("a child that was terminated stays down until it is restarted or deleted", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a"), notes.child("b")]))
      notes.take()
      yield* supervisor.terminateChild("a")
      yield* supervisor.terminateChild("a")
      assert.deepStrictEqual(notes.take(), ["-a"])
      assert.strictEqual((yield* supervisor.which)[0]?.status, "stopped")
      yield* supervisor.restartChild("a")
      assert.deepStrictEqual(notes.take(), ["+a", "a!"])
      assert.strictEqual((yield* Effect.flip(supervisor.restartChild("a")))._tag, "ChildRunning")
      assert.strictEqual((yield* Effect.flip(supervisor.deleteChild("a")))._tag, "ChildRunning")
      yield* supervisor.terminateChild("a")
      yield* supervisor.deleteChild("a")
      assert.strictEqual((yield* Effect.flip(supervisor.restartChild("a")))._tag, "ChildNotFound")
      assert.strictEqual((yield* Effect.flip(supervisor.terminateChild("a")))._tag, "ChildNotFound")
      assert.strictEqual((yield* Effect.flip(supervisor.deleteChild("a")))._tag, "ChildNotFound")
    })
  )

  it.effect("terminateChild removes a temporary child", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a", { restart: "temporary" })]))
      yield* supervisor.terminateChild("a")
      assert.deepStrictEqual(yield* supervisor.which, [])
    })
  )

  it.effect("restartChild that fails leaves the child down and known, and counts no restart", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const child = notes.child("a", { starting: (life) => (life === 2 ? Effect.fail(new Boom()) : Effect.void) })
      const { supervisor } = yield* within(spec([child], { maxRestarts: 0 }))
      yield* supervisor.terminateChild("a")
      assert.strictEqual((yield* Effect.flip(supervisor.restartChild("a")))._tag, "ChildStartFailed")
      assert.strictEqual((yield* supervisor.which)[0]?.status, "ended")
      yield* supervisor.restartChild("a")
      assert.strictEqual((yield* supervisor.which)[0]?.status, "running")
    })
  )

  it.effect("terminateChild ends a pause before a restart", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const child = notes.child("a", { backoff: { initialDelay: "1 second", jitter: "none" } })
      const { supervisor } = yield* within(spec([child]))
      notes.end("a")
      notes.take()
      assert.strictEqual((yield* supervisor.which)[0]?.status, "restarting")
      yield* supervisor.terminateChild("a")
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(notes.take(), [])
      assert.strictEqual((yield* supervisor.which)[0]?.status, "stopped")
    })
  )

  it.effect("terminateChild stops a child that is not ready yet, and whoever asked for its start is told", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([]))
      const starting = yield* Effect.forkChild(
        Effect.flip(supervisor.startChild(notes.child("a", { starting: () => Effect.never }))),
        { startImmediately: true }
      )
      yield* supervisor.terminateChild("a")
      const error = yield* Fiber.join(starting)
      assert.strictEqual(
        error.message,
        'child "a" of supervisor "node" could not be started: Stopped: was stopped before it was ready'
      )
      assert.deepStrictEqual(notes.take(), ["+a", "-a"])
    })
  )

  it.effect("terminate while its group is being restarted: the child stays down, the group comes back", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("b", { releasing: (life) => (life === 1 ? Effect.sleep("2 seconds") : Effect.void) })
      const all = spec([notes.child("a"), slow, notes.child("c")], { strategy: "one_for_all" })
      const { supervisor } = yield* within(all)
      notes.end("c")
      notes.take()
      const stopped = yield* Effect.forkChild(supervisor.terminateChild("b"), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(stopped)
      assert.deepStrictEqual(notes.take(), ["-b", "-a", "+a", "a!", "+c", "c!"])
      assert.deepStrictEqual(
        (yield* supervisor.which).map(({ status }) => status),
        ["running", "stopped", "running"]
      )
    })
  )

  it.effect("a child may stop itself", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a")]))
      notes.end("a", Effect.ignore(supervisor.terminateChild("a")))
      assert.strictEqual((yield* supervisor.which)[0]?.status, "stopped")
    })
  )

  it.effect("answers every request once it has ended, and those that wait when it ends", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { stop, supervisor } = yield* within(spec([notes.child("a")]))
      const starting = yield* Effect.forkChild(
        Effect.flip(supervisor.startChild(notes.child("b", { starting: () => Effect.never }))),
        { startImmediately: true }
      )
      yield* stop
      assert.strictEqual((yield* Fiber.join(starting))._tag, "SupervisorEnded")
      assert.strictEqual((yield* Effect.flip(supervisor.startChild(notes.child("c"))))._tag, "SupervisorEnded")
      assert.strictEqual((yield* Effect.flip(supervisor.terminateChild("a")))._tag, "SupervisorEnded")
    })
  )

  it.effect("a start that is asked for while the group is stopped takes its turn", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("a", { releasing: (life) => (life === 1 ? Effect.sleep("1 second") : Effect.void) })
      const { supervisor } = yield* within(spec([slow, notes.child("b")], { strategy: "one_for_all" }))
      notes.end("b")
      notes.take()
      const starting = yield* Effect.forkChild(supervisor.startChild(notes.child("c")), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(starting)
      assert.deepStrictEqual(notes.take(), ["-a", "+a", "a!", "+b", "b!", "+c", "c!"])
    })
  )
})
