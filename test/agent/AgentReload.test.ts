/** An embedded node follows another config, on a fake CLI that answers every message. */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { HostEnvironment } from "../../src/claude/ClaudeCommand.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import type { ConfigInput } from "../../src/index.ts"
import { MisterSmith, makeConfig, type Published } from "../../src/index.ts"
import { TaskInvalid } from "../../src/task/TaskError.ts"
import { tempDir } from "../utils/Binary.ts"

const command = resolve("test/fixtures/fake-claude.sh")

interface Node {
  readonly dir: string
  readonly smith: MisterSmith["Service"]
  readonly events: ReadonlyArray<Published>
  readonly until: (what: (event: Published) => boolean) => Effect.Effect<void>
  readonly next: (change: Partial<ConfigInput>) => ReturnType<typeof makeConfig>
}

/** A node with agents one and two that are up. */
const node = <A, E>(use: (node: Node) => Effect.Effect<A, E>, change: Partial<ConfigInput> = {}) =>
  Effect.gen(function* () {
    using dir = tempDir()
    const events: Array<Published> = []
    const stream = yield* (yield* EventBus).subscribe
    yield* Effect.forkScoped(Stream.runForEach(stream, (event) => Effect.sync(() => events.push(event))))
    const next = (more: Partial<ConfigInput>) =>
      makeConfig(
        {
          agents: [{ id: "one" }, { id: "two" }],
          claude: { command, env: { FAKE: "fine" } },
          dataDir: join(dir.path, "data"),
          ...change,
          ...more
        },
        { baseDir: dir.path, env: process.env }
      )
    const until = (what: (event: Published) => boolean) =>
      Effect.repeat(Effect.sleep("10 millis"), { until: () => events.some(what) }).pipe(Effect.asVoid)
    const layer = MisterSmith.layerWithEvents(yield* next({})).pipe(Layer.provide(NodeServices.layer))
    return yield* Effect.gen(function* () {
      const smith = yield* MisterSmith
      for (const id of ["one", "two"]) yield* until((event) => event.type === "session.ready" && event.agent === id)
      return yield* use({ dir: dir.path, smith, events, until, next })
    }).pipe(Effect.provide(layer))
  }).pipe(Effect.scoped, Effect.provide(EventBus.layer), Effect.provideService(HostEnvironment, process.env))

const begun = (agent: string) => (event: Published) =>
  event.type === "reload.step" && event.agent === agent && event.is === "begun"
const ready = (events: ReadonlyArray<Published>, agent: string) =>
  events.filter((event) => event.type === "session.ready" && event.agent === agent).length
const ids = (agents: ReadonlyArray<{ readonly id: string }>) => agents.map(({ id }) => id)

it.live("an agent that is stopped on purpose while it changes stays stopped, and the reload goes on", () =>
  node(({ next, smith, until }) =>
    Effect.gen(function* () {
      // These never come up by themselves.
      const silent = yield* next({ claude: { command, env: { FAKE: "silent" } } })
      const reload = yield* Effect.forkChild(smith.reload(silent))
      yield* until(begun("one"))
      yield* smith.stopAgent("one")
      yield* until(begun("two"))
      yield* smith.stopAgent("two")
      yield* Fiber.join(reload)
      assert.deepStrictEqual(
        (yield* smith.tree).children.map(({ id, status }) => `${id} ${status}`),
        ["one stopped", "two stopped"]
      )
      assert.deepStrictEqual(
        (yield* smith.plan(silent)).agents.map((step) => step.do),
        ["keep", "keep"]
      )
    })
  )
)

it.live("a CLI that is not there, or is not ready in time, undoes the reload and not the node", () =>
  node(({ dir, events, next, smith }) =>
    Effect.gen(function* () {
      const absent = yield* next({ claude: { command: join(dir, "absent") } })
      const gone = yield* Effect.flip(smith.reload(absent))
      assert.deepInclude(gone, { _tag: "ReloadRolledBack", at: "one", undone: ["one"], notUndone: [] })
      assert.match(gone.message, /no Claude CLI was found/)
      assert.match(gone.hint ?? "", /claude\.command/)
      const slow = yield* next({ claude: { command, env: { FAKE: "silent" }, startTimeout: "200 millis" } })
      assert.deepInclude(yield* Effect.flip(smith.reload(slow)), { _tag: "ReloadRolledBack", at: "one" })
      assert.strictEqual((yield* smith.perform({ prompt: "x", agent: "one" as never })).status, "succeeded")
      assert.strictEqual((yield* smith.tree).phase, "running")
      assert.strictEqual(ready(events, "two"), 1)
    })
  )
)

