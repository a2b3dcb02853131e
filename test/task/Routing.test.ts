import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import type { AgentSnapshot } from "../../src/agent/AgentPool.ts"
import type { AgentState } from "../../src/domain/AgentState.ts"
import { lacks } from "../../src/task/Needs.ts"
import { ableFor } from "../../src/task/Router.ts"
import { Choosing, type Chosen, type Fallback, MAX_SLOW, MAX_THINKING, MAX_TOLD } from "../../src/task/Routing.ts"
import { load, type RoutingPlugin } from "../../src/task/RoutingPlugin.ts"
import { STRATEGIES } from "../../src/task/RoutingSettings.ts"
import { spokesOf } from "../../src/task/Strategies.ts"
import type { TaskRecord } from "../../src/task/TaskRecord.ts"
import { agent, record } from "../utils/Snapshots.ts"

const nobody: ReadonlySet<string> = new Set()
const decayMillis = 600_000

/** A node's routing with a clock that only `thinks` moves, and what it has reported. */
const routing = (chosen: Omit<Chosen, "decayMillis">) => {
  const choosing = new Choosing({ ...chosen, decayMillis })
  const told: Array<Fallback> = []
  let clock = 0
  return {
    told,
    thinks: (millis: number) => {
      clock += millis
    },
    route: (of: TaskRecord, agents: ReadonlyArray<AgentSnapshot>, random = 0) =>
      choosing.route(of, agents, nobody, { now: 0, random, stopwatch: () => clock, tell: (it) => told.push(it) })
  }
}

const plugged = (plugin: (...args: Parameters<RoutingPlugin>) => unknown) =>
  routing({ strategy: "plugin", plugin: plugin as RoutingPlugin })

describe("Routing", () => {
  const states: ReadonlyArray<AgentState> = ["idle", "busy", "paused", "terminated"]
  const capabilities = fc.uniqueArray(fc.constantFrom("rust", "gpu", "web"))
  const fleets = fc
    .array(
      fc.record({
        group: fc.constantFrom("coder", "agent", "x"),
        taskTypes: fc.uniqueArray(fc.constantFrom("code", "task")),
        capabilities,
        weight: fc.integer({ min: 1, max: 3 }),
        state: fc.constantFrom(...states),
        gone: fc.boolean()
      }),
      { maxLength: 8 }
    )
    .map((all) => all.map((each, n) => agent(`a${n}`, each)))
  const specs = fc.record({
    type: fc.constantFrom("code", "task"),
    capabilities,
    priority: fc.integer({ min: -2, max: 2 })
  })
  /** Whatever a plugin may answer, or do in its stead. */
  const plugin: RoutingPlugin = (_task, agents, { random }) => {
    const answers: ReadonlyArray<() => unknown> = [
      () => agents.at(-1)?.id,
      () => "a0",
      () => 7,
      () => undefined,
      () => Promise.reject(new Error("late")),
      () => {
        throw new Error("no")
      }
    ]
    return answers[Math.floor(random * answers.length)]?.() as string
  }

  for (const strategy of STRATEGIES) {
    it(`never gives a task to an agent that may not take it, and always to one that may: ${strategy}`, () => {
      const chosen = { strategy, plugin, spokes: strategy === "hub_and_spoke" ? spokesOf({}) : undefined }
      fc.assert(
        fc.property(
          fleets,
          specs,
          fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
          (agents, spec, random) => {
            const of = record({}, spec)
            const answer = routing(chosen).route(of, agents, random)
            const able = agents.filter(
              (each) =>
                !each.gone &&
                (each.taskTypes.length === 0 || each.taskTypes.includes(of.spec.type)) &&
                lacks(of.spec, each.capabilities).length === 0
            )
            if (able.length === 0) assert.strictEqual(answer._tag, "Nobody")
            else if (answer._tag === "Take")
              assert.isTrue(able.some(({ id, state }) => id === answer.agent && state === "idle"))
            else {
              assert.strictEqual(answer._tag, "Wait")
              // Only who waits for its spoke passes over somebody who is idle.
              if (strategy !== "hub_and_spoke") assert.isFalse(able.some(({ state }) => state === "idle"))
            }
            assert.deepStrictEqual(routing(chosen).route(of, agents, random), answer)
          }
        )
      )
    })
  }

  it("says what is missing where no agent can do all of it", () => {
    const agents = [agent("a", { capabilities: ["rust"] }), agent("b", { taskTypes: ["code"], capabilities: ["gpu"] })]
    const of = record({}, { capabilities: ["rust", "gpu"] })
    assert.deepStrictEqual(ableFor(of, agents), { _tag: "Nobody", missing: ["gpu"] })
    assert.deepStrictEqual(ableFor(record({}, { type: "code", agent: "c" }), agents), { _tag: "Nobody" })
  })

  it("lets the tasks of a spoke wait for it, and not for one that is gone", () => {
    const { route } = routing({ strategy: "hub_and_spoke", spokes: spokesOf({}) })
    const coder = agent("coder", { state: "busy" })
    assert.deepStrictEqual(route(record({}, { type: "code" }), [coder, agent("agent")]), { _tag: "Wait" })
    assert.deepStrictEqual(route(record({}, { type: "other" }), [coder, agent("agent")]), {
      _tag: "Take",
      agent: "agent"
    })
    assert.deepStrictEqual(
      route(record({}, { type: "code" }), [{ ...coder, gone: true }, agent("x"), agent("agent")]),
      {
        _tag: "Take",
        agent: "agent"
      }
    )
    assert.deepStrictEqual(route(record({}, { type: "code", agent: "x" }), [coder, agent("x")]), {
      _tag: "Take",
      agent: "x"
    })
  })
})

