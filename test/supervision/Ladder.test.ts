import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { EscalationStep, type Rung, rungsOf } from "../../src/supervision/EscalationLadder.ts"
import * as Supervisor from "../../src/supervision/Supervisor.ts"
import { Boom, Notebook, spec, within } from "./Script.ts"

const rungs = (...rungs: ReadonlyArray<Rung>) => ({ ladder: { rungs } })

describe("the escalation ladder", () => {
  it.effect("restarts the child, then the group, then tells the operator, then stops the node with an exit code", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const told: Array<string> = []
      const ladder = rungs(
        { do: "restart_group", maxRestarts: 1, within: "60 seconds" },
        { do: "notify", notify: (error) => Effect.sync(() => told.push(error.child)) },
        { do: "stop_node", exitCode: 70 }
      )
      const inner = Supervisor.child(
        spec([notes.child("a"), notes.child("b")], { id: "inner", maxRestarts: 1, ...ladder })
      )
      const { supervisor } = yield* within(spec([inner], { report: notes.report }))
      notes.take()
      notes.end("a")
      assert.deepStrictEqual(notes.take(), ["-a", "+a", "a!"])
      notes.end("a")
      assert.deepStrictEqual(notes.take(), ["-a", "-b", "+a", "a!", "+b", "b!"])
      assert.deepStrictEqual(told, [])
      notes.end("b")
      const error = yield* Effect.flip(supervisor.ended)
      assert.deepStrictEqual(notes.take(), ["-b", "-a"])
      assert.deepStrictEqual(told, ["b"])
      assert.deepInclude(error, { why: "escalated", child: "inner", exitCode: 70 })
      const climbed = notes.events.flatMap((event) => (event._tag === "LadderClimbed" ? [event.action] : []))
      assert.deepStrictEqual(climbed, ["restart_group", "notify", "stop_node"])
    })
  )

  it.effect("starts the named standby in place of the child that failed", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const spare = notes.child("spare", { standby: true })
      const all = spec([notes.child("a"), spare], { maxRestarts: 0, ...rungs({ do: "start_standby", child: "spare" }) })
      const { supervisor } = yield* within(all)
      assert.deepStrictEqual(notes.take(), ["+a", "a!"])
      notes.end("a")
      assert.deepStrictEqual(notes.take(), ["-a", "+spare", "spare!"])
      notes.end("spare")
      assert.strictEqual((yield* Effect.flip(supervisor.ended)).child, "spare")
    })
  )

  it.effect("passes over a restart of the group when no restart can help", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const ladder = rungs({ do: "restart_group", maxRestarts: 9, within: "60 seconds" })
      const { supervisor } = yield* within(spec([notes.child("a")], ladder))
      notes.end("a", Effect.fail(new Boom("no executable", { recovery: "escalate" })))
      assert.strictEqual((yield* Effect.flip(supervisor.ended)).why, "escalated")
    })
  )

  it.effect("does not fail because the operator cannot be told, and gives the telling time at the end", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      let told = false
      const ladder = rungs(
        { do: "notify", notify: () => Effect.die("no such command") },
        {
          do: "notify",
          notify: () =>
            Effect.delay(
              Effect.sync(() => {
                told = true
              }),
              "1 second"
            )
        }
      )
      const { stop, supervisor } = yield* within(spec([notes.child("a")], { maxRestarts: 0, ...ladder }))
      notes.end("a")
      yield* Effect.flip(supervisor.ended)
      yield* Effect.forkScoped(stop)
      yield* TestClock.adjust("1 second")
      assert.isTrue(told)
    })
  )

  it.effect("is back on the ground after five minutes without a restart", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const ladder = rungs({ do: "restart_group", maxRestarts: 1, within: "60 seconds" })
      yield* within(spec([notes.child("a"), notes.child("b")], { maxRestarts: 0, ...ladder }))
      notes.end("a")
      notes.take()
      yield* TestClock.adjust("5 minutes")
      notes.end("a")
      assert.deepStrictEqual(notes.take(), ["-a", "-b", "+a", "a!", "+b", "b!"])
    })
  )

  it("is read from what a person writes", () => {
    const decode = Schema.decodeUnknownSync(Schema.Array(EscalationStep))
    const steps = decode([
      { do: "restart_group" },
      { do: "notify", command: ["page-me"] },
      { do: "start_standby", child: "spare" },
      { do: "stop_node" }
    ])
    const made = rungsOf(steps, () => Effect.void)
    assert.deepStrictEqual(
      made.map((rung) => rung.do),
      ["restart_group", "notify", "start_standby", "stop_node"]
    )
    assert.deepInclude(made[3], { exitCode: 75 })
    assert.throws(() => decode([{ do: "stop_node", exitCode: 0 }]))
    assert.throws(() => decode([{ do: "panic" }]))
  })
})
