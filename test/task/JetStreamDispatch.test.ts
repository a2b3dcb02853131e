/** The queue that gives out the tasks of a fleet, on real servers: who tries first, and that nothing rests on it. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Schedule } from "effect"
import { connect, type JetStreamManager } from "nats"
import { isFinal, type TaskState } from "../../src/domain/Task.ts"
import * as Subject from "../../src/message/Subject.ts"
import { JetStreamDispatchSweep } from "../../src/task/JetStreamDispatchSweep.ts"
import type { JetStreamLedgerOptions } from "../../src/task/JetStreamLedger.ts"
import { visit } from "../../src/task/JetStreamVisit.ts"
import type { TaskLedger, TaskRecord } from "../../src/task/TaskLedger.ts"
import { AGE } from "../../src/task/Turn.ts"
import { NatsConnections } from "../../src/transport/NatsTransport.ts"
import { natsServer, noNats } from "../utils/Nats.ts"
import { done } from "../utils/Results.ts"
import { task } from "../utils/Specs.ts"
import { around, fault } from "./Homes.ts"
import { connections, mortal, newBucket } from "./JetStreamHomes.ts"
import { taker } from "./Taker.ts"

/** Longer than any test that does not wait for it: who goes for a task by itself within it is seen. */
const LONG = 600_000
const ACK_WAIT = 3_000

const until = <A, E>(asked: Effect.Effect<A, E>, holds: (answer: A) => boolean) =>
  Effect.repeat(asked, { until: holds, schedule: Schedule.spaced("20 millis") })

const client = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 50 })),
    (connection) => Effect.promise(() => connection.close())
  )

const manager = (url: string) =>
  Effect.flatMap(client(url), (connection) => Effect.promise(() => connection.jetstreamManager()))

const node = (
  url: string,
  bucket: string,
  name: string,
  {
    ackWait = ACK_WAIT,
    grace = LONG,
    lease = 15_000,
    ...more
  }: Partial<JetStreamLedgerOptions> & { readonly ackWait?: number; readonly grace?: number } = {}
) => mortal(url, { node: name, bucket, lease, dispatch: { grace, ackWait }, ...more })

/** Asks as an idle agent would, until this task is handed to the node, and does not try it. */
const takeInHand = (ledger: TaskLedger["Service"], id: string) =>
  until(
    Effect.gen(function* () {
      const handing = ledger.here?.handing
      for (const head of yield* ledger.heads()) handing?.leftFor(head)
      handing?.want([[]])
      return handing?.handed() ?? []
    }),
    (handed) => handed.includes(id)
  )

/** One slot. */
const consumer = (jsm: JetStreamManager, bucket: string, durable = "task-normal") =>
  Effect.promise(() => jsm.consumers.info(`${bucket}-dispatch`, durable))

const server = natsServer({ jetstream: true })

const messages = (jsm: JetStreamManager, bucket: string) =>
  Effect.promise(async () => (await jsm.streams.info(`${bucket}-dispatch`)).state.messages)

const ids = (count: number, prefix = "t") => Array.from({ length: count }, (_, n) => `${prefix}${n}`)

const allEnded = (ledger: TaskLedger["Service"], count: number) =>
  until(ledger.list({ limit: count }), (all) => all.length === count && all.every(({ state }) => isFinal(state)))

