/** A node among others, over a transport in memory, with a stand-in for the node: what it tells, and how it is told. */
import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Redacted,
  Result,
  Schema,
  Scope,
  Stream
} from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { TestClock } from "effect/testing"
import { AgentUnknown } from "../../src/agent/AgentError.ts"
import { learn } from "../../src/domain/Redaction.ts"
import type { TaskResult } from "../../src/domain/Task.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { Fleet, FleetVoice, type Self } from "../../src/fleet/Fleet.ts"
import { FleetHome } from "../../src/fleet/FleetHome.ts"
import { FleetSettings, nodeIdOf } from "../../src/fleet/FleetSettings.ts"
import { Lease } from "../../src/fleet/Lease.ts"
import * as LinkEvents from "../../src/fleet/LinkEvents.ts"
import * as Registry from "../../src/fleet/Registry.ts"
import { Steered, type SteeredShape } from "../../src/fleet/Steered.ts"
import * as MessageRouter from "../../src/message/MessageRouter.ts"
import * as Subject from "../../src/message/Subject.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import * as MemoryWire from "../../src/transport/MemoryWire.ts"
import { Transport } from "../../src/transport/Transport.ts"
import { PermissionDenied } from "../../src/transport/TransportError.ts"
import { record } from "../admin/Served.ts"
import { done } from "../utils/Results.ts"
import { agent as snapshot } from "../utils/Snapshots.ts"

const subjects = Result.getOrThrow(Subject.make())

interface Heard {
  readonly subject: string
  readonly type: string
  readonly body: Readonly<Record<string, unknown>>
}

/** A node and someone else, in a Scope of the node's own. */
const beside = Effect.fnUntraced(function* (
  has: Partial<SteeredShape> = {},
  result?: Partial<TaskResult>,
  listensTo = ">"
) {
  const hub = yield* MemoryWire.hub()
  const end = Effect.map(Layer.build(Transport.layerAt(hub)), (context) => Context.get(context, Transport))
  const other = yield* end
  const heard: Array<Heard> = []
  const all = yield* other.subscribe(listensTo)
  yield* Effect.forkScoped(
    Stream.runForEach(all, ({ data, subject }) =>
      Effect.sync(() => {
        if (!subject.startsWith("_INBOX") && !subject.endsWith(".commands"))
          heard.push({ subject, ...JSON.parse(new TextDecoder().decode(data)) })
      })
    )
  )
  const bus = Context.get(yield* Layer.build(EventBus.layer), EventBus)
  const registry = Registry.memory(Registry.room(), Duration.seconds(20))
  const own = yield* Scope.make()
  const self: Self = {
    node: "n",
    prefix: undefined,
    settings: Schema.decodeSync(FleetSettings)({}),
    seed: undefined
  }
  const ended = done("t", result)
  const home = Layer.effect(
    FleetHome,
    Effect.gen(function* () {
      const transport = yield* end
      return {
        registry,
        wire: { transport, serve: () => Effect.void, ping: () => Effect.succeed([]) },
        events: yield* bus.subscribe
      }
    })
  )
  yield* Layer.build(
    Fleet.layer(self).pipe(
      Layer.provide(
        Layer.mock(Steered, {
          agents: Effect.succeed([snapshot("a")]),
          moves: () => Effect.succeed([]),
          draining: Effect.succeed(false),
          ...has
        })
      ),
      Layer.provideMerge(FleetVoice.layer(self)),
      Layer.provide(Lease.layerNone),
      Layer.provide(Layer.mock(TaskLedger, { get: (id) => Effect.succeed(record(id, { attempt: 3, result: ended })) })),
      Layer.provide(home),
      Layer.provide(Layer.succeed(EventBus, bus)),
      Layer.provide(SecureRandom.layerWebCrypto)
    )
  ).pipe(Scope.provide(own))
  const router = yield* Effect.provide(
    MessageRouter.make(other, { source: "client:test", subjects, handlers: [] }),
    SecureRandom.layerWebCrypto
  )
  return {
    bus,
    heard,
    registry,
    close: Scope.close(own, Exit.void),
    tell: (agent: string, command: "pause" | "stop" | "interrupt" | "status", deadline: Duration.Input = "1 minute") =>
      Effect.map(
        router.request(
          Result.getOrThrow(subjects.commands(agent)),
          { type: "AgentCommand", body: { command } },
          { answer: "CommandReply", deadline }
        ),
        ({ body }) => body
      ),
    /** Until it is heard; the test's own time limit is the end of patience. */
    hears: (so: (heard: Heard) => boolean) =>
      Effect.repeat(
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => heard.find(so))
        ),
        { until: (found) => found !== undefined }
      )
  }
})

