/** What another config changes: found out without a node. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ConfigInput } from "../../src/config/Config.ts"
import * as Load from "../../src/config/Load.ts"
import { accepted, plan } from "../../src/config/Plan.ts"

const between = Effect.fnUntraced(function* (old: ConfigInput, next: ConfigInput, env: Record<string, string> = {}) {
  const options = { baseDir: "/tmp", env: { ONE: "1", TWO: "2", ...env } }
  const [a, b] = [yield* Load.make(old, options), yield* Load.make(next, options)]
  return { ...plan(a, b), again: plan(accepted(a, b), b) }
})
const steps = (agents: ReadonlyArray<{ readonly agent: string; readonly do: string }>) =>
  agents.map((step) => `${step.do} ${step.agent}`)

it.effect("is nothing between two configs that say the same", () =>
  Effect.gen(function* () {
    const config: ConfigInput = {
      claude: { env: { KEY: { env: "ONE" } } },
      agents: [{ id: "a", limits: { taskTime: "1 minute" } }],
      tasks: [{ prompt: "x", schema: { type: "object" } }]
    }
    const same = yield* between(config, {
      ...config,
      name: "mister-smith",
      agents: [{ id: "a", replicas: 1, limits: { taskTime: "60 seconds" } }]
    })
    assert.deepStrictEqual(same.agents, [{ agent: "a", do: "keep", keys: [], renews: false }])
    assert.deepStrictEqual([same.settings, same.tasks, same.reordered], [[], [], false])
  })
)

it.effect("names agents in the order of the new config, and those that go last", () =>
  Effect.gen(function* () {
    const { agents, reordered } = yield* between(
      { agents: [{ id: "gone" }, { id: "a" }, { id: "b" }] },
      { agents: [{ id: "b" }, { id: "new" }, { id: "a" }] }
    )
    assert.deepStrictEqual(steps(agents), ["keep b", "add new", "keep a", "remove gone"])
    assert.isTrue(reordered)
  })
)

it.effect("counts replicas one by one: more of them touch none of those that are there", () =>
  Effect.gen(function* () {
    const more = yield* between({ agents: [{ id: "a", replicas: 2 }] }, { agents: [{ id: "a", replicas: 3 }] })
    assert.deepStrictEqual(steps(more.agents), ["keep a-1", "keep a-2", "add a-3"])
    const first = yield* between({ agents: [{ id: "a" }] }, { agents: [{ id: "a", replicas: 2 }] })
    assert.deepStrictEqual(steps(first.agents), ["add a-1", "add a-2", "remove a"])
  })
)

it.effect("a key that a life can take over needs no new CLI, any other does", () =>
  Effect.gen(function* () {
    const of = (more: Partial<ConfigInput["agents"][number]>): ConfigInput => ({ agents: [{ id: "a", ...more }] })
    const step = (old: ConfigInput, next: ConfigInput) => Effect.map(between(old, next), ({ agents }) => agents[0])
    assert.deepInclude(
      yield* step(of({}), of({ taskTypes: ["x"], restart: { factor: 3 }, limits: { taskTime: "1 minute", cpus: 2 } })),
      { do: "change", keys: ["taskTypes", "limits.taskTime", "limits.cpus", "restart.factor"], renews: false }
    )
    for (const more of [
      { model: "m" },
      { limits: { turns: 3 } },
      { permissions: { allow: ["Bash"] } },
      { session: "keep" as const }
    ])
      assert.deepInclude(yield* step(of({}), of(more)), { do: "change", renews: true })
    // A limit that is no more cannot be taken back from what runs.
    assert.deepInclude(yield* step(of({ limits: { cpus: 2 } }), of({})), { keys: ["limits.cpus"], renews: true })
  })
)

it.effect("what all share concerns those who use it; a secret is compared by what it hides, and never shown", () =>
  Effect.gen(function* () {
    const agents = [{ id: "own", model: "m" }, { id: "shares" }]
    const model = yield* between({ agents }, { agents, claude: { model: "other" } })
    assert.deepStrictEqual(steps(model.agents), ["keep own", "change shares"])
    const secret = yield* between(
      { agents, claude: { env: { KEY: { env: "ONE" } } } },
      { agents, claude: { env: { KEY: { env: "TWO" } } } }
    )
    assert.deepStrictEqual(steps(secret.agents), ["change own", "change shares"])
    assert.deepStrictEqual(secret.agents[0]?.keys, ["claude.env.KEY"])
    const same = yield* between(
      { agents, claude: { env: { KEY: { env: "ONE" } } } },
      { agents, claude: { env: { KEY: "1" } } }
    )
    assert.deepStrictEqual(steps(same.agents), ["keep own", "keep shares"])
  })
)

it.effect("says which settings hold when, and those that need a restart again the next time", () =>
  Effect.gen(function* () {
    const agents = [{ id: "a" }]
    const {
      again,
      agents: steppped,
      settings
    } = yield* between(
      { agents },
      {
        agents,
        name: "other",
        tasksKept: 5,
        retry: { attempts: 9 },
        claude: { startTimeout: "5 seconds" },
        supervision: { strategy: "one_for_all" },
        process: { stop: { kill: "9 seconds" } }
      }
    )
    assert.deepStrictEqual(steps(steppped), ["keep a"])
    assert.deepStrictEqual(Object.fromEntries(settings.map(({ holds, key }) => [key, holds])), {
      name: "node_restart",
      tasksKept: "now",
      "claude.startTimeout": "next_cli",
      "process.stop.kill": "node_restart",
      "supervision.strategy": "node_restart",
      "retry.attempts": "now"
    })
    assert.deepStrictEqual(
      again.settings.map(({ key }) => key),
      ["name", "process.stop.kill", "supervision.strategy"]
    )
  })
)

it.effect("tasks are new by their id, or by what is asked; those that are gone are not spoken of", () =>
  Effect.gen(function* () {
    const agents = [{ id: "a" }]
    const { tasks } = yield* between(
      { agents, tasks: [{ id: "same", prompt: "x" }, { id: "gone", prompt: "y" }, { prompt: "z" }] },
      { agents, tasks: [{ id: "same", prompt: "x" }, { id: "new", prompt: "y" }, { prompt: "another" }] }
    )
    assert.deepStrictEqual(tasks, ["new", "task-3"])
  })
)
