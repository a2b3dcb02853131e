import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Boom, Notebook, spec, within } from "./Script.ts"

const significant = { restart: "transient", significant: true } as const

describe("auto shutdown", () => {
  it.effect("any_significant ends the supervisor, well, with the first significant child that ends", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const children = [notes.child("a"), notes.child("b", significant), notes.child("c", significant)]
      const { supervisor } = yield* within(spec(children, { autoShutdown: "any_significant" }))
      notes.take()
      notes.end("b", Effect.void)
      yield* supervisor.ended
      assert.deepStrictEqual(notes.take(), ["-b", "-c", "-a"])
    })
  )

  it.effect("all_significant ends it with the last one", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const children = [
        notes.child("a"),
        notes.child("b", significant),
        notes.child("c", { restart: "temporary", significant: true })
      ]
      const { supervisor } = yield* within(spec(children, { autoShutdown: "all_significant" }))
      notes.take()
      notes.end("b", Effect.void)
      assert.deepStrictEqual(notes.take(), ["-b"])
      notes.end("c")
      yield* supervisor.ended
      assert.deepStrictEqual(notes.take(), ["-c", "-a"])
    })
  )

  it.effect("a significant child that is restarted ends nothing, nor does one that was told to stop", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const children = [notes.child("a", significant), notes.child("b", significant), notes.child("c")]
      const { supervisor } = yield* within(spec(children, { autoShutdown: "any_significant", strategy: "one_for_all" }))
      notes.end("a", Effect.fail(new Boom()))
      notes.end("c")
      yield* supervisor.terminateChild("b")
      assert.deepStrictEqual(
        (yield* supervisor.which).map(({ status }) => status),
        ["running", "stopped", "running"]
      )
    })
  )

  it.effect("a significant child is refused where it makes no sense", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([], { autoShutdown: "any_significant" }))
      const permanent = yield* Effect.flip(supervisor.startChild(notes.child("a", { significant: true })))
      assert.include(permanent.message, "significant is true, expected false for a permanent child")
      const never = yield* within(spec([]))
      const useless = yield* Effect.flip(never.supervisor.startChild(notes.child("a", significant)))
      assert.include(useless.message, 'expected false under a supervisor whose autoShutdown is "never"')
    })
  )
})
