/** What an operator can do to the agents of a running node, on a fake CLI that answers every message. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Stream } from "effect"
import { HostEnvironment } from "../../src/claude/ClaudeCommand.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import type { ConfigInput } from "../../src/index.ts"
import { MisterSmith, makeConfig, type Published } from "../../src/index.ts"
import { tempDir } from "../utils/Binary.ts"

const command = resolve("test/fixtures/fake-claude.sh")

/** One run of a node on this directory. */
const run = <A, E>(
  dir: string,
  use: (smith: MisterSmith["Service"]) => Effect.Effect<A, E>,
  change: Partial<ConfigInput> = {},
  events: Array<Published> = []
) =>
  Effect.gen(function* () {
    const stream = yield* (yield* EventBus).subscribe
    yield* Effect.forkScoped(Stream.runForEach(stream, (event) => Effect.sync(() => events.push(event))))
    const config = yield* makeConfig(
      {
        agents: [
          { id: "one", taskTypes: ["a"] },
          { id: "two", taskTypes: ["b"] }
        ],
        claude: { command, env: { FAKE: "fine" } },
        dataDir: join(dir, "data"),
        retry: { delay: "50 millis" },
        ...change
      },
      { baseDir: dir, env: process.env }
    )
    const node = MisterSmith.layerWithEvents(config).pipe(Layer.provide(NodeServices.layer))
    return yield* Effect.flatMap(MisterSmith, use).pipe(Effect.provide(node))
  }).pipe(Effect.scoped, Effect.provide(EventBus.layer), Effect.provideService(HostEnvironment, process.env))

const stateOf = (smith: MisterSmith["Service"], id: string) =>
  Effect.map(smith.agents, (agents) => agents.find((agent) => agent.id === id)?.state)

describe("an agent that is stopped on purpose", () => {
  it.live(
    "stays so in the next run on the same data directory, its tasks wait, and starting it ends that for good",
    () =>
      Effect.gen(function* () {
        using dir = tempDir()
        yield* run(dir.path, (smith) =>
          Effect.gen(function* () {
            yield* smith.perform({ id: "before", type: "a", prompt: "x" })
            yield* smith.stopAgent("one")
            assert.strictEqual(yield* stateOf(smith, "one"), "terminated")
            assert.include(yield* smith.explain("one"), "was stopped on request; it stays down until it is restarted")
          })
        )
        yield* run(dir.path, (smith) =>
          Effect.gen(function* () {
            const other = yield* smith.perform({ id: "other", type: "b", prompt: "x" })
            assert.strictEqual(other.status, "succeeded")
            assert.strictEqual(yield* stateOf(smith, "one"), "terminated")
            assert.include(yield* smith.explain("one"), "in an earlier run")
            const last = (yield* smith.moves("one")).at(-1)
            assert.deepInclude(last, { to: "terminated" })
            const { id } = yield* smith.submit({ id: "waits", type: "a", prompt: "x" })
            const [one] = (yield* smith.tree).children
            assert.deepInclude(one, { id: "one", status: "stopped", restarts: 0 })
            const waiting = (yield* smith.tasks).find((task) => task.id === id)
            assert.strictEqual(waiting?.state, "queued")
            yield* smith.startAgent("one")
            assert.strictEqual((yield* smith.result(id)).status, "succeeded")
          })
        )
        yield* run(dir.path, (smith) =>
          Effect.gen(function* () {
            assert.strictEqual((yield* smith.perform({ type: "a", prompt: "x" })).status, "succeeded")
          })
        )
      })
  )

  it.live("is one that the node has", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const [stopped, explained, started] = yield* run(dir.path, (smith) =>
        Effect.all([
          Effect.flip(smith.stopAgent("three")),
          Effect.flip(smith.explain("three")),
          Effect.flip(smith.startAgent("one"))
        ])
      )
      assert.strictEqual(stopped._tag, "AgentUnknown")
      assert.strictEqual(explained.hint, "its agents are one, two")
      assert.strictEqual(started._tag, "ChildRunning")
    })
  )

  it.live("is left running where the stop could not be remembered", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      // Root may write anywhere, but nobody can write a file where there is a directory.
      yield* run(dir.path, (smith) =>
        Effect.gen(function* () {
          yield* smith.perform({ type: "a", prompt: "x" })
          yield* Effect.sync(() => mkdirSync(join(dir.path, "data", "stopped.json.new")))
          const fault = yield* Effect.flip(smith.stopAgent("one"))
          assert.strictEqual(fault._tag, "StopNotKept")
          assert.strictEqual((yield* smith.perform({ type: "a", prompt: "x" })).status, "succeeded")
        })
      )
    })
  )

  it.live("is not forgotten over a damaged file: the node does not start", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      yield* run(dir.path, (smith) => smith.stopAgent("one"))
      writeFileSync(join(dir.path, "data", "stopped.json"), '["agents/one"')
      const exit = yield* Effect.exit(run(dir.path, () => Effect.void))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(String(Exit.isFailure(exit) ? exit.cause : ""), "StoppedUnreadable")
      assert.strictEqual(readFileSync(join(dir.path, "data", "stopped.json"), "utf8"), '["agents/one"')
    })
  )
})