const ends = {
  type: "task.state",
  task: "t",
  from: "running",
  to: "succeeded",
  attempt: 3,
  agent: "a",
  reason: undefined,
  dueAt: undefined
} as const

describe("what a node tells", () => {
  it.live("a result comes after the event, with the attempt, and without secrets", () =>
    Effect.gen(function* () {
      learn([Redacted.make("hunter2-hunter2")])
      const { bus, heard, hears } = yield* beside({}, { text: "the password is hunter2-hunter2" })
      yield* bus.publish(ends)
      const result = yield* hears(({ type }) => type === "TaskResult")
      assert.strictEqual(result?.subject, "tasks.t.result")
      assert.deepInclude(result?.body, { task: "t", node: "n", attempt: 3, text: "the password is [secret]" })
      const order = heard.map(({ subject }) => subject)
      assert.isBelow(order.indexOf("events.task.state"), order.indexOf("tasks.t.result"))
    })
  )

  it.live("goes on after an event that cannot be told", () =>
    Effect.gen(function* () {
      const { bus, heard, hears } = yield* beside()
      yield* bus.publish({ ...ends, to: "parked", agent: "no name of an agent" })
      yield* bus.publish({ type: "reload.done", tookMillis: 1 })
      yield* hears(({ subject }) => subject === "events.reload.done")
      assert.notInclude(
        heard.map(({ type }) => type),
        "TaskProgress"
      )
    })
  )

  it.live("what an agent does is told with the attempt that runs, and not after it", () =>
    Effect.gen(function* () {
      const { bus, heard, hears } = yield* beside()
      const doing = { type: "task.progress", task: "t", agent: "a", doing: "tool", detail: "Bash" } as const
      yield* bus.publish(doing)
      yield* bus.publish({ ...ends, from: "queued", to: "running", attempt: 7 })
      yield* bus.publish(doing)
      yield* bus.publish({ ...ends, attempt: 7 })
      yield* bus.publish(doing)
      yield* bus.publish({ type: "reload.done", tookMillis: 1 })
      yield* hears(({ subject }) => subject === "events.reload.done")
      const progress = heard.filter(({ type }) => type === "TaskProgress")
      assert.deepStrictEqual(
        progress.map(({ body }) => [body["doing"], body["attempt"]]),
        [
          ["running", 7],
          ["tool", 7]
        ]
      )
    })
  )

  it.live("a move of an agent is told with its task and its reason", () =>
    Effect.gen(function* () {
      const { bus, hears } = yield* beside()
      yield* bus.publish({ ...ends, from: "queued", to: "running" })
      yield* bus.publish({ type: "agent.state", agent: "a", from: "idle", to: "busy", reason: "a task" })
      const status = yield* hears(({ body, type }) => type === "AgentStatus" && body["state"] === "busy")
      assert.strictEqual(status?.subject, "agents.a.status")
      assert.deepInclude(status?.body, { agent: "a", node: "n", task: "t", reason: "a task" })
    })
  )

  it.live("what happened before the node stopped is told before it has", () =>
    Effect.gen(function* () {
      const { bus, close, heard, hears } = yield* beside()
      yield* Effect.repeat(bus.publish({ type: "reload.done", tookMillis: 1 }), { times: 999 })
      yield* close
      // It has been sent; whoever listens may still be reading.
      const last = yield* bus.last
      yield* hears(({ body }) => body["seq"] === last)
      assert.lengthOf(
        heard.filter(({ subject }) => subject === "events.reload.done"),
        1000
      )
    })
  )

  it.live("that it may not tell something is not told over the servers", () =>
    Effect.gen(function* () {
      const { bus, heard, hears } = yield* beside()
      yield* bus.publish({ type: "transport.status", lane: "bulk", is: "denied" })
      yield* bus.publish({ type: "transport.status", lane: "bulk", is: "slow" })
      yield* hears(({ body }) => body["is"] === "slow")
      assert.isFalse(heard.some(({ body }) => body["is"] === "denied"))
    })
  )

  it.effect("each heartbeat says how it is, and is in the list until it leaves", () =>
    Effect.gen(function* () {
      const { close, heard, hears, registry } = yield* beside({
        agents: Effect.succeed([snapshot("a", { taskTypes: ["code"] }), snapshot("b", { state: "terminated" })])
      })
      yield* hears(({ body }) => body["beat"] === 1)
      yield* TestClock.adjust("5 seconds")
      yield* hears(({ body }) => body["beat"] === 2)
      yield* TestClock.adjust("4 seconds")
      assert.lengthOf(
        heard.filter(({ type }) => type === "NodeStatus"),
        2
      )
      const [listed] = yield* registry.list
      assert.deepInclude(listed?.status, { node: "n", agents: 2, slots: { total: 1, free: 1 }, taskTypes: ["code"] })
      yield* close
      assert.deepStrictEqual(yield* registry.list, [])
    })
  )
})

