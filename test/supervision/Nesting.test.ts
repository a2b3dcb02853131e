import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Supervisor from "../../src/supervision/Supervisor.ts"
import { Boom, Notebook, spec, within } from "./Script.ts"

describe("nested supervisors", () => {
  const tree = (notes: Notebook, inner: Partial<Supervisor.SupervisorSpec> = {}) =>
    Supervisor.child(spec([notes.child("x"), notes.child("y")], { id: "inner", maxRestarts: 1, ...inner }))

  it.effect("start inside their parent's order and stop inside it too", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { stop } = yield* within(spec([notes.child("a"), tree(notes), notes.child("b")]))
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+x", "x!", "+y", "y!", "+b", "b!"])
      yield* stop
      assert.deepStrictEqual(notes.take(), ["-b", "-y", "-x", "-a"])
    })
  )

  it.effect("are restarted by their parent when they give up, with all their children and a new window", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a"), tree(notes)], { report: notes.report }))
      notes.end("x")
      notes.take()
      notes.end("y")
      assert.deepStrictEqual(notes.take(), ["-y", "-x", "+x", "x!", "+y", "y!"])
      const [, inner] = yield* supervisor.which
      assert.deepInclude(inner, { status: "running", restarts: 1, kind: "supervisor" })
      assert.strictEqual(inner?.lastFailure?.kind, "SupervisorGaveUp")
      notes.end("x")
      assert.deepStrictEqual(notes.take(), ["-x", "+x", "x!"])
      assert.includeMembers([...notes.tags()], ["GaveUp", "ChildExited inner", "RestartScheduled inner"])
    })
  )

  it.effect("bring their parent down when it has no restarts left, and the reason comes up with them", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(
        spec([notes.child("a"), tree(notes, { maxRestarts: 0 })], { maxRestarts: 0 })
      )
      notes.take()
      notes.end("x", Effect.fail(new Boom("exit 1")))
      const error = yield* Effect.flip(supervisor.ended)
      assert.deepStrictEqual(notes.take(), ["-x", "-y", "-a"])
      assert.strictEqual(
        error.message,
        'supervisor "node" gave up: child "inner" failed, and more than 0 restarts within 1 minute are not allowed; the last failure was SupervisorGaveUp: supervisor "node/inner" gave up: child "x" failed, and more than 0 restarts within 1 minute are not allowed; the last failure was Boom: exit 1'
      )
    })
  )

  it.effect("pass on what no restart can cure, up to the top", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a"), tree(notes)]))
      notes.end("y", Effect.fail(new Boom("no executable", { recovery: "escalate" })))
      assert.deepInclude(yield* Effect.flip(supervisor.ended), { why: "escalated", child: "inner" })
    })
  )

  it.effect("are given all the time they need to stop", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("x", { shutdown: "1 hour", releasing: () => Effect.sleep("59 minutes") })
      const { stop } = yield* within(spec([Supervisor.child(spec([slow], { id: "inner" }))]))
      const stopping = yield* Effect.forkChild(stop)
      yield* TestClock.adjust("59 minutes")
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(notes.take(), ["+x", "x!", "-x"])
    })
  )

  it.effect("that are specified wrongly keep the whole tree from starting, with the value that is wrong", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const error = yield* Effect.flip(Supervisor.start(spec([notes.child("a"), tree(notes, { maxRestarts: -1 })])))
      assert.include(error.message, 'supervisor "node/inner" is refused: maxRestarts is -1')
      assert.strictEqual(error.recovery, "escalate")
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "-a"])
    })
  )

  it.effect("hand down the listener to the supervisors below", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      yield* within(spec([tree(notes)], { report: notes.report }))
      notes.end("x")
      const exited = notes.events.find(({ _tag }) => _tag === "ChildExited")
      assert.strictEqual(exited?.supervisor, "node/inner")
    })
  )
})
