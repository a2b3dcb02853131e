import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import { fromUnknown, make } from "../../src/config/Load.ts"

const config = { agents: [{ id: "a" }], tasks: [{ prompt: "x" }] }

const given = (env: Record<string, string>, value: unknown = config) =>
  fromUnknown(value, { file: "config.json", baseDir: "/", env })

/** What is said about it, a line for each mistake. */
const complaints = (env: Record<string, string>, value?: unknown) =>
  Effect.map(Effect.flip(given(env, value)), ({ message }) =>
    message
      .split("\n")
      .slice(1)
      .map((line) => line.trim())
  )

const wrong: ReadonlyArray<readonly [what: string, env: Record<string, string>, says: ReadonlyArray<string>]> = [
  [
    "names no key",
    { MISTER_SMITH__RETRY__ATEMPTS: "1", MISTER_SMITH__ZZZZZZ: "1" },
    [
      'MISTER_SMITH__RETRY__ATEMPTS: retry has no key like "ATEMPTS"; did you mean MISTER_SMITH__RETRY__ATTEMPTS?',
      'MISTER_SMITH__ZZZZZZ: (file) has no key like "ZZZZZZ"; known there: $schema, name, dataDir, tasksKept, deadTasksKept, claude, process, supervision, retry, routing, transport, fleet, logs, workspaces, agents, tasks'
    ]
  ],
  [
    "goes on where nothing can follow",
    { MISTER_SMITH__NAME__X: "1" },
    ['MISTER_SMITH__NAME__X: there is nothing within name that "X" could name']
  ],
  [
    "has a value that its key does not want",
    { MISTER_SMITH__RETRY__FACTOR: "often", MISTER_SMITH__AGENTS__0__LIMITS__TASK_TIME: "30" },
    [
      'MISTER_SMITH__RETRY__FACTOR (retry.factor): expected a number, found "often"',
      'MISTER_SMITH__AGENTS__0__LIMITS__TASK_TIME (agents[0].limits.taskTime): expected a duration such as "30 seconds" or "5 minutes", longer than nothing, found "30"; write "30 seconds"'
    ]
  ],
  [
    "brings a whole list with something wrong within",
    { MISTER_SMITH__AGENTS: '[{ "id": "a" }, { "id": "B" }]' },
    [
      'MISTER_SMITH__AGENTS (agents[1].id): expected a lower-case name of at most 63 letters, digits and dashes, such as "reviewer-1", found "B"'
    ]
  ],
  [
    "makes an entry that lacks something",
    { MISTER_SMITH__TASKS__1__TYPE: "code" },
    ["MISTER_SMITH__TASKS__1__TYPE (tasks[1].prompt): is missing"]
  ],
  [
    "would leave a gap in a list",
    { MISTER_SMITH__AGENTS__99999__ID: "b" },
    ["MISTER_SMITH__AGENTS__99999__ID: agents has 1 entry, so the next is number 1"]
  ],
  [
    "is no JSON where JSON is wanted",
    { MISTER_SMITH__AGENTS__0__TASK_TYPES: "code", MISTER_SMITH__CLAUDE: '{"env":{"K":"s3cret"}' },
    [
      'MISTER_SMITH__AGENTS__0__TASK_TYPES: expected an array in JSON, such as ["a", "b"]',
      'MISTER_SMITH__CLAUDE: expected an object in JSON, such as {"key": "value"}'
    ]
  ],
  [
    "is set twice in different letters",
    { MISTER_SMITH__NAME: "x", mister_smith__name: "y" },
    ["mister_smith__name: name is set by MISTER_SMITH__NAME too"]
  ],
  [
    "refers to a secret that is not there",
    { MISTER_SMITH__CLAUDE__ENV__KEY: '{"env":"NOPE"}' },
    ["MISTER_SMITH__CLAUDE__ENV__KEY (claude.env.KEY.env): the environment variable NOPE is not set"]
  ],
  [
    "meets an agent that is not there",
    { MISTER_SMITH__TASKS__0__AGENT: "b" },
    ['MISTER_SMITH__TASKS__0__AGENT (tasks[0].agent): there is no such agent, found "b"; did you mean "a"?']
  ]
]

