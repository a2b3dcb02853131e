import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import { load, MAX_FILE, make } from "../../src/config/Load.ts"
import { tempDir } from "../utils/Binary.ts"

const env = { TOKEN: "s3cret", EMPTY: "" }

/** Everything that `check` would print for a file of this text, but for the last line with the hint. */
const complaints = (text: string | Uint8Array, variables: Record<string, string> = {}) =>
  Effect.gen(function* () {
    using dir = tempDir()
    const file = join(dir.path, "config.json")
    writeFileSync(file, text)
    mkdirSync(join(dir.path, "here"))
    writeFileSync(join(dir.path, "token"), "from a file\n")
    writeFileSync(join(dir.path, "empty"), "\n")
    const error = yield* Effect.flip(load(file, { ...env, ...variables }))
    return error.message
      .replace(`${file}:\n`, "")
      .replaceAll(dir.path, "DIR")
      .split("\n")
      .map((line) => line.trim())
  })

const agents = '"agents": [{ "id": "a" }]'

const table: ReadonlyArray<readonly [what: string, text: string, says: ReadonlyArray<string>]> = [
  ["no agents", "{}", ["agents: is missing"]],
  ["an empty list of agents", '{ "agents": [] }', ["agents (line 1): expected at least one agent, found []"]],
  ["a misspelt key", `{ ${agents}, "taks": [] }`, ['taks (line 1): there is no such key; did you mean "tasks"?']],
  [
    "a key that is like no other",
    `{ ${agents}, "supervision": { "zzzzzzzzz": 1 } }`,
    [
      "supervision.zzzzzzzzz (line 1): there is no such key; known here: strategy, maxRestarts, within, escalation, restartBudget"
    ]
  ],
  [
    "a duration without its unit",
    `{ ${agents}, "retry": { "delay": 5 } }`,
    ['retry.delay (line 1): expected a duration such as "30 seconds" or "5 minutes", found 5']
  ],
  [
    "a size in a unit that nobody knows",
    `{ ${agents}, "claude": { "maxLine": "3 bananas" } }`,
    ['claude.maxLine (line 1): expected a size such as "512 MiB" or "2 GiB", found "3 bananas"']
  ],
  [
    "a misspelt word",
    `{ ${agents}, "supervision": { "strategy": "one_for_al" } }`,
    [
      'supervision.strategy (line 1): expected "one_for_one", "one_for_all", "rest_for_one", "escalate", found "one_for_al"; did you mean "one_for_all"?'
    ]
  ],
  [
    "an id with capitals",
    '{ "agents": [{ "id": "Alice" }] }',
    [
      'agents[0].id (line 1): expected a lower-case name of at most 63 letters, digits and dashes, such as "reviewer-1", found "Alice"'
    ]
  ],
  [
    "too many replicas",
    '{ "agents": [{ "id": "a", "replicas": 1001 }] }',
    ["agents[0].replicas (line 1): expected a whole number from 1 to 1000, found 1001"]
  ],
  [
    "two agents of one name",
    '{ "agents": [{ "id": "a" }, { "id": "a" }] }',
    [
      'agents[1].id (line 1): the name "a" is taken by agents[0]; every agent, replicas included, needs a name of its own'
    ]
  ],
  [
    "an agent with the name of another's replica",
    '{ "agents": [{ "id": "a", "replicas": 2 }, { "id": "a-1" }] }',
    [
      'agents[1].id (line 1): the name "a-1" is taken by agents[0]; every agent, replicas included, needs a name of its own'
    ]
  ],
  [
    "two tasks of one id",
    `{ ${agents}, "tasks": [{ "id": "t", "prompt": "x" }, { "id": "t", "prompt": "y" }] }`,
    ['tasks[1].id (line 1): the id "t" is taken by tasks[0]']
  ],
  [
    "a task for an agent that is not there",
    '{ "agents": [{ "id": "writer" }], "tasks": [{ "agent": "writr", "prompt": "x" }] }',
    ['tasks[0].agent (line 1): there is no such agent, found "writr"; did you mean "writer"?']
  ],
  [
    "a task that nobody takes",
    '{ "agents": [{ "id": "a", "taskTypes": ["code"] }], "tasks": [{ "prompt": "x" }] }',
    ['tasks[0].type: no agent takes tasks of this type, found "task"; taken are code']
  ],
  ["a task without a prompt", `{ ${agents}, "tasks": [{}] }`, ["tasks[0].prompt: is missing"]],
  [
    "a workspace that is not there",
    '{ "agents": [{ "id": "a", "workspace": "nowhere" }] }',
    ['agents[0].workspace (line 1): expected a directory that exists, found "nowhere"']
  ],
  [
    "a data directory that is a file",
    `{ ${agents}, "dataDir": "token" }`,
    ['dataDir (line 1): expected a directory, found "token"']
  ],
  [
    "a longest pause that is shorter than the first",
    `{ ${agents}, "retry": { "delay": "1 hour", "maxDelay": "1 minute" } }`,
    ['retry.maxDelay (line 1): expected at least delay (1 hour), found "1 minute"']
  ],
  [
    "a standby that nothing starts, and a step that starts what is none",
    '{ "agents": [{ "id": "a" }, { "id": "b", "standby": true }], "supervision": { "escalation": [{ "do": "start_standby", "child": "a" }] } }',
    [
      'supervision.escalation[0].child (line 1): expected the name of an agent with "standby": true, found "a"',
      'agents[1].standby (line 1): nothing would ever start "b"; add { "do": "start_standby", "child": "b" } to supervision.escalation'
    ]
  ],
  [
    "secrets that are not there",
    `{ ${agents}, "claude": { "env": { "A": { "env": "NOPE" }, "B": { "env": "EMPTY" }, "C": { "file": "nope" }, "D": { "file": "empty" } } } }`,
    [
      "claude.env.A.env (line 1): the environment variable NOPE is not set",
      "claude.env.B.env (line 1): the environment variable EMPTY is not set",
      'claude.env.C.file (line 1): the file "nope" cannot be read',
      'claude.env.D.file (line 1): the file "empty" is empty'
    ]
  ],
  [
    "a secret that is a number, which is not shown",
    `{ ${agents}, "claude": { "env": { "A": 42 } } }`,
    ['claude.env.A (line 1): expected text, { "env": "NAME" } or { "file": "path" }, found a number']
  ],
  ["text that is not JSON", '{ "agents": [,] }', ["line 1, column 14: expected JSON (value expected)"]],
  ["nothing", "", ["line 1, column 1: expected JSON (value expected)"]],
  ["a comment", `{ // no\n ${agents} }`, ["line 1, column 3: expected JSON (invalid comment token)"]],
  ["a key that stands twice", `{ ${agents},\n "name": "x",\n "name": "y" }`, ["name (line 3): this key stands twice"]],
  [
    "several mistakes, all of them",
    '{\n "agents": [{ "id": "a", "replicas": 0 }],\n "nmae": "x",\n "tasks": [{ "prompt": 1 }]\n}',
    [
      "agents[0].replicas (line 2): expected a whole number from 1 to 1000, found 0",
      'nmae (line 3): there is no such key; did you mean "name"?',
      "tasks[0].prompt (line 4): expected string, found 1"
    ]
  ]
]