describe.skipIf(noNats !== undefined)("the queue that gives out the tasks", { timeout: 60_000 }, () => {
  it.live("gives each to one node, which is never beaten to it, and is empty in the end", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const jsm = yield* manager(url)
      const bucket = newBucket()
      const [a, b] = [yield* node(url, bucket, "a"), yield* node(url, bucket, "b")]
      const takers = [yield* taker(a.ledger, { slots: 4 }), yield* taker(b.ledger, { slots: 4 })]
      for (const id of ids(100)) yield* a.ledger.submit(task({ id }))
      yield* b.ledger.submitAll(ids(100, "u").map((id) => task({ id })))
      const all = yield* allEnded(a.ledger, 200)
      assert.deepStrictEqual(
        takers.map(({ refused }) => refused),
        [0, 0]
      )
      const begun = takers.flatMap(({ begun }) => begun.map(({ id }) => id))
      assert.sameMembers(begun, [...ids(100), ...ids(100, "u")])
      assert.isTrue(all.every(({ attempt, state }) => attempt === 1 && state === "succeeded"))
      for (const { begun } of takers) assert.isAbove(begun.length, 20)
      yield* until(messages(jsm, bucket), (left) => left === 0)
    })
  )

  it.live("gives what is higher first, each in its order", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const bucket = newBucket()
      const { ledger } = yield* node(url, bucket, "a")
      for (const [band, priority] of [
        ["low", -1],
        ["normal", 0],
        ["high", 1]
      ] as const)
        for (const id of ids(3, band)) yield* ledger.submit(task({ id, priority }))
      const { begun, refused } = yield* taker(ledger, { slots: 1 })
      yield* allEnded(ledger, 9)
      assert.deepStrictEqual(
        begun.map(({ id }) => id),
        [...ids(3, "high"), ...ids(3, "normal"), ...ids(3, "low")]
      )
      assert.strictEqual(refused, 0)
    })
  )

  it.live("asks first for what has waited so long that it counts as higher, of whatever type", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const bucket = newBucket()
      const { ledger } = yield* node(url, bucket, "a")
      const clock = yield* Clock.Clock
      const early: Clock.Clock = Object.create(clock, {
        currentTimeMillisUnsafe: { value: () => clock.currentTimeMillisUnsafe() - 2 * AGE }
      })
      for (const [id, type] of [
        ["old", "other"],
        ["older", "task"]
      ] as const)
        yield* Effect.provideService(ledger.submit(task({ id, type })), Clock.Clock, early)
      for (const id of ids(5, "high")) yield* ledger.submit(task({ id, priority: 1 }))
      const { begun } = yield* taker(ledger, { slots: 1 })
      yield* allEnded(ledger, 7)
      assert.deepStrictEqual(
        begun.map(({ id }) => id),
        ["old", "older", ...ids(5, "high")]
      )
    })
  )

  it.live("asks for no more than there are idle agents, of the types that they take", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const jsm = yield* manager(url)
      const bucket = newBucket()
      const { ledger } = yield* node(url, bucket, "a")
      const seen: Array<number> = []
      const work = ({ attempt, id }: TaskRecord) =>
        Effect.gen(function* () {
          // That of the one before may still be on its way.
          const { num_ack_pending } = yield* until(consumer(jsm, bucket), ({ num_ack_pending }) => num_ack_pending <= 1)
          seen.push(num_ack_pending)
          yield* ledger.complete(id, attempt, done(id))
        })
      yield* ledger.submitAll([...ids(8).map((id) => task({ id })), task({ id: "other", type: "other" })])
      const { begun } = yield* taker(ledger, { slots: 1, types: ["task"], work })
      yield* until(ledger.list({ states: ["succeeded"] }), ({ length }) => length === 8)
      assert.deepStrictEqual(seen, Array(8).fill(1))
      assert.notInclude(
        begun.map(({ id }) => id),
        "other"
      )
      const { consumer_seq } = (yield* consumer(jsm, bucket)).delivered
      assert.strictEqual(consumer_seq, 8)
      assert.strictEqual(yield* messages(jsm, bucket), 1)
    })
  )

  it.live("leaves out what only some nodes can take", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const jsm = yield* manager(url)
      const bucket = newBucket()
      const { ledger } = yield* node(url, bucket, "a")
      const { begun } = yield* taker(ledger, { slots: 4 })
      yield* ledger.submit(task({ id: "agent", agent: "worker" }))
      yield* ledger.submit(task({ id: "node", node: "a" }))
      yield* ledger.submit(task({ id: "able", capabilities: ["gpu"] }))
      yield* allEnded(ledger, 3)
      assert.sameMembers(
        begun.map(({ id }) => id),
        ["agent", "node", "able"]
      )
      const { state } = yield* Effect.promise(() => jsm.streams.info(`${bucket}-dispatch`))
      assert.strictEqual(state.last_seq, 0)
    })
  )

  it.live("says of what a node holds that it is worked on, and gives it to another one when that node is gone", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const jsm = yield* manager(url)
      const spy = yield* client(url)
      const bucket = newBucket()
      const [a, b] = [yield* node(url, bucket, "a"), yield* node(url, bucket, "b")]
      let signs = 0
      spy.subscribe(`$JS.ACK.${bucket}-dispatch.>`, {
        callback: (_, message) => {
          if (message.string() === "+WPI") signs++
        }
      })
      yield* Effect.promise(() => spy.flush())
      yield* a.ledger.submit(task({ id: "t" }))
      yield* takeInHand(a.ledger, "t")
      const other = yield* taker(b.ledger, { slots: 1 })
      // Longer than the ack wait.
      yield* until(
        Effect.sync(() => signs),
        (signs) => signs >= 4
      )
      assert.strictEqual((yield* consumer(jsm, bucket)).delivered.consumer_seq, 1)
      assert.deepStrictEqual(other.begun, [])
      yield* a.die
      // Nobody but the server knows that it has gone: the record says that the task is queued, as before.
      yield* allEnded(b.ledger, 1)
      assert.strictEqual((yield* consumer(jsm, bucket)).delivered.consumer_seq, 2)
      assert.strictEqual(other.refused, 0)
    })
  )

  it.live("gives back in order what a node that ends has not begun", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const bucket = newBucket()
      const b = yield* node(url, bucket, "b", { ackWait: LONG })
      yield* Effect.scoped(
        Effect.gen(function* () {
          const a = yield* node(url, bucket, "a", { ackWait: LONG })
          yield* a.ledger.submit(task({ id: "t" }))
          yield* takeInHand(a.ledger, "t")
        })
      )
      yield* taker(b.ledger, { slots: 1 })
      yield* allEnded(b.ledger, 1)
    })
  )

  it.live("gives what is parked again when it is due, and not before", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const spy = yield* client(url)
      const bucket = newBucket()
      const { ledger } = yield* node(url, bucket, "a", { ackWait: LONG })
      yield* ledger.submit(task({ id: "t" }))
      yield* takeInHand(ledger, "t")
      const { attempt, usage } = yield* ledger.claim("t", "agent")
      const dueAt = Date.now() + 700
      yield* ledger.park("t", attempt, { until: dueAt, fault, usage })
      const came = yield* Effect.promise(async () => {
        for (;;)
          for await (const message of spy
            .jetstream()
            .fetch(`${bucket}-dispatch`, "task-normal", { batch: 1, expires: 5_000 }))
            return { at: Date.now(), again: message.redelivered, body: message.json() }
      })
      assert.deepInclude(came, { again: true, body: { id: "t" } })
      assert.isAtLeast(came.at, dueAt)
    })
  )

  it.live("keeps nothing of what has ended without its message, or was cancelled", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const jsm = yield* manager(url)
      const bucket = newBucket()
      const spy = yield* client(url)
      const asked: Array<string> = []
      spy.subscribe(`$JS.API.STREAM.MSG.GET.${bucket}-dispatch`, {
        callback: (_, message) => asked.push(message.string())
      })
      yield* Effect.promise(() => spy.flush())
      const { ledger } = yield* node(url, bucket, "a")
      yield* ledger.submitAll(ids(20).map((id) => task({ id })))
      yield* until(messages(jsm, bucket), (left) => left === 20)
      yield* ledger.claim("t0", "agent")
      yield* ledger.complete("t0", 1, done("t0"))
      for (const id of ids(20).slice(1)) yield* ledger.cancel(id, "nobody wants it")
      yield* until(messages(jsm, bucket), (left) => left === 0)
      // Not by a look through all of it.
      assert.isAtLeast(asked.length, 20)
      for (const question of asked) assert.include(question, "last_by_subj")
    })
  )

  it.live("takes what another node cancels out of a node's hand", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const jsm = yield* manager(url)
      const bucket = newBucket()
      const [a, b] = [yield* node(url, bucket, "a"), yield* node(url, bucket, "b")]
      yield* a.ledger.submit(task({ id: "t" }))
      yield* takeInHand(b.ledger, "t")
      yield* a.ledger.cancel("t", "nobody wants it")
      yield* until(
        Effect.sync(() => b.ledger.here?.handing?.handed()),
        (handed) => handed?.length === 0
      )
      yield* until(messages(jsm, bucket), (left) => left === 0)
    })
  )

  it.live("loses what was left in it of tasks that have ended, or never were, when a node looks through it", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const jsm = yield* manager(url)
      const outside = yield* client(url)
      const bucket = newBucket()
      const { ledger } = yield* node(url, bucket, "a")
      yield* ledger.submitAll([task({ id: "open" }), task({ id: "over", agent: "worker" })])
      yield* ledger.cancel("over", "nobody wants it")
      const there = new Set<number>()
      for (const id of ["over", "nobodys"]) {
        const { seq } = yield* Effect.promise(() =>
          outside.jetstream().publish(`dispatch.${bucket}.task.normal.${id}`, JSON.stringify({ id }))
        )
        there.add(seq)
      }
      assert.strictEqual(there.size, 2)
      yield* until(messages(jsm, bucket), (left) => left === 3)
      // A node that is behind asks before it takes away what it does not know.
      const states = new Map<string, TaskState>()
      const sweep = new JetStreamDispatchSweep({
        connection: outside,
        bucket,
        linked: () => true,
        stateOf: (id) => states.get(id),
        refresh: Effect.orDie(
          Effect.map(ledger.list(), (all) => {
            for (const { id, state } of all) states.set(id, state)
          })
        )
      })
      yield* Effect.promise(() => sweep.look())
      sweep.stop()
      const left = yield* Effect.promise(() => jsm.streams.getMessage(`${bucket}-dispatch`, { seq: 1 }))
      assert.strictEqual(left.subject, `dispatch.${bucket}.task.normal.open`)
      assert.strictEqual(yield* messages(jsm, bucket), 1)
    })
  )

  it.live("that has lost a message costs the grace", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const jsm = yield* manager(url)
      const bucket = newBucket()
      const { ledger } = yield* node(url, bucket, "a", { grace: 300 })
      yield* ledger.submitAll([task({ id: "lost" }), task({ id: "kept" })])
      yield* until(messages(jsm, bucket), (left) => left === 2)
      yield* Effect.promise(() => jsm.streams.deleteMessage(`${bucket}-dispatch`, 1))
      const { begun } = yield* taker(ledger, { slots: 1 })
      yield* allEnded(ledger, 2)
      // What had come later was handed out first.
      assert.deepStrictEqual(
        begun.map(({ id }) => id),
        ["kept", "lost"]
      )
    })
  )

  for (const [what, harm] of [
    ["was taken away", (jsm: JetStreamManager, stream: string): Promise<unknown> => jsm.streams.delete(stream)],
    ["is full", (jsm: JetStreamManager, stream: string) => jsm.streams.update(stream, { max_msgs: 1 })]
  ] as const)
    it.live(`that ${what} holds up no task`, () =>
      Effect.gen(function* () {
        const { url } = yield* server
        const jsm = yield* manager(url)
        const bucket = newBucket()
        const [a, b] = [yield* node(url, bucket, "a", { grace: 300 }), yield* node(url, bucket, "b", { grace: 300 })]
        yield* a.ledger.submit(task({ id: "before" }))
        yield* until(messages(jsm, bucket), (left) => left === 1)
        yield* Effect.promise(async () => harm(jsm, `${bucket}-dispatch`))
        yield* taker(a.ledger, { slots: 2 })
        yield* taker(b.ledger, { slots: 2 })
        for (const id of ids(20)) yield* b.ledger.submit(task({ id }))
        const all = yield* allEnded(a.ledger, 21)
        assert.isTrue(all.every(({ attempt, state }) => attempt === 1 && state === "succeeded"))
      })
    )

  for (const denied of ["$JS.API.STREAM.*.bare-dispatch", "$JS.API.CONSUMER.*.bare-dispatch.>", "dispatch.>"])
    it.live(`that a user may not use (${denied}) holds up no task`, () =>
      Effect.gen(function* () {
        const user = `{ user: node, permissions: { publish: { deny: ["${denied}"] } } }`
        const config = `no_auth_user: node\nauthorization { users: [${user}] }`
        const { url } = yield* natsServer({ jetstream: true, config })
        const { ledger } = yield* node(url, "bare", "a", { grace: 300 })
        yield* taker(ledger, { slots: 2 })
        for (const id of ids(10)) yield* ledger.submit(task({ id }))
        yield* allEnded(ledger, 10)
      })
    )

  it.live("goes on when its server was killed", () =>
    Effect.gen(function* () {
      const { kill, start, url } = yield* server
      const bucket = newBucket()
      const { ledger } = yield* node(url, bucket, "a", { grace: 300 })
      yield* ledger.submitAll(ids(10).map((id) => task({ id })))
      yield* kill
      yield* taker(ledger, { slots: 2 })
      yield* start
      yield* ledger.submitAll(ids(10, "u").map((id) => task({ id })))
      const all = yield* allEnded(ledger, 20)
      assert.isTrue(all.every(({ attempt, state }) => attempt === 1 && state === "succeeded"))
    })
  )

  it.live("gives out what others than nodes hand in", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const bucket = newBucket()
      const outsiders = yield* Effect.fromResult(Subject.make(undefined))
      const { ledger } = yield* node(url, bucket, "a", { outsiders })
      yield* taker(ledger, { slots: 1 })
      const outside = yield* client(url)
      yield* Effect.promise(() =>
        outside.jetstream().publish("tasks.task.queue", JSON.stringify({ id: "sent", prompt: "do it" }))
      )
      const submitted = Effect.gen(function* () {
        const visitor = yield* visit(yield* NatsConnections, bucket)
        yield* visitor.submit(task({ id: "brought" }))
      })
      yield* Effect.scoped(Effect.provide(submitted, Layer.merge(around, connections(url))))
      yield* allEnded(ledger, 2)
    })
  )
})
