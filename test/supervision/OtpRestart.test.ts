/**
 * The cases that Erlang/OTP's supervisor test suite and documentation describe, by their names there, written anew.
 * Cases about Erlang alone are left out: modules and code change, registered and global names, application start,
 * what is saved of an argument list. Where this room differs on purpose, the test says so.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as DynamicSupervisor from "../../src/supervision/DynamicSupervisor.ts"
import * as Supervisor from "../../src/supervision/Supervisor.ts"
import { Boom, Notebook, spec, within } from "./Script.ts"

const abnormal = Effect.fail(new Boom("abnormal"))
const fails = { starting: (life: number) => (life === 1 ? Effect.void : abnormal) }
const ids = (which: ReadonlyArray<{ readonly id: string }>) => which.map(({ id }) => id)
const statuses = (which: ReadonlyArray<{ readonly status: string }>) => which.map(({ status }) => status)

describe("termination", () => {
  const cases = [
    ["permanent_normal", "permanent", Effect.void, ["running"]],
    ["transient_normal", "transient", Effect.void, ["ended"]],
    ["temporary_normal", "temporary", Effect.void, []],
    // Here it differs: in OTP a permanent child that ends with `shutdown` is restarted. An interruption is a stop.
    ["permanent_shutdown", "permanent", Effect.interrupt, ["stopped"]],
    ["transient_shutdown", "transient", Effect.interrupt, ["stopped"]],
    ["temporary_shutdown", "temporary", Effect.interrupt, []],
    ["permanent_abnormal", "permanent", abnormal, ["running"]],
    ["transient_abnormal", "transient", abnormal, ["running"]],
    ["temporary_abnormal", "temporary", abnormal, []]
  ] as const
  for (const [name, restart, how, after] of cases) {
    it.effect(`${name}: afterwards it is ${after[0] ?? "forgotten"}`, () =>
      Effect.gen(function* () {
        const notes = new Notebook()
        const { supervisor } = yield* within(spec([]))
        yield* supervisor.startChild(notes.child("child1", { restart }))
        notes.end("child1", how)
        assert.deepStrictEqual(statuses(yield* supervisor.which), [...after])
      })
    )
  }

  for (const strategy of ["one_for_all", "rest_for_one"] as const) {
    it.effect(`temporary_bystander: a temporary sibling is stopped by ${strategy}, and not restarted`, () =>
      Effect.gen(function* () {
        const notes = new Notebook()
        const all = spec([notes.child("child1"), notes.child("child2", { restart: "temporary" })], { strategy })
        const { supervisor } = yield* within(all)
        notes.end("child1", Effect.void)
        assert.deepStrictEqual(ids(yield* supervisor.which), ["child1"])
        assert.isFalse(notes.isRunning("child2"))
      })
    )
  }

  it.effect("do_not_save_child_specs_for_temporary_children: the name of a temporary child is free again", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const child = notes.child("child3", { restart: "temporary" })
      const { supervisor } = yield* within(spec([child]))
      notes.end("child3", abnormal)
      yield* supervisor.startChild(child)
      yield* supervisor.terminateChild("child3")
      yield* supervisor.startChild(child)
    })
  )
})

describe("restart", () => {
  it.effect("multiple_restarts: restarts that keep within the intensity go on for ever", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("child1")], { maxRestarts: 1, within: "1 second" }))
      for (let n = 0; n < 5; n++) {
        notes.end("child1", abnormal)
        yield* TestClock.adjust("2100 millis")
      }
      assert.deepStrictEqual(statuses(yield* supervisor.which), ["running"])
    })
  )

  const three = (strategy: Supervisor.SupervisorSpec["strategy"]) =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const children = ["child1", "child2", "child3"].map((id) => notes.child(id))
      const { supervisor } = yield* within(spec(children, { strategy, maxRestarts: 2, within: "1 hour" }))
      notes.take()
      return { notes, supervisor }
    })
  const restarted = {
    one_for_one: ["-child2", "+child2", "child2!"],
    one_for_all: ["-child2", "-child3", "-child1", "+child1", "child1!", "+child2", "child2!", "+child3", "child3!"],
    rest_for_one: ["-child2", "-child3", "+child2", "child2!", "+child3", "child3!"]
  }
  for (const strategy of ["one_for_one", "one_for_all", "rest_for_one"] as const) {
    it.effect(`${strategy}: the right children are restarted, and the third restart is one too many`, () =>
      Effect.gen(function* () {
        const { notes, supervisor } = yield* three(strategy)
        notes.end("child2", abnormal)
        assert.deepStrictEqual(notes.take(), restarted[strategy])
        notes.end("child3", abnormal)
        notes.end("child2", abnormal)
        assert.strictEqual((yield* Effect.flip(supervisor.ended)).why, "intensity")
      })
    )

    it.effect(`${strategy}_escalation: a child that cannot be restarted uses up the restarts`, () =>
      Effect.gen(function* () {
        const notes = new Notebook()
        const children = [notes.child("child1", fails), notes.child("child2")]
        const { supervisor } = yield* within(spec(children, { strategy, maxRestarts: 4, within: "1 hour" }))
        notes.end("child1", abnormal)
        assert.strictEqual((yield* Effect.flip(supervisor.ended)).history.length, 5)
        assert.isFalse(notes.isRunning("child2"))
      })
    )
  }

  it.effect("simple_one_for_one, simple_one_for_one_escalation: the same among dynamic children", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const supervisor = yield* DynamicSupervisor.start({ id: "dynamic", maxChildren: 9, maxRestarts: 1 })
      yield* supervisor.startChild(notes.child("a"))
      yield* supervisor.startChild(notes.child("b"))
      notes.take()
      notes.end("a", abnormal)
      assert.deepStrictEqual(notes.take(), ["-a", "+a", "a!"])
      notes.end("b", abnormal)
      assert.strictEqual((yield* Effect.flip(supervisor.ended)).why, "intensity")
      assert.isFalse(notes.isRunning("a"))
    })
  )

  it.effect("simple_one_for_one_shutdown: dynamic children stop side by side, each within its own time", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { stop, supervisor } = yield* within(DynamicSupervisor.specOf({ id: "dynamic", maxChildren: 9 }))
      for (const [id, takes] of [
        ["a", 1],
        ["b", 1],
        ["c", 5]
      ] as const) {
        const releasing = () => Effect.sleep(takes * 1_000)
        yield* supervisor.startChild(notes.child(id, { shutdown: "2 seconds", releasing }))
      }
      const stopping = yield* Effect.forkChild(stop)
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(stopping)
      assert.sameMembers(notes.take().slice(-2), ["-a", "-b"])
    })
  )

  const secondFails = (id: string) => ({
    starting: (life: number) => (id === "child2" && life === 2 ? abnormal : Effect.void)
  })
  for (const [strategy, lines] of [
    [
      "one_for_all",
      ["+child1", "child1!", "+child2", "-child2", "-child1", "+child1", "child1!", "+child2", "child2!"]
    ],
    ["rest_for_one", ["+child1", "child1!", "+child2", "-child2", "+child2", "child2!"]]
  ] as const) {
    it.effect(
      `${strategy}_other_child_fails_restart: ${strategy === "one_for_all" ? "all are" : "only it is"} tried again`,
      () =>
        Effect.gen(function* () {
          const notes = new Notebook()
          const children = ["child1", "child2"].map((id) => notes.child(id, secondFails(id)))
          yield* within(spec(children, { strategy }))
          notes.take()
          notes.end("child1", abnormal)
          assert.deepStrictEqual(notes.take(), ["-child1", "-child2", ...lines])
        })
    )
  }

  it.effect("tree: only the part that fails is restarted, and dynamic children do not come back", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      let second: Supervisor.Supervisor | undefined
      const one = Supervisor.child(
        spec([notes.child("child1"), notes.child("child2")], { id: "supchild1", maxRestarts: 4 })
      )
      const two = Supervisor.child(spec([], { id: "supchild2", maxRestarts: 4 }), (supervisor) => {
        second = supervisor
      })
      const { supervisor } = yield* within(spec([one, two], { strategy: "one_for_all", maxRestarts: 4 }))
      yield* second?.startChild(notes.child("child3", fails)) ?? Effect.void
      yield* second?.startChild(notes.child("child4")) ?? Effect.void
      notes.take()
      notes.end("child4", abnormal)
      assert.deepStrictEqual(notes.take(), ["-child4", "+child4", "child4!"])
      notes.end("child3", abnormal)
      assert.includeMembers(notes.take().slice(-4) as Array<string>, ["+child1", "child1!", "+child2", "child2!"])
      assert.deepStrictEqual((yield* second?.which ?? Effect.succeed([])).length, 0)
      assert.deepStrictEqual(yield* supervisor.count, { children: 2, active: 2, workers: 0, supervisors: 2 })
    })
  )

  it.effect("hanging_restart_loop: requests are answered while a child cannot be restarted", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const gate = yield* Deferred.make<void>()
      const slow = notes.child("child1", { starting: (life) => (life === 1 ? Effect.void : Deferred.await(gate)) })
      const { supervisor } = yield* within(spec([slow]))
      notes.end("child1", abnormal)
      assert.deepStrictEqual(statuses(yield* supervisor.which), ["starting"])
      assert.strictEqual((yield* Effect.flip(supervisor.restartChild("child1")))._tag, "ChildRunning")
      yield* supervisor.startChild(notes.child("child2"))
      yield* supervisor.terminateChild("child1")
      assert.deepStrictEqual(statuses(yield* supervisor.which), ["stopped", "running"])
    })
  )
})