describe("an agent that goes silent in a turn", () => {
  it.live("makes its task fail as stalled when no attempt is left", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const result = yield* run(dir.path, (smith) => smith.perform({ prompt: "x" }), {
        agents: [{ id: "one", limits: { silence: "500 millis" }, restart: { initialDelay: "10 millis" } }],
        claude: { command, env: { FAKE: "mute" } },
        retry: { attempts: 1 }
      })
      assert.strictEqual(result.fault?.kind, "Stalled")
      assert.strictEqual(result.attempts, 1)
    })
  )
})

describe("a critical fault", () => {
  it.live("is told to the operator at once, with its severity", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const told = join(dir.path, "told")
      const events: Array<Published> = []
      yield* Effect.exit(
        run(
          dir.path,
          (smith) => Effect.andThen(Effect.exit(smith.perform({ prompt: "x" })), smith.ended),
          {
            agents: [{ id: "one" }],
            claude: { command: join(dir.path, "no-such-cli") },
            supervision: { escalation: [{ do: "notify", command: ["sh", "-c", `cat > ${told}`] }] }
          },
          events
        )
      )
      assert.include(JSON.parse(readFileSync(told, "utf8")).message, "no Claude CLI was found")
      const exited = events.find((event) => event.type === "supervisor.decision" && event.decision === "ChildExited")
      assert.deepInclude(exited, { severity: "critical", child: "one" })
    })
  )
})

describe("an agent that is paused", () => {
  it.live("stands still in mid-turn, is given nothing, and loses no time by it", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const said = join(dir.path, "said")
      const count = () => (existsSync(said) ? readFileSync(said, "utf8").length : 0)
      const until = (holds: () => boolean) =>
        Effect.repeat(Effect.sleep("5 millis"), { until: () => Effect.sync(holds) })
      const result = yield* run(
        dir.path,
        (smith) =>
          Effect.gen(function* () {
            const { id } = yield* smith.submit({ prompt: "x" })
            yield* until(() => count() > 0)
            yield* smith.pauseAgent("one")
            assert.strictEqual(yield* stateOf(smith, "one"), "paused")
            const before = count()
            // Longer than its task may take.
            yield* Effect.sleep("6 seconds")
            assert.strictEqual(count(), before)
            assert.strictEqual((yield* smith.tasks)[0]?.state, "running")
            yield* smith.resumeAgent("one")
            assert.strictEqual(yield* stateOf(smith, "one"), "busy")
            yield* until(() => count() > before)
            writeFileSync(join(dir.path, "enough"), "")
            return yield* smith.result(id)
          }),
        {
          agents: [{ id: "one", workspace: dir.path, limits: { taskTime: "5 seconds" } }],
          claude: { command, env: { FAKE: "counts" } }
        }
      )
      assert.strictEqual(result.status, "succeeded")
    })
  )

  it.live("can be stopped, and the node too", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      yield* run(dir.path, (smith) =>
        Effect.gen(function* () {
          for (const type of ["a", "b"]) yield* smith.perform({ type, prompt: "x" })
          yield* smith.pauseAgent("one")
          yield* smith.pauseAgent("two")
          yield* smith.stopAgent("one")
          assert.strictEqual(yield* stateOf(smith, "one"), "terminated")
          assert.strictEqual((yield* Effect.flip(smith.pauseAgent("one")))._tag, "AgentNotRunning")
        })
      )
    })
  )
})

describe("an agent that uses more than it may", () => {
  it.live("is ended, by the kernel or by a look, and its task fails with the figures", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const result = yield* run(dir.path, (smith) => smith.perform({ prompt: "x" }), {
        process: { measureEvery: "50 millis" },
        agents: [{ id: "one", limits: { memory: "64 MiB" }, restart: { initialDelay: "10 millis" } }],
        claude: { command, env: { FAKE: "eats" } },
        retry: { attempts: 1 }
      })
      assert.strictEqual(result.fault?.kind, "LimitExceeded")
      assert.match(result.fault?.message ?? "", /of memory, of which 64 MiB are allowed/)
    })
  )

  it.live("does not start where its limit is required and cannot be enforced", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const result = yield* run(dir.path, (smith) => smith.perform({ prompt: "x" }), {
        process: { cgroup: "off" },
        agents: [{ id: "one", limits: { memory: "64 MiB", enforce: "required" } }]
      })
      assert.strictEqual(result.fault?.kind, "LimitUnenforceable")
    }).pipe(
      Effect.catchTag("SupervisorGaveUp", (error) =>
        Effect.sync(() => assert.include(error.message, "process.cgroup is off"))
      )
    )
  )
})