describe("an environment override", () => {
  it.effect("is typed by what its key wants", () =>
    Effect.gen(function* () {
      const changed = yield* given({
        MISTER_SMITH__NAME: "123",
        MISTER_SMITH__SUPERVISION__MAX_RESTARTS: "7",
        mister_smith__agents__0__task_types: '["task","code"]',
        MISTER_SMITH__AGENTS__0__LIMITS__TASK_TIME: "2 minutes",
        MISTER_SMITH__AGENTS__0__STANDBY: "false",
        MISTER_SMITH__CLAUDE__MODEL: "true",
        MISTER_SMITH__TASKS__0__SCHEMA: '{"type":"object"}',
        MISTER_SMITH_HOME: "ignored"
      })
      assert.strictEqual(changed.name, "123")
      assert.strictEqual(changed.supervision.maxRestarts, 7)
      assert.deepStrictEqual([...(changed.agents[0]?.taskTypes ?? [])].map(String), ["task", "code"])
      assert.strictEqual(Duration.toMinutes(changed.agents[0]?.limits.taskTime ?? 0), 2)
      assert.strictEqual(changed.agents[0]?.standby, false)
      assert.strictEqual(changed.claude.model, "true")
      assert.deepStrictEqual(changed.tasks[0]?.schema, { type: "object" })
    })
  )

  it.effect("of a variable for the CLI is text, whatever it looks like; the name is taken as it is", () =>
    Effect.gen(function* () {
      const { claude } = yield* given({
        MISTER_SMITH__CLAUDE__ENV__IS_SANDBOX: "1",
        MISTER_SMITH__CLAUDE__ENV__My_Var__Two: "true",
        MISTER_SMITH__CLAUDE__ENV__KEY: '{"env":"TOKEN"}',
        MISTER_SMITH__CLAUDE__ENV__ACCOUNT: '{"type":"service"}',
        TOKEN: "s3cret"
      })
      assert.deepStrictEqual(
        Object.entries(claude.env).map(([name, value]) => [name, Redacted.value(value)]),
        [
          ["ACCOUNT", '{"type":"service"}'],
          ["IS_SANDBOX", "1"],
          ["KEY", "s3cret"],
          ["My_Var__Two", "true"]
        ]
      )
    })
  )

  it.effect("changes the whole before its parts, and adds to a list in the order of the numbers", () =>
    Effect.gen(function* () {
      const { agents, tasks } = yield* given({
        MISTER_SMITH__AGENTS__0__MODEL: "m",
        MISTER_SMITH__AGENTS: '[{ "id": "b" }]',
        ...Object.fromEntries([10, 9, 8, 7, 6, 5, 4, 3, 2, 1].map((n) => [`MISTER_SMITH__TASKS__${n}__PROMPT`, `${n}`]))
      })
      assert.include(agents[0], { model: "m" })
      assert.strictEqual(String(agents[0]?.id), "b")
      assert.deepStrictEqual(
        tasks.map(({ prompt }) => prompt),
        ["x", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]
      )
    })
  )

  it.effect("does not hide what is wrong in the file, and leaves the caller's value alone", () =>
    Effect.gen(function* () {
      const value = { ...config, claude: "x" }
      const copy = structuredClone(value)
      assert.deepStrictEqual(yield* complaints({ MISTER_SMITH__CLAUDE__MODEL: "m" }, value), [
        "claude: expected an object, found text"
      ])
      assert.deepStrictEqual(value, copy)
    })
  )

  for (const [what, env, says] of wrong) {
    it.effect(`that ${what} is a mistake of the variable`, () =>
      Effect.map(complaints(env), (lines) => assert.sameMembers([...lines], [...says]))
    )
  }

  it.effect("does not reach the config of a program", () =>
    Effect.gen(function* () {
      const { name } = yield* make({ agents: [{ id: "a" }] }, { baseDir: "/", env: { MISTER_SMITH__NAME: "x" } })
      assert.strictEqual(name, "mister-smith")
    })
  )
})
