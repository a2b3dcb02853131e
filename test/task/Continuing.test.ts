import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { AgentSnapshot } from "../../src/agent/AgentPool.ts"
import { TaskId } from "../../src/domain/Ids.ts"
import type { TaskResult } from "../../src/domain/Task.ts"
import * as Continuing from "../../src/task/Continuing.ts"
import { route } from "../../src/task/Router.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import type { TaskSpec } from "../../src/task/TaskSpec.ts"
import { agent } from "../utils/Snapshots.ts"
import { task } from "../utils/Specs.ts"
import { done, fault, memory } from "./Homes.ts"

const of = (onMissing?: "fail" | "anew"): Pick<TaskSpec, "session"> => ({
  session: onMissing === undefined ? TaskId.make("one") : { of: TaskId.make("one"), onMissing }
})

/** A task that goes on with the conversation of "one", which has ended like this, among these agents. */
const routed = (
  agents: ReadonlyArray<AgentSnapshot>,
  { ended = {}, spec = of() }: { readonly ended?: Partial<TaskResult>; readonly spec?: Partial<TaskSpec> } = {}
) =>
  Effect.gen(function* () {
    const ledger = yield* TaskLedger
    yield* ledger.submitAll([task({ id: "one" }), { ...task({ id: "two" }), ...spec }])
    assert.strictEqual((yield* ledger.get("two")).state, "parked")
    const { attempt } = yield* ledger.claim("one", "a")
    yield* ledger.complete("one", attempt, done("one", { agent: "a", session: "s", ...ended }))
    const two = yield* ledger.get("two")
    assert.strictEqual(two.state, "queued")
    return yield* Continuing.route(two, ledger, agents, Effect.succeed(route(two, agents, new Set())))
  }).pipe(Effect.provide(memory))

describe("a task that goes on with a conversation", () => {
  it.effect("is taken by the agent that has it, though another comes first", () =>
    Effect.gen(function* () {
      assert.deepEqual(yield* routed([agent("z"), agent("a")]), {
        route: { _tag: "Take", agent: "a" },
        session: { of: "one", session: "s", place: "one", onMissing: "fail" }
      })
    })
  )

  it.effect("waits for that agent while it is busy or down, though others are idle", () =>
    Effect.gen(function* () {
      for (const state of ["busy", "initializing", "restarting", "terminated"] as const)
        assert.deepEqual(yield* routed([agent("z"), agent("a", { state, gone: false })]), { route: { _tag: "Wait" } })
    })
  )

  it.effect("is left to the node that has it while that lives, and is without it when that is dead", () =>
    Effect.gen(function* () {
      const elsewhere = (state: "alive" | "suspected" | "left" | "dead", onMissing?: "fail" | "anew") =>
        Effect.gen(function* () {
          const ledger = yield* TaskLedger
          yield* ledger.submitAll([task({ id: "one" }), { ...task({ id: "two" }), ...of(onMissing) }])
          yield* ledger.claim("one", "a")
          yield* ledger.complete("one", 1, done("one", { agent: "a", session: "s" }))
          const far = {
            get: (id: string) => Effect.map(ledger.get(id), (record) => ({ ...record, node: "far" })),
            here: {
              node: "near",
              shared: true,
              lastNode: () => "far",
              others: {
                standing: () => state,
                lives: () => state !== "dead",
                all: () => [],
                changes: Effect.succeed(Stream.never)
              }
            }
          }
          const two = yield* ledger.get("two")
          // An agent of the same name is here, and idle.
          const otherwise = Effect.succeed(route(two, [agent("a")], new Set()))
          return yield* Continuing.route(two, far, [agent("a")], otherwise)
        }).pipe(Effect.provide(memory))
      for (const state of ["alive", "suspected", "left"] as const)
        for (const onMissing of ["fail", "anew"] as const)
          assert.deepEqual(yield* elsewhere(state, onMissing), { route: { _tag: "Wait" } })
      assert.deepEqual(yield* elsewhere("dead", "anew"), { route: { _tag: "Take", agent: "a" } })
      const { fault, route: answer } = yield* elsewhere("dead")
      assert.strictEqual(answer._tag, "Nobody")
      assert.include(fault?.message ?? "", "node far, which has it, is dead")
    })
  )

  it.effect("goes on after a failure as after a success", () =>
    Effect.gen(function* () {
      const { route } = yield* routed([agent("a")], { ended: { status: "failed", fault } })
      assert.deepEqual(route, { _tag: "Take", agent: "a" })
    })
  )

  it.effect("is refused, with the reason, where nobody can have the conversation", () =>
    Effect.gen(function* () {
      for (const [agents, more, reason] of [
        [[agent("z")], {}, /agent a, who has it, is not there any more/],
        [[agent("a", { gone: true })], {}, /agent a, who has it, has ended/],
        [[agent("a", { taskTypes: ["other"] })], {}, /agent a, who has it, does not take this task/],
        [[agent("a")], { ended: { session: undefined } }, /without one/]
      ] as const) {
        const { fault, route } = yield* routed(agents, more)
        assert.deepEqual(route, { _tag: "Nobody" })
        assert.strictEqual(fault?._tag, "SessionMissing")
        assert.match(fault?.message ?? "", reason)
      }
    })
  )

  it.effect("begins anew with whoever is free where it says so", () =>
    Effect.gen(function* () {
      assert.deepEqual(yield* routed([agent("z")], { spec: of("anew") }), { route: { _tag: "Take", agent: "z" } })
    })
  )

  it.effect("need not name what is there, where it may begin anew, and must where it may not", () =>
    Effect.gen(function* () {
      const ledger = yield* TaskLedger
      const refused = yield* Effect.flip(ledger.submit({ ...task({ id: "two" }), ...of() }))
      assert.strictEqual(refused._tag, "TaskInvalid")
      assert.strictEqual((yield* ledger.submit({ ...task({ id: "two" }), ...of("anew") })).state, "queued")
    }).pipe(Effect.provide(memory))
  )
})
