/** Three nodes of one fleet in one process, on a real server: each with its ledger, its voice and its dispatcher, and agents without a CLI. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, PubSub, Result, Schedule, Schema, Scope, Stream } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import type { Agent, Attempt, Work } from "../../src/agent/Agent.ts"
import { AgentPool } from "../../src/agent/AgentPool.ts"
import { Workspaces } from "../../src/agent/Workspace.ts"
import { TaskId } from "../../src/domain/Ids.ts"
import { noUsage } from "../../src/domain/Task.ts"
import type { Published } from "../../src/event/Event.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { FleetVoice, type Self } from "../../src/fleet/Fleet.ts"
import { FleetHome } from "../../src/fleet/FleetHome.ts"
import * as FleetLedger from "../../src/fleet/FleetLedger.ts"
import { FleetSettings } from "../../src/fleet/FleetSettings.ts"
import * as Placing from "../../src/fleet/Placing.ts"
import { ProcessTree } from "../../src/process/ProcessTree.ts"
import { StateStore } from "../../src/state/StateStore.ts"
import * as Dispatcher from "../../src/task/Dispatcher.ts"
import { Inputs } from "../../src/task/Inputs.ts"
import { KEPT } from "../../src/task/LedgerStore.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { TransportSettings } from "../../src/transport/TransportSettings.ts"
import { tempDir } from "../utils/Binary.ts"
import { natsServer, noNats } from "../utils/Nats.ts"
import { retry, task } from "../utils/Specs.ts"

const until = <A, E>(asked: Effect.Effect<A, E>, holds: (answer: A) => boolean) =>
  Effect.repeat(asked, { until: holds, schedule: Schedule.spaced("20 millis") })

const answered = (text: string): Attempt => ({
  outcome: Result.succeed({ text, output: undefined, denied: [] }) as unknown as Attempt["outcome"],
  usage: noUsage,
  session: "s"
})

/** One agent "helper", which does what it is told to at once, or what `perform` says. */
const poolOf = (perform: (work: Work) => Effect.Effect<Attempt>) =>
  Layer.effect(
    AgentPool,
    Effect.gen(function* () {
      const changed = yield* PubSub.sliding<void>(1)
      let busy = false
      const agent: Partial<Agent> = {
        id: "helper",
        settled: () => Effect.void,
        reserve: () =>
          Effect.sync(() => {
            busy = true
          }),
        perform: (work) =>
          Effect.ensuring(
            perform(work),
            Effect.suspend(() => {
              busy = false
              return PubSub.publish(changed, undefined)
            })
          )
      }
      return AgentPool.of({
        agents: [agent as Agent],
        get: (id) => (id === "helper" ? (agent as Agent) : undefined),
        enlist: () => Effect.die("nobody comes"),
        dismiss: () => Effect.die("nobody goes"),
        arrange: () => Effect.void,
        changed: Effect.asVoid(PubSub.publish(changed, undefined)),
        snapshot: Effect.sync(() => [
          {
            id: "helper",
            group: "helper",
            taskTypes: [],
            capabilities: [],
            weight: 1,
            state: busy ? ("busy" as const) : ("idle" as const),
            gone: false,
            holds: undefined
          }
        ]),
        changes: Effect.map(PubSub.subscribe(changed), Stream.fromSubscription)
      })
    })
  )