describe("a routing plugin", () => {
  const agents = [agent("a"), agent("b"), agent("c", { state: "busy" })]

  it("is asked with the task and those who may take it, and followed", () => {
    const seen: Array<unknown> = []
    const it = plugged((of, offered, context) => {
      seen.push(
        of,
        offered.map(({ id }) => id),
        Object.keys(context).sort()
      )
      return offered.at(-1)?.id
    })
    assert.deepStrictEqual(it.route(record({}, { priority: 3, labels: { affinity: "l" } }), agents), {
      _tag: "Take",
      agent: "b"
    })
    assert.deepInclude(seen[0], { id: "t", type: "task", priority: 3, labels: { affinity: "l" }, capabilities: [] })
    assert.deepStrictEqual(seen.slice(1), [
      ["a", "b"],
      ["last", "now", "random"]
    ])
    assert.deepStrictEqual(it.told, [])
  })

  it("cannot change what it is given", () => {
    const it = plugged((_task, offered) => {
      for (const each of offered as unknown as Array<{ id: string; capabilities: Array<string> }>) {
        each.capabilities.push("everything")
        each.id = "c"
      }
      return "c"
    })
    assert.deepStrictEqual(it.route(record(), agents), { _tag: "Take", agent: "a" })
    assert.deepStrictEqual(
      agents.map(({ capabilities, id }) => [id, capabilities]),
      [
        ["a", []],
        ["b", []],
        ["c", []]
      ]
    )
  })

  it("that leaves the task to the default strategy is not reported", () => {
    const it = plugged(() => undefined)
    assert.deepStrictEqual(it.route(record(), agents), { _tag: "Take", agent: "a" })
    assert.deepStrictEqual(it.told, [])
  })

  const bad: ReadonlyArray<readonly [string, () => unknown, Fallback["why"], RegExp]> = [
    [
      "throws",
      () => {
        throw new Error("out\nof order")
      },
      "threw",
      /^out of order$/
    ],
    [
      "throws something that cannot be told",
      () => {
        throw {
          toString() {
            throw new Error("no")
          }
        }
      },
      "threw",
      /cannot be told/
    ],
    ["names an agent that is busy", () => "c", "unfit", /"c" is none of the agents/],
    ["names nobody there is", () => "z".repeat(1000), "unfit", /is none of the agents/],
    ["answers with something else", () => ({ id: "a" }), "unfit", /answered with a object/],
    ["answers with a promise", async () => "b", "promise", /at once/],
    ["answers with a promise that fails", () => Promise.reject(new Error("late")), "promise", /at once/]
  ]
  for (const [what, plugin, why, detail] of bad) {
    it(`that ${what} is passed over, and reported once`, () => {
      const it = plugged(plugin)
      for (let n = 0; n < 3; n++) assert.deepStrictEqual(it.route(record(), agents), { _tag: "Take", agent: "a" })
      assert.lengthOf(it.told, 1)
      assert.deepInclude(it.told[0], { strategy: "plugin", task: "t", why })
      assert.match(it.told[0]?.detail ?? "", detail)
      assert.isAtMost(it.told[0]?.detail.length ?? 0, 200)
    })
  }

  it("is reported for a bounded number of reasons", () => {
    let n = 0
    const it = plugged(() => {
      throw new Error(`reason ${n++}`)
    })
    for (let k = 0; k < MAX_TOLD * 2; k++) it.route(record(), agents)
    assert.lengthOf(it.told, MAX_TOLD)
  })

  it("that is too slow is passed over, and not asked again when it was so too often", () => {
    let asked = 0
    const it = plugged(() => {
      asked++
      it.thinks(MAX_THINKING + 1)
      return "b"
    })
    for (let k = 0; k < MAX_SLOW + 5; k++) assert.deepInclude(it.route(record(), agents), { agent: "a" })
    assert.strictEqual(asked, MAX_SLOW)
    assert.match(it.told.at(-1)?.detail ?? "", /not asked again/)
  })
})