describe("how a node's agents are told", () => {
  it.live("what cannot be done is answered with why", () =>
    Effect.gen(function* () {
      const { tell } = yield* beside({
        pauseAgent: (agent) => Effect.fail(new AgentUnknown({ agent, known: ["b"] }))
      })
      const refused = yield* tell("a", "pause")
      assert.deepInclude(refused, { done: false, command: "pause" })
      assert.strictEqual(refused.done ? undefined : refused.fault.kind, "AgentUnknown")
    })
  )

  it.live("what has begun is finished, although who asked has gone", () =>
    Effect.gen(function* () {
      const began = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const stopped = yield* Deferred.make<string>()
      const { tell } = yield* beside({
        stopAgent: (agent) =>
          Deferred.succeed(began, undefined).pipe(
            Effect.andThen(Deferred.await(goOn)),
            Effect.andThen(Deferred.succeed(stopped, agent))
          )
      })
      const asking = yield* Effect.forkScoped(tell("a", "stop"))
      yield* Deferred.await(began)
      yield* Fiber.interrupt(asking)
      yield* Deferred.succeed(goOn, undefined)
      assert.strictEqual(yield* Deferred.await(stopped), "a")
    })
  )

  it.live("after a reload those who came are told, and those who went are not there", () =>
    Effect.gen(function* () {
      let agents = [snapshot("a")]
      const { bus, hears, tell } = yield* beside(
        { agents: Effect.sync(() => agents) },
        {},
        // Not to everything: one who hears a request too is one who might answer it.
        "agents.*.status"
      )
      assert.isTrue((yield* tell("a", "status")).done)
      assert.strictEqual((yield* Effect.flip(tell("b", "status")))._tag, "NoResponders")
      agents = [snapshot("b")]
      yield* bus.publish({ type: "reload.done", tookMillis: 1 })
      yield* hears(({ subject }) => subject === "agents.b.status")
      const answer = yield* tell("b", "status")
      assert.strictEqual(answer.done ? answer.status?.agent : undefined, "b")
      assert.strictEqual((yield* Effect.flip(tell("a", "status")))._tag, "NoResponders")
    })
  )
})

it("a subject that is not allowed is told of a bounded number of times until the link is up again", () => {
  const eventOf = LinkEvents.make()
  const denied = {
    type: "denied",
    lane: "bulk",
    fault: new PermissionDenied({ operation: "publish", subject: "events.x" })
  } as const
  const tellAll = () => Array.from({ length: 100 }, () => eventOf(denied)).filter((event) => event !== undefined)
  assert.lengthOf(tellAll(), LinkEvents.TOLD)
  assert.lengthOf(tellAll(), 0)
  eventOf({ type: "up", lane: "bulk", server: "s", version: "2" })
  assert.lengthOf(tellAll(), LinkEvents.TOLD)
})

it("a name for a node is a word of a subject, whatever the host is called", () => {
  for (const [name, host] of [
    ["mister smith", "edge.example.org"],
    ["..", "_"],
    ["ä".repeat(100), "x".repeat(100)]
  ] as const) {
    const node = nodeIdOf(name, host)
    assert.deepInclude(Schema.decodeSync(FleetSettings)({ node }), { node })
  }
})