it.live("tasks that are refused undo it too, and nobody has gone by then", () =>
  node(({ next, smith }) =>
    Effect.gen(function* () {
      const config = yield* next({ agents: [{ id: "two" }, { id: "three" }], tasks: [{ id: "t", prompt: "x" }] })
      const refused: Array<ReadonlyArray<string>> = []
      const failed = yield* Effect.flip(
        smith.reload(config, {
          submit: (tasks) => {
            refused.push(tasks)
            return Effect.fail(new TaskInvalid({ problem: "not like this" }))
          }
        })
      )
      assert.deepStrictEqual(refused, [["t"]])
      assert.deepInclude(failed, { _tag: "ReloadRolledBack", at: "tasks", undone: ["three"] })
      assert.deepStrictEqual(ids(yield* smith.agents), ["one", "two"])
      assert.deepStrictEqual(ids((yield* smith.tree).children), ["one", "two"])
    })
  )
)

it.live("what an agent may use changes in its place; where the machine cannot enforce it, it is as it was", () =>
  node(({ events, next, smith }) =>
    Effect.gen(function* () {
      const of = (limits: NonNullable<ConfigInput["agents"][number]["limits"]>) =>
        next({ agents: [{ id: "one", taskTypes: ["x"], limits }, { id: "two" }] })
      yield* smith.reload(yield* of({ processes: 500, taskTime: "1 minute" }))
      assert.deepStrictEqual((yield* smith.agents)[0]?.taskTypes, ["x"])
      assert.strictEqual(ready(events, "one"), 1)
      assert.strictEqual((yield* smith.perform({ prompt: "x", type: "x" })).status, "succeeded")
      // Whether it can be enforced is the machine's affair; either is a whole answer.
      const strict = yield* of({ cpus: 0.5, processes: 500, taskTime: "1 minute", enforce: "required" })
      const outcome = yield* Effect.result(smith.reload(strict))
      if (outcome._tag === "Failure") {
        assert.deepInclude(outcome.failure, { _tag: "ReloadRolledBack", at: "one" })
        assert.strictEqual((yield* smith.plan(strict)).agents[0]?.do, "change")
      } else assert.strictEqual((yield* smith.plan(strict)).agents[0]?.do, "keep")
      assert.strictEqual(ready(events, "one"), 1)
    })
  )
)

it.live("an agent that has ended for good is started by a change of its settings", () =>
  node(
    ({ next, smith, until }) =>
      Effect.gen(function* () {
        yield* smith.perform({ prompt: "x", agent: "one" as never })
        yield* until((event) => event.type === "agent.state" && event.agent === "one" && event.to === "terminated")
        const config = yield* next({
          agents: [{ id: "one", restart: { policy: "never" } }, { id: "two" }],
          claude: { command, env: { FAKE: "fine" } }
        })
        yield* smith.reload(config)
        assert.strictEqual((yield* smith.perform({ prompt: "x", agent: "one" as never })).status, "succeeded")
        assert.deepStrictEqual(ids((yield* smith.tree).children), ["one", "two"])
      }),
    {
      claude: { command, env: { FAKE: "dies" } },
      agents: [{ id: "one", restart: { policy: "never" } }, { id: "two" }],
      retry: { attempts: 1 }
    }
  )
)

it.live("an agent whose task is given up for a change goes on with it afterwards", () =>
  node(
    ({ dir, next, smith }) =>
      Effect.gen(function* () {
        const workspace = join(dir, "data", "agents", "one", "workspace")
        yield* smith.submit({ id: "t", prompt: "x", agent: "one" as never })
        const said = join(workspace, "said")
        yield* Effect.repeat(Effect.sleep("10 millis"), {
          until: () => existsSync(said) && readFileSync(said).length > 1
        })
        const config = yield* next({ agents: [{ id: "one", limits: { turns: 9 } }, { id: "two" }] })
        yield* smith.reload(config, { now: true })
        writeFileSync(join(workspace, "enough"), "")
        assert.deepInclude(yield* smith.result("t"), { status: "succeeded", agent: "one" })
      }),
    { claude: { command, env: { FAKE: "counts" } }, retry: { delay: "10 millis" } }
  )
)

it.live("one reload at a time", () =>
  node(({ next, smith, until }) =>
    Effect.gen(function* () {
      const silent = yield* next({ claude: { command, env: { FAKE: "silent" } } })
      const first = yield* Effect.forkChild(smith.reload(silent))
      yield* until(begun("one"))
      assert.strictEqual((yield* Effect.flip(smith.reload(silent)))._tag, "ReloadUnderWay")
      // Who asked for it may go away: it goes on.
      yield* Fiber.interrupt(first)
      assert.strictEqual((yield* Effect.flip(smith.reload(silent)))._tag, "ReloadUnderWay")
      yield* smith.stopAgent("one")
      yield* until(begun("two"))
      yield* smith.stopAgent("two")
      yield* until((event) => event.type === "reload.done")
      yield* until((event) => event.type === "agent.state" && event.agent === "two" && event.to === "terminated")
      assert.strictEqual(
        (yield* smith.reload(yield* next({ claude: { command, env: { FAKE: "silent" } } }))).agents.length,
        2
      )
    })
  )
)
