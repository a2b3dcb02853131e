import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type * as Supervisor from "../../src/supervision/Supervisor.ts"
import { Boom, Notebook, spec, within } from "./Script.ts"

describe("strategies", () => {
  const abc = Effect.fnUntraced(function* (strategy: Supervisor.SupervisorSpec["strategy"]) {
    const notes = new Notebook()
    const all = spec([notes.child("a"), notes.child("b"), notes.child("c")], { strategy, report: notes.report })
    const running = yield* within(all)
    notes.take()
    return { notes, ...running }
  })

  it.effect("one_for_one restarts only the child that failed", () =>
    Effect.gen(function* () {
      const { notes } = yield* abc("one_for_one")
      notes.end("b")
      assert.deepStrictEqual(notes.take(), ["-b", "+b", "b!"])
    })
  )

  it.effect("one_for_all stops the others last one first, then starts all first one first", () =>
    Effect.gen(function* () {
      const { notes } = yield* abc("one_for_all")
      notes.end("b")
      assert.deepStrictEqual(notes.take(), ["-b", "-c", "-a", "+a", "a!", "+b", "b!", "+c", "c!"])
    })
  )

  it.effect("rest_for_one leaves alone the children before the one that failed", () =>
    Effect.gen(function* () {
      const { notes } = yield* abc("rest_for_one")
      notes.end("b")
      assert.deepStrictEqual(notes.take(), ["-b", "-c", "+b", "b!", "+c", "c!"])
    })
  )

  it.effect("escalate stops all and fails at the first failure", () =>
    Effect.gen(function* () {
      const { notes, supervisor } = yield* abc("escalate")
      notes.end("b")
      const error = yield* Effect.flip(supervisor.ended)
      assert.deepStrictEqual(notes.take(), ["-b", "-c", "-a"])
      assert.deepInclude(error, { why: "strategy", child: "b" })
      assert.strictEqual(error.recovery, "restart")
    })
  )

  for (const strategy of ["one_for_one", "one_for_all", "rest_for_one", "escalate"] as const) {
    it.effect(`${strategy} gives up at once over a fault that no restart can cure`, () =>
      Effect.gen(function* () {
        const { notes, supervisor } = yield* abc(strategy)
        notes.end("b", Effect.fail(new Boom("wrong key", { recovery: "escalate" })))
        const error = yield* Effect.flip(supervisor.ended)
        assert.deepStrictEqual(notes.take(), ["-b", "-c", "-a"])
        assert.strictEqual(error.recovery, "escalate")
        assert.strictEqual(
          error.message,
          'supervisor "node" gave up: child "b" failed with what no restart can cure: Boom: wrong key'
        )
      })
    )
  }

  it.effect("a temporary child does not come back with its group", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const children = [notes.child("a"), notes.child("b", { restart: "temporary" }), notes.child("c")]
      const { supervisor } = yield* within(spec(children, { strategy: "one_for_all" }))
      notes.take()
      notes.end("c")
      assert.deepStrictEqual(notes.take(), ["-c", "-b", "-a", "+a", "a!", "+c", "c!"])
      assert.deepStrictEqual(
        (yield* supervisor.which).map(({ id }) => id),
        ["a", "c"]
      )
    })
  )

  it.effect("a transient child that had finished comes back with its group, one that was stopped does not", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const children = [notes.child("a", { restart: "transient" }), notes.child("b"), notes.child("c")]
      const { supervisor } = yield* within(spec(children, { strategy: "one_for_all" }))
      notes.end("a", Effect.void)
      yield* supervisor.terminateChild("b")
      notes.take()
      notes.end("c")
      assert.deepStrictEqual(notes.take(), ["-c", "+a", "a!", "+c", "c!"])
    })
  )
})