const node = Effect.fnUntraced(function* (
  url: string,
  name: string,
  settings: Partial<typeof FleetSettings.Encoded> = {},
  perform: (work: Work) => Effect.Effect<Attempt> = ({ task }) => Effect.succeed(answered(`${name} did ${task}`))
) {
  const dir = yield* Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]()))
  const own = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
  const fleet = Schema.decodeSync(FleetSettings)({ takeover: "2 seconds", heartbeat: "500 millis", ...settings })
  const transport = Schema.decodeSync(TransportSettings)({ kind: "nats", servers: [url] })
  const self: Self = { node: name, prefix: undefined, settings: fleet, seed: undefined }
  const events: Array<Published> = []
  const listening = Layer.effectDiscard(
    Effect.gen(function* () {
      const stream = yield* (yield* EventBus).subscribe
      yield* Effect.forkScoped(Stream.runForEach(stream, (event) => Effect.sync(() => events.push(event))))
    })
  )
  const built = yield* Layer.build(
    Dispatcher.layer(retry).pipe(
      Layer.provide(poolOf(perform)),
      Layer.provide(Layer.mock(Inputs, { recover: Effect.void })),
      Layer.provide(Layer.mock(Workspaces, { recover: Effect.void })),
      Layer.provide(ProcessTree.layerBare),
      Layer.provide(Placing.layer(self)),
      Layer.provide(FleetVoice.layer(self)),
      Layer.provideMerge(
        FleetLedger.layer({ self, shared: true, dataDir: dir.path, kept: KEPT, bounds: { interruptions: 10 } })
      ),
      Layer.provide(listening),
      Layer.provide(FleetHome.layer(transport, fleet, name)),
      Layer.provide(StateStore.layerMemory),
      Layer.provideMerge(Layer.fresh(EventBus.layer)),
      Layer.provide(SecureRandom.layerWebCrypto),
      Layer.fresh
    )
  ).pipe(Scope.provide(own), Effect.orDie)
  return { name, ledger: Context.get(built, TaskLedger), events, stop: Scope.close(own, Exit.void) }
})

const auction = { placement: "auction", auction: { window: "1 second", grace: "10 seconds" } } as const

const placed = (events: ReadonlyArray<Published>) =>
  events.flatMap((event) => (event.type === "task.placed" ? [event] : []))