describe("the file of a routing plugin", () => {
  const withFile = <A, E>(text: string | undefined, use: (file: string) => Effect.Effect<A, E>, name = "routing.ts") =>
    Effect.acquireUseRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "mister-smith-routing-"))),
      (dir) => {
        const file = join(dir, name)
        if (text !== undefined) writeFileSync(file, text)
        return use(file)
      },
      (dir) => Effect.sync(() => rmSync(dir, { recursive: true, force: true }))
    )

  it.live("may be TypeScript", () =>
    withFile(
      `import type { RoutingPlugin } from "mister-smith"
       const last: RoutingPlugin = (task, agents) => agents.at(-1)?.id as string
       export default last`,
      Effect.fnUntraced(function* (file) {
        const it = plugged(yield* load(file))
        assert.deepStrictEqual(it.route(record(), [agent("a"), agent("b")]), { _tag: "Take", agent: "b" })
      })
    )
  )

  const wrong: ReadonlyArray<readonly [string, string | undefined, string, RegExp]> = [
    ["that is not there", undefined, "PluginMissing", /cannot be read/],
    ["without a default export", "export const route = () => undefined", "PluginNotAFunction", /found none/],
    ["whose default export is no function", "export default 'a'", "PluginNotAFunction", /found a string/],
    ["that throws while it is loaded", "throw new Error('no licence')", "PluginBroken", /no licence/],
    ["that is no program", "export default (", "PluginBroken", /could not be loaded/]
  ]
  for (const [what, text, tag, message] of wrong) {
    it.live(`${what} is told with what to do`, () =>
      withFile(
        text,
        Effect.fnUntraced(function* (file) {
          const error = yield* Effect.flip(load(file))
          assert.strictEqual(error._tag, tag)
          assert.match(error.message, message)
          assert.isString(error.hint)
          assert.strictEqual(error.recovery, "escalate")
        }),
        "wrong.mjs"
      )
    )
  }
})
