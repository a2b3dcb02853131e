import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import { MAX_AGENTS, MAX_TASKS } from "../../src/config/Config.ts"
import { load, MAX_FILE, make } from "../../src/config/Load.ts"
import { tempDir } from "../utils/Binary.ts"
import { wrongConfigs } from "./wrongConfigs.ts"

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

describe("a config file", () => {
  for (const [what, text, says] of wrongConfigs) {
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
      assert.match(yield* reason("/dev/zero"), /: is larger than 8 MiB$/)
    })
  )

  it.effect("with more mistakes than anybody reads is answered with the first thousand of them", () =>
    Effect.gen(function* () {
      const agents = Array.from({ length: MAX_AGENTS }, (_, index) => ({ id: `agent-${index}`, taskTypes: ["code"] }))
      const tasks = Array.from({ length: MAX_TASKS }, (_, index) => ({ prompt: "x", agent: `agnt-x-${index}` }))
      const { mistakes } = yield* Effect.flip(make({ agents, tasks }, { baseDir: "/", env }))
      assert.lengthOf(mistakes, 1001)
      assert.strictEqual(mistakes[999]?.at, "tasks[999].agent")
      assert.deepStrictEqual(mistakes.at(-1), { at: "(file)", expected: "there are more mistakes than these" })
    })
  )

  it.effect("may be as small as one agent and one task, and its defaults are a careful operator's", () =>
    Effect.gen(function* () {
      const config = yield* make({ agents: [{ id: "a" }], tasks: [{ prompt: "x" }] }, { baseDir: "/base", env })
      assert.deepEqual<unknown>(config, {
        name: "mister-smith",
        baseDir: "/base",
        dataDir: "/base/.mister-smith",
        tasksKept: 10_000,
        deadTasksKept: 10_000,
        claude: { env: {}, startTimeout: Duration.seconds(60), maxLine: 32 * 1024 ** 2 },
        process: {
          stop: { interrupt: Duration.seconds(2), terminate: Duration.seconds(1), kill: Duration.seconds(5) },
          cgroup: "auto",
          pidNamespace: "off",
          measureEvery: Duration.seconds(2)
        },
        supervision: { strategy: "one_for_one", maxRestarts: 3, within: Duration.seconds(60), escalation: [] },
        retry: {
          attempts: 3,
          interruptions: 10,
          delay: Duration.seconds(5),
          factor: 2,
          maxDelay: Duration.minutes(5)
        },
        routing: { strategy: "least_loaded", decay: Duration.minutes(10) },
        transport: {
          kind: "memory",
          servers: [],
          inboxPrefix: "_INBOX",
          order: "random",
          returnAfter: Duration.seconds(30),
          reconnect: { first: Duration.millis(50), longest: Duration.seconds(2) },
          connectTimeout: Duration.seconds(5),
          pingInterval: Duration.seconds(5),
          maxPending: 8 * 2 ** 20
        },
        fleet: {
          heartbeat: Duration.seconds(5),
          expire: Duration.seconds(20),
          replicas: 1,
          ledger: "shared",
          takeover: Duration.seconds(15),
          failure: { suspect: 5, dead: 12 },
          dispatch: { grace: Duration.seconds(2), ackWait: Duration.seconds(30) },
          placement: "first",
          sticky: Duration.minutes(1),
          auction: { window: Duration.millis(150), grace: Duration.seconds(2) },
          edge: { whenCutOff: "noNewWork", outbox: { tasks: 10_000, events: 10_000 } }
        },
        logs: {
          level: "info",
          modules: {},
          file: true,
          stream: true,
          format: "json",
          maxFile: 10 * 2 ** 20,
          maxAge: Duration.days(7),
          maxTotal: 200 * 2 ** 20
        },
        workspaces: { kept: 50, size: 20 * 1024 ** 3 },
        agents: [
          {
            id: "a",
            replicas: 1,
            standby: false,
            taskTypes: [],
            capabilities: [],
            session: "per_task",
            permissions: { mode: "default", allow: [], deny: [] },
            limits: { taskTime: Duration.minutes(30), silence: Duration.minutes(10), enforce: "best_effort" },
            restart: {
              policy: "exponential_backoff",
              factor: 2,
              maxDelay: Duration.seconds(60),
              resetAfter: Duration.minutes(5)
            }
          }
        ],
        tasks: [{ id: "task-1", type: "task", prompt: "x" }]
      })
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

  it.effect("keeps the secrets of its transport Redacted, or where they are read again", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      writeFileSync(join(dir.path, "ca.pem"), "a certificate")
      writeFileSync(join(dir.path, "pass"), "one two three\n")
      const config = yield* make(
        {
          agents: [{ id: "a" }],
          transport: {
            kind: "nats",
            servers: ["tls://example.org"],
            user: "node",
            password: { file: "pass" },
            tls: { ca: { file: "ca.pem" }, cert: "plain certificate", key: { env: "TOKEN" } }
          }
        },
        { baseDir: dir.path, env }
      )
      const { password, tls } = config.transport
      assert.deepStrictEqual(password, { file: join(dir.path, "pass") })
      assert.deepStrictEqual(tls?.ca, { file: join(dir.path, "ca.pem") })
      assert.strictEqual(Redacted.isRedacted(tls?.key) && Redacted.value(tls.key), "s3cret")
      assert.notMatch(JSON.stringify(config) + String(tls?.cert), /s3cret|plain certificate/)
    })
  )
})
