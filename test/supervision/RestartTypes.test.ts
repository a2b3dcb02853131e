import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { Child } from "../../src/supervision/Child.ts"
import { Boom, Notebook, spec, within } from "./Script.ts"

describe("restart types", () => {
  const endings = {
    normal: Effect.void,
    failed: Effect.fail(new Boom()),
    defect: Effect.die(new TypeError("x is undefined")),
    stopped: Effect.interrupt
  }
  const restarted = {
    permanent: { normal: true, failed: true, defect: true, stopped: false },
    transient: { normal: false, failed: true, defect: true, stopped: false },
    temporary: { normal: false, failed: false, defect: false, stopped: false }
  }
  for (const restart of ["permanent", "transient", "temporary"] as const) {
    for (const ending of ["normal", "failed", "defect", "stopped"] as const) {
      const will = restarted[restart][ending]
      it.effect(`${will ? "restarts" : "does not restart"} a ${restart} child that ended: ${ending}`, () =>
        Effect.gen(function* () {
          const notes = new Notebook()
          const { supervisor } = yield* within(spec([notes.child("a", { restart })]))
          notes.take()
          notes.end("a", endings[ending])
          assert.deepStrictEqual(notes.take(), will ? ["-a", "+a", "a!"] : ["-a"])
          const status = (yield* supervisor.which).map((child) => child.status)
          const resting = ending === "stopped" ? "stopped" : "ended"
          assert.deepStrictEqual(status, will ? ["running"] : restart === "temporary" ? [] : [resting])
        })
      )
    }
  }

  it.effect("does not restart a child of which someone interrupts the fiber", () =>
    Effect.gen(function* () {
      let fiber: Fiber.Fiber<unknown, unknown> | undefined
      const child: Child = {
        id: "a",
        start: Effect.withFiber((self) => {
          fiber = self
          return Effect.succeed(Effect.never)
        })
      }
      const { supervisor } = yield* within(spec([child]))
      if (fiber !== undefined) yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* supervisor.which)[0]?.status, "stopped")
    })
  )

  it.effect("keeps the cause of a defect, stack and all", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      yield* within(spec([notes.child("a")], { report: notes.report }))
      const bug = new TypeError("x is undefined")
      notes.end("a", Effect.die(bug))
      const exited = notes.events.find((event) => event._tag === "ChildExited")
      assert.strictEqual(exited?.cause === undefined ? undefined : Cause.squash(exited.cause), bug)
      assert.strictEqual(exited?.reason?.message, "TypeError: x is undefined")
    })
  )

  it.effect("closes the scope of a life before the next life begins", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("a", { releasing: (life) => (life === 1 ? Effect.sleep("2 seconds") : Effect.void) })
      yield* within(spec([slow]))
      notes.end("a")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "-a", "+a", "a!"])
    })
  )

  it.effect("restarts a child whose scope does not close in time after a crash, and names it", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const stuck = notes.child("a", { releasing: (life) => (life === 1 ? Effect.never : Effect.void) })
      yield* within(spec([stuck], { report: notes.report }))
      notes.end("a")
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+a", "a!"])
      assert.include(notes.tags(), "ShutdownOverran a")
    })
  )
})