describe("a config file", () => {
  for (const [what, text, says] of table) {
    it.effect(`with ${what} is answered with its place`, () =>
      Effect.gen(function* () {
        const lines = yield* complaints(text)
        assert.sameMembers(lines, [...says])
      })
    )
  }

  it.effect("that cannot be read is said to be so", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const reason = (file: string) => Effect.map(Effect.flip(load(file, env)), ({ message }) => message)
      assert.match(yield* reason(join(dir.path, "none.json")), /none\.json: there is no such file$/)
      assert.match(yield* reason(dir.path), /: is a directory$/)
      assert.deepStrictEqual(yield* complaints(new Uint8Array([0x7b, 0xff, 0xfe, 0x7d])), [
        "DIR/config.json: is not UTF-8 text"
      ])
      assert.deepStrictEqual(yield* complaints(new Uint8Array(MAX_FILE + 1).fill(32)), [
        "DIR/config.json: is larger than 8 MiB"
      ])
    })
  )

  it.effect("may be as small as one agent and one task, and its defaults are a careful operator's", () =>
    Effect.gen(function* () {
      const config = yield* make({ agents: [{ id: "a" }], tasks: [{ prompt: "x" }] }, { baseDir: "/base", env })
      assert.strictEqual(config.dataDir, "/base/.mister-smith")
      assert.strictEqual(config.tasks[0]?.id, "task-1")
      assert.deepInclude(config.agents[0], {
        replicas: 1,
        session: "per_task",
        permissions: { mode: "default", allow: [], deny: [] }
      })
      assert.strictEqual(config.agents[0]?.restart.policy, "exponential_backoff")
      assert.strictEqual(Duration.toMinutes(config.agents[0]?.limits.taskTime ?? 0), 30)
      assert.deepInclude(config.supervision, { strategy: "one_for_one", maxRestarts: 3 })
      assert.strictEqual(config.retry.attempts, 3)
    })
  )

  it.effect("may begin with a byte order mark; its paths begin where it is; its secrets are found", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      mkdirSync(join(dir.path, "work"))
      writeFileSync(join(dir.path, "token"), "from a file\n")
      const claude = { env: { A: { env: "TOKEN" }, B: { file: "token" }, C: "plain" } }
      const file = join(dir.path, "config.json")
      writeFileSync(
        file,
        `\uFEFF${JSON.stringify({ dataDir: "data", claude, agents: [{ id: "a", workspace: "work" }] })}`
      )
      const config = yield* load(file, env)
      assert.strictEqual(config.dataDir, join(dir.path, "data"))
      assert.strictEqual(config.agents[0]?.workspace, join(dir.path, "work"))
      const secrets = Object.values(config.claude.env).map(Redacted.value)
      assert.deepStrictEqual(secrets, ["s3cret", "from a file", "plain"])
      assert.notMatch(JSON.stringify(config) + String(config.claude.env["A"]), /s3cret|from a file|plain/)
    })
  )
})

