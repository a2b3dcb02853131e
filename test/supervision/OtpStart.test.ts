/**
 * The cases that Erlang/OTP's supervisor test suite and documentation describe, by their names there, written anew.
 * Cases about Erlang alone are left out: modules and code change, registered and global names, application start,
 * what is saved of an argument list. Where this room differs on purpose, the test says so.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { Child } from "../../src/supervision/Child.ts"
import * as DynamicSupervisor from "../../src/supervision/DynamicSupervisor.ts"
import * as Supervisor from "../../src/supervision/Supervisor.ts"
import { Boom, Notebook, spec, within } from "./Script.ts"

const abnormal = Effect.fail(new Boom("abnormal"))
const fails = { starting: (life: number) => (life === 1 ? Effect.void : abnormal) }
const ids = (which: ReadonlyArray<{ readonly id: string }>) => which.map(({ id }) => id)
const statuses = (which: ReadonlyArray<{ readonly status: string }>) => which.map(({ status }) => status)

describe("start", () => {
  it.effect("sup_start_normal: a supervisor without children starts, and ends well", () =>
    Effect.gen(function* () {
      const { stop, supervisor } = yield* within(spec([]))
      yield* stop
      yield* supervisor.ended
    })
  )

  it.effect("sup_start_ignore_child: a child that does not want to start is kept, and its siblings start", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const shy = notes.child("a", { starting: () => Effect.interrupt })
      const { supervisor } = yield* within(spec([shy, notes.child("b")]))
      assert.deepStrictEqual(statuses(yield* supervisor.which), ["stopped", "running"])
      assert.deepStrictEqual(yield* supervisor.count, { children: 2, active: 1, workers: 2, supervisors: 0 })
    })
  )

  it.effect("sup_start_ignore_temporary_child: a temporary child that does not want to start is not kept", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const shy = notes.child("a", { restart: "temporary", starting: () => Effect.interrupt })
      const { supervisor } = yield* within(spec([shy, notes.child("b")]))
      assert.deepStrictEqual(ids(yield* supervisor.which), ["b"])
    })
  )

  it.effect("sup_start_fail: the start fails, with the reason, and nothing is left", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const bug = notes.child("b", { starting: () => Effect.die(new Error("badmatch")) })
      const error = yield* Effect.flip(Supervisor.start(spec([notes.child("a"), bug])))
      assert.include(error.message, "Defect: Error: badmatch")
      assert.isFalse(notes.isRunning("a"))
    })
  )

  it.effect("sup_start_map: the defaults: permanent, 5 seconds for workers, for ever for supervisors", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = (id: string) => notes.child(id, { shutdown: "infinity", releasing: () => Effect.sleep("1 minute") })
      const stuck = notes.child("worker", { releasing: () => Effect.never })
      const { stop, supervisor } = yield* within(spec([Supervisor.child(spec([slow("x")], { id: "sup" })), stuck]))
      const [, worker] = yield* supervisor.which
      assert.deepInclude(worker, { restart: "permanent", kind: "worker" })
      const stopping = yield* Effect.forkChild(stop)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(stopping.pollUnsafe(), undefined)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(stopping)
      assert.include(notes.lines, "-x")
    })
  )
})

describe("stop", () => {
  const stopping = (shutdown: NonNullable<Child["shutdown"]>, takes: Effect.Effect<void>) =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const children = [notes.child("a"), notes.child("b", { shutdown, releasing: () => takes })]
      const { stop } = yield* within(spec(children, { report: notes.report }))
      const fiber = yield* Effect.forkChild(stop, { startImmediately: true })
      return { fiber, notes }
    })

  it.effect("sup_stop_infinity: children are given all the time they need", () =>
    Effect.gen(function* () {
      const { fiber, notes } = yield* stopping("infinity", Effect.sleep("1 day"))
      yield* TestClock.adjust("1 day")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(notes.take().slice(-2), ["-b", "-a"])
    })
  )

  it.effect("sup_stop_timeout: a child that takes longer is ended forcibly, its siblings are not", () =>
    Effect.gen(function* () {
      const { fiber, notes } = yield* stopping("1 second", Effect.sleep("200 seconds"))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.include(notes.tags(), "ShutdownOverran b")
      assert.deepStrictEqual(notes.take().slice(-1), ["-a"])
    })
  )

  it.effect("sup_stop_brutal_kill: a brutal child is not waited for", () =>
    Effect.gen(function* () {
      const { fiber, notes } = yield* stopping("brutal", Effect.sleep("200 seconds"))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(notes.take().slice(-1), ["-a"])
    })
  )

  it.effect("child_unlink: a child that does not listen does not make the supervisor hang", () =>
    Effect.gen(function* () {
      const deaf: Child = {
        id: "deaf",
        shutdown: "1 second",
        start: Effect.succeed(Effect.uninterruptible(Effect.never))
      }
      const { supervisor } = yield* within(spec([deaf]))
      const stopped = yield* Effect.forkChild(supervisor.terminateChild("deaf"), { startImmediately: true })
      assert.deepStrictEqual(statuses(yield* supervisor.which), ["stopping"])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopped)
    })
  )
})

describe("requests", () => {
  it.effect("child_adm, extra_return: start, terminate, restart, delete, which and count, right and wrong", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const child = notes.child("child1")
      const { supervisor } = yield* within(spec([child]))
      const tag = (request: Effect.Effect<void, { readonly _tag: string }>) =>
        Effect.match(request, { onFailure: ({ _tag }) => _tag, onSuccess: () => "ok" })
      const active = Effect.map(supervisor.count, ({ active, children }) => [children, active])
      assert.strictEqual(yield* tag(supervisor.startChild(child)), "ChildAlreadyPresent")
      assert.strictEqual(yield* tag(supervisor.terminateChild("hej")), "ChildNotFound")
      assert.strictEqual(yield* tag(supervisor.terminateChild("child1")), "ok")
      assert.deepStrictEqual(yield* active, [1, 0])
      assert.strictEqual(yield* tag(supervisor.terminateChild("child1")), "ok")
      assert.strictEqual(yield* tag(supervisor.startChild(child)), "ChildAlreadyPresent")
      assert.strictEqual(yield* tag(supervisor.restartChild("child1")), "ok")
      assert.deepStrictEqual(yield* active, [1, 1])
      assert.strictEqual(yield* tag(supervisor.restartChild("child1")), "ChildRunning")
      assert.strictEqual(yield* tag(supervisor.restartChild("child2")), "ChildNotFound")
      assert.strictEqual(yield* tag(supervisor.deleteChild("child1")), "ChildRunning")
      assert.strictEqual(yield* tag(supervisor.deleteChild("hej")), "ChildNotFound")
      assert.strictEqual(yield* tag(supervisor.terminateChild("child1")), "ok")
      assert.strictEqual(yield* tag(supervisor.deleteChild("child1")), "ok")
      assert.strictEqual(yield* tag(supervisor.restartChild("child1")), "ChildNotFound")
      assert.deepStrictEqual(yield* active, [0, 0])
      assert.strictEqual(yield* tag(supervisor.startChild(child)), "ok")
      assert.deepStrictEqual(yield* active, [1, 1])
    })
  )

  it.effect("sup_start_child_returns_error: a child that fails to start is not kept", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([]))
      yield* Effect.flip(supervisor.startChild(notes.child("a", { starting: () => abnormal })))
      assert.deepStrictEqual(yield* supervisor.which, [])
    })
  )

  it.effect("sup_start_restart_child_returns_error: a child that fails to be restarted on request stays down", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a", fails)]))
      yield* supervisor.terminateChild("a")
      yield* Effect.flip(supervisor.restartChild("a"))
      assert.deepStrictEqual(statuses(yield* supervisor.which), ["ended"])
    })
  )

  it.effect("child_specs: wrong specifications are refused, with what is wrong", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([]))
      const negative = yield* Effect.flip(supervisor.startChild(notes.child("a", { shutdown: -10 })))
      assert.deepInclude(negative, { _tag: "ChildRefused", field: "shutdown", value: "-10" })
      const twice = yield* Effect.flip(Supervisor.start(spec([notes.child("a"), notes.child("a")])))
      assert.include(twice.message, 'children is "a" twice')
    })
  )

  it.effect("sup_flags: wrong intensity and period are refused", () =>
    Effect.gen(function* () {
      for (const wrong of [{ maxRestarts: -1 }, { maxRestarts: Number.NaN }, { within: 0 }] as const) {
        assert.strictEqual((yield* Effect.flip(Supervisor.start(spec([], wrong))))._tag, "SupervisorRefused")
      }
    })
  )

  it.effect("count_children, simple_one_for_one_scale_many_temporary_children: thousands come and go", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const supervisor = yield* DynamicSupervisor.start({ id: "many", maxChildren: 2_000 })
      const all = Array.from({ length: 2_000 }, (_, n) => `child-${n}`)
      for (const id of all) yield* supervisor.startChild(notes.child(id, { restart: "temporary" }))
      assert.strictEqual((yield* supervisor.count).active, 2_000)
      for (const id of all) notes.end(id, abnormal)
      assert.deepStrictEqual(yield* supervisor.count, { children: 0, active: 0, workers: 0, supervisors: 0 })
    })
  )
})
