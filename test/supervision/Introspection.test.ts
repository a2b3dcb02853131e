import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as StoppedStore from "../../src/supervision/StoppedStore.ts"
import * as Supervisor from "../../src/supervision/Supervisor.ts"
import { inWords, roughly } from "../../src/supervision/Words.ts"
import { Boom, Notebook, spec, within } from "./Script.ts"

describe("introspection", () => {
  it.effect("gives the whole tree as a value", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const x = notes.child("x", { backoff: { initialDelay: "5 seconds", jitter: "none" } })
      const { supervisor } = yield* within(
        spec([notes.child("a"), Supervisor.child(spec([x], { id: "inner", strategy: "one_for_all" }))])
      )
      yield* TestClock.adjust("10 seconds")
      notes.end("a", Effect.fail(new Boom("exit 1")))
      notes.end("x")
      yield* TestClock.adjust("2 seconds")
      const tree = yield* supervisor.tree
      assert.deepInclude(tree, { path: "node", phase: "running", failure: undefined })
      const [a, inner] = tree.children
      assert.deepInclude(a, { id: "a", status: "running", restarts: 1, uptimeMillis: 2_000 })
      assert.deepInclude(a?.lastFailure, { message: "exit 1", at: 10_000 })
      assert.deepInclude(inner?.supervisor, { path: "node/inner", strategy: "one_for_all" })
      assert.deepInclude(inner?.supervisor?.children[0], { id: "x", status: "restarting" })
    })
  )

  it.effect("explains why a child was restarted, or why it will not be", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const stopped = StoppedStore.memory()
      yield* stopped.add("node/e")
      const children = [
        notes.child("a"),
        notes.child("b", { restart: "transient" }),
        notes.child("c"),
        notes.child("d", { backoff: { initialDelay: "5 seconds", jitter: "none" } }),
        notes.child("e"),
        notes.child("f", { standby: true }),
        Supervisor.child(spec([notes.child("x")], { id: "inner" }))
      ]
      const { supervisor } = yield* within(spec(children, { stopped }))
      notes.end("a", Effect.fail(new Boom("exit 1")))
      notes.end("b", Effect.void)
      yield* supervisor.terminateChild("c")
      notes.end("d", Effect.fail(new Boom("exit 2")))
      notes.end("x", Effect.interrupt)
      yield* TestClock.adjust("2 seconds")
      const said = yield* Effect.forEach(["a", "b", "c", "d", "e", "f", "inner/x"], supervisor.explain)
      assert.deepStrictEqual(said, [
        '"node/a" has run for 2 seconds; it has been restarted once, last because of Boom: exit 1.',
        '"node/b" has finished, and a transient child is not restarted then; it stays down until it is restarted.',
        '"node/c" was stopped on request; it stays down until it is restarted.',
        '"node/d" failed with Boom: exit 2; it is restarted in 3 seconds.',
        '"node/e" was stopped on request, in an earlier run; it stays down until it is restarted.',
        '"node/f" is a standby, and has not been needed; it stays down until it is restarted.',
        '"node/inner/x" was interrupted from outside, which is a stop; it stays down until it is restarted.'
      ])
      const missing = yield* Effect.flip(supervisor.explain("inner/y"))
      assert.strictEqual(missing.message, 'supervisor "node/inner" has no child "y"')
    })
  )

  it.effect("explains after the end that the supervisor has given up, and why", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a"), notes.child("b")], { maxRestarts: 0 }))
      notes.end("a", Effect.fail(new Boom("exit 1")))
      yield* Effect.flip(supervisor.ended)
      assert.include(
        yield* supervisor.explain("b"),
        '"node/b" was stopped with its supervisor, and will not be restarted: supervisor "node" gave up: child "a" failed'
      )
    })
  )

  it.effect("tells every decision, in order, with a reason", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const children = [notes.child("a", { restart: "transient" }), notes.child("b")]
      const { stop } = yield* within(spec(children, { report: notes.report }))
      notes.end("b", Effect.fail(new Boom("exit 1")))
      notes.end("a", Effect.void)
      yield* stop
      assert.deepStrictEqual(notes.tags(), [
        "ChildStarting a",
        "ChildReady a",
        "ChildStarting b",
        "ChildReady b",
        "SupervisorStarted",
        "ChildExited b",
        "RestartScheduled b",
        "ChildStarting b",
        "ChildReady b",
        "ChildRestarted b",
        "ChildExited a",
        "ChildResting a",
        "SupervisorStopping",
        "ChildTerminated b",
        "SupervisorEnded"
      ])
      assert.isTrue(notes.events.every(({ why }) => why.length > 5))
    })
  )

  it.effect("a listener that never answers holds nothing up, and is told what it has missed", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const seen: Array<string> = []
      const report = (event: { readonly _tag: string }) =>
        Effect.andThen(
          seen.length === 0 ? Effect.sleep("1 second") : Effect.void,
          Effect.sync(() => seen.push(event._tag))
        )
      yield* within(spec([notes.child("a")], { maxRestarts: Number.POSITIVE_INFINITY, report }))
      for (let n = 0; n < 2_000; n++) notes.end("a")
      assert.isTrue(notes.isRunning("a"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(seen[1], "EventsLost")
      assert.strictEqual(seen.length, 1 + 1 + 4_096)
    })
  )
})

it("tells a time that goes on as people count it", () => {
  const told = [35, 35_905, 119_600, 3_725_000, 3_600_000].map((millis) => inWords(roughly(millis)))
  assert.deepStrictEqual(told, ["35 milliseconds", "36 seconds", "2 minutes", "62 minutes", "1 hour"])
})