describe.skipIf(noNats !== undefined)("nodes that share their tasks", () => {
  it.live(
    "give each to the best bid, and tell who was outbid",
    () =>
      Effect.gen(function* () {
        const { url } = yield* natsServer({ jetstream: true })
        const prices = { a: 5, b: 3, c: 9 }
        const all = yield* Effect.forEach(Object.entries(prices), ([name, price]) =>
          node(url, name, { ...auction, auction: { ...auction.auction, price } })
        )
        const [{ ledger }] = all as [(typeof all)[number]]
        yield* until(
          Effect.sync(() => all.map(({ ledger }) => ledger.here?.others?.all().length)),
          (known) => known.every((count) => count === 2)
        )
        for (let n = 0; n < 3; n++) {
          yield* ledger.submit(task({ id: `t${n}` }))
          const { text } = yield* ledger.result(`t${n}`)
          assert.strictEqual(text, `b did t${n}`)
          assert.strictEqual((yield* ledger.get(`t${n}`)).node, "b")
        }
        const told = all.map(({ events }) => placed(events))
        assert.deepStrictEqual(
          told.map(({ length }) => length),
          [0, 3, 0]
        )
        for (const event of told[1] ?? []) {
          assert.strictEqual(event.by, "best_bid")
          assert.deepStrictEqual(
            event.bids.map(({ node, price }) => `${node} ${price}`),
            ["b 3", "a 5", "c 9"]
          )
        }
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "share many tasks of an auction, each done once, and none is left when one of them stops",
    () =>
      Effect.gen(function* () {
        const { url } = yield* natsServer({ jetstream: true })
        const slow =
          (name: string) =>
          ({ task }: Work) =>
            Effect.delay(Effect.succeed(answered(`${name} did ${task}`)), "300 millis")
        const fast = { placement: "auction", auction: { window: "20 millis", grace: "500 millis" } } as const
        const all = yield* Effect.forEach(["a", "b", "c"], (name) => node(url, name, fast, slow(name)))
        const [first, second, third] = all as [(typeof all)[number], (typeof all)[number], (typeof all)[number]]
        const ids = Array.from({ length: 24 }, (_, n) => `t${n}`)
        yield* first.ledger.submitAll(ids.map((id, n) => task({ id, type: `kind${n % 4}` })))
        yield* until(first.ledger.list({ states: ["succeeded"] }), ({ length }) => length >= 6)
        yield* third.stop
        for (const id of ids) assert.strictEqual((yield* first.ledger.result(id)).status, "succeeded")
        const claims = [first, second, third].flatMap(({ events, name }) =>
          placed(events).map(({ attempt, task }) => `${task} ${attempt} ${name}`)
        )
        const records = yield* first.ledger.list({ limit: 100 })
        const by = new Map<string, number>()
        for (const { attempt, id, node = "" } of records) {
          by.set(node, (by.get(node) ?? 0) + 1)
          // Those of the one that stopped were broken off, and begun again.
          assert.isAtMost(attempt, 2)
          assert.lengthOf(yield* first.ledger.history(id), attempt)
        }
        assert.strictEqual(new Set(claims).size, claims.length)
        assert.isAbove(by.get("a") ?? 0, 0)
        assert.isAbove(by.get("b") ?? 0, 0)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "leave a conversation where it is while that node lives, and begin it anew or not at all when it is dead",
    () =>
      Effect.gen(function* () {
        const { url } = yield* natsServer({ jetstream: true })
        const letGo = yield* Deferred.make<void>()
        const holder = yield* node(url, "holder", {}, ({ task }) =>
          task === "blocks"
            ? Effect.as(Deferred.await(letGo), answered("unblocked"))
            : Effect.succeed(answered(`holder did ${task}`))
        )
        const of = TaskId.make("first")
        yield* holder.ledger.submit(task({ id: "first" }))
        yield* holder.ledger.result("first")
        const other = yield* node(url, "other")
        // Its agent is busy, and another one is idle: it waits all the same.
        yield* holder.ledger.submit({ ...task({ id: "blocks" }), node: "holder" })
        yield* until(holder.ledger.get("blocks"), ({ state }) => state === "running")
        yield* other.ledger.submit({ ...task({ id: "goes-on" }), session: of })
        yield* other.ledger.submit(task({ id: "elsewhere" }))
        assert.strictEqual((yield* other.ledger.result("elsewhere")).text, "other did elsewhere")
        assert.strictEqual((yield* other.ledger.get("goes-on")).state, "queued")
        yield* Deferred.succeed(letGo, undefined)
        assert.strictEqual((yield* other.ledger.result("goes-on")).text, "holder did goes-on")

        yield* holder.stop
        yield* other.ledger.submitAll([
          { ...task({ id: "fails" }), session: of },
          { ...task({ id: "anew" }), session: { of, onMissing: "anew" } }
        ])
        // It has left, and may come back.
        assert.strictEqual(other.ledger.here?.others?.lives("holder"), true)
        const failed = yield* other.ledger.result("fails")
        assert.deepInclude(failed.fault, { kind: "SessionMissing" })
        assert.include(failed.fault?.message ?? "", "node holder")
        assert.strictEqual((yield* other.ledger.result("anew")).text, "other did anew")
        assert.strictEqual(other.ledger.here?.others?.lives("holder"), false)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "leave what one has begun to that one for a while, and then take it",
    () =>
      Effect.gen(function* () {
        const { url } = yield* natsServer({ jetstream: true })
        let tries = 0
        const begun = yield* node(url, "begun", {}, () => Effect.suspend(() => (tries++ === 0 ? cut : Effect.never)))
        yield* begun.ledger.submit(task({ id: "t" }))
        yield* until(begun.ledger.get("t"), ({ state }) => state === "parked")
        const other = yield* node(url, "other", { sticky: "500 millis" })
        // It has an idle agent all the time, and takes what was never begun.
        yield* begun.ledger.submit({ ...task({ id: "mine" }), node: "begun" })
        yield* until(begun.ledger.get("mine"), ({ state }) => state === "running")
        yield* until(begun.ledger.get("t"), ({ state }) => state !== "parked")
        yield* other.ledger.submit(task({ id: "new" }))
        assert.strictEqual((yield* other.ledger.result("new")).text, "other did new")
        assert.strictEqual((yield* other.ledger.result("t")).text, "other did t")
        const order = other.events.flatMap((event) =>
          event.type === "task.state" && event.to === "running" && event.agent === "helper" ? [event.task] : []
        )
        assert.deepStrictEqual(order.slice(-2), ["new", "t"])
      }).pipe(Effect.scoped),
    60_000
  )
})

/** What another attempt may cure. */
const cut = Effect.succeed({
  outcome: Result.fail({ _tag: "Overloaded", message: "busy", severity: "low", recovery: "retry", retriesTask: true }),
  usage: noUsage,
  session: undefined
} as unknown as Attempt)