describe("an environment override", () => {
  const config = { agents: [{ id: "a" }], tasks: [{ prompt: "x" }] }
  const given = (variables: Record<string, string>) =>
    Effect.gen(function* () {
      using dir = tempDir()
      const file = join(dir.path, "config.json")
      writeFileSync(file, JSON.stringify(config))
      return yield* load(file, variables)
    })

  it.effect("is typed by what its key wants", () =>
    Effect.gen(function* () {
      const changed = yield* given({
        MISTER_SMITH__NAME: "123",
        MISTER_SMITH__SUPERVISION__MAX_RESTARTS: "7",
        mister_smith__agents__0__task_types: '["task","code"]',
        MISTER_SMITH__AGENTS__0__LIMITS__TASK_TIME: "2 minutes",
        MISTER_SMITH__CLAUDE__ENV__My_Var: "x",
        MISTER_SMITH_HOME: "ignored"
      })
      assert.strictEqual(changed.name, "123")
      assert.strictEqual(changed.supervision.maxRestarts, 7)
      assert.deepStrictEqual([...(changed.agents[0]?.taskTypes ?? [])].map(String), ["task", "code"])
      assert.strictEqual(Duration.toMinutes(changed.agents[0]?.limits.taskTime ?? 0), 2)
      assert.deepStrictEqual(Object.keys(changed.claude.env), ["My_Var"])
    })
  )

  it.effect("that names no key is told with a suggestion, and a mistake in a value is the variable's", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        given({ MISTER_SMITH__RETRY__ATEMPTS: "1", MISTER_SMITH__RETRY__FACTOR: "often" })
      )
      assert.include(
        error.message,
        "MISTER_SMITH__RETRY__ATEMPTS: retry has no key like ATEMPTS; did you mean MISTER_SMITH__RETRY__ATTEMPTS?"
      )
      assert.include(error.message, "MISTER_SMITH__RETRY__FACTOR (retry.factor): expected")
    })
  )
})
