/** The ledger in a bucket of real servers: what holds in every home, and several nodes at once, of which some die. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Result, Schedule, Scope } from "effect"
import { connect, type NatsConnection } from "nats"
import { TaskId } from "../../src/domain/Ids.ts"
import * as Subject from "../../src/message/Subject.ts"
import { type Step, Stopped } from "../../src/task/JetStreamCommit.ts"
import type { TaskLedger } from "../../src/task/TaskLedger.ts"
import { type NatsServer, natsServer, noNats } from "../utils/Nats.ts"
import { task } from "../utils/Specs.ts"
import { conformance } from "./conformance.ts"
import { done, failed, fault } from "./Homes.ts"
import { mortal, newBucket, node } from "./JetStreamHomes.ts"

type Ledger = TaskLedger["Service"]

/** Short, so that a node that is gone is soon missed; no test waits for it with a clock. */
const LEASE = 300

const until = <A, E>(asked: Effect.Effect<A, E>, holds: (answer: A) => boolean) =>
  Effect.repeat(asked, { until: holds, schedule: Schedule.spaced("20 millis") })

/** Records of moves, as the bare client finds them. */
const movesIn = (url: string, bucket: string) =>
  Effect.acquireUseRelease(
    Effect.promise(() => connect({ servers: url })),
    (client) =>
      Effect.promise(async () => {
        const { streams } = await client.jetstreamManager()
        const { state } = await streams.info(`KV_${bucket}`, { subjects_filter: `$KV.${bucket}.tx.>` })
        return Object.keys(state.subjects ?? {})
      }),
    (client) => Effect.promise(() => client.close())
  )

const stateOf = (ledger: Ledger, id: string) =>
  Effect.map(Effect.result(ledger.get(id)), (answer) =>
    Result.isSuccess(answer) ? answer.success.state : answer.failure._tag
  )

const seen = (ledger: Ledger) =>
  Effect.gen(function* () {
    const records = yield* ledger.list({ limit: 10_000 })
    const histories = yield* Effect.forEach(records, ({ id }) => ledger.history(id))
    return { records, histories, heads: yield* ledger.heads() }
  })

describe.skipIf(noNats !== undefined)("in a bucket of one nats-server", () => {
  const scope = Scope.makeUnsafe()
  let server: NatsServer
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.provide(natsServer({ jetstream: true }), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  conformance("in a bucket", Layer.unwrap(Effect.sync(() => node(server.url, { node: "n", bucket: newBucket() }))))

  describe("the ledger of a fleet", () => {
    it.live("brings everything into the next life and to every node: states, stories, dates, results, the queue", () =>
      Effect.gen(function* () {
        const bucket = newBucket()
        const before = yield* mortal(server.url, { node: "a", bucket })
        const { ledger } = before
        const long = `Grüße \u0000 ${"x".repeat(700_000)} end`
        for (const id of ["first", "second", "parked", "running", "done", "cancelled", "dead", "low"])
          yield* ledger.submit(task({ id, type: id === "second" ? "first" : id, priority: id === "low" ? -1 : 0 }))
        yield* ledger.submit(task({ id: "long", type: "first", prompt: long }))
        yield* ledger.submit({ ...task({ id: "after" }), after: [TaskId.make("running")] })
        yield* ledger.submit({ ...task({ id: "nightly" }), schedule: "0 3 * * *" })
        for (const id of ["parked", "running", "done", "dead"]) yield* ledger.claim(id, "a")
        yield* ledger.park("parked", 1, {
          until: 4e12,
          fault,
          usage: { turns: 1, inputTokens: 2, outputTokens: 3, costUsd: 0.5 }
        })
        yield* ledger.complete("done", 1, done("done", { output: { n: [1] }, text: long }))
        yield* ledger.giveUp("dead", 1, failed("dead"), { words: "I tried" })
        yield* ledger.cancel("cancelled", "why")
        const there = yield* seen(ledger)
        const beside = yield* mortal(server.url, { node: "b", bucket })
        assert.deepEqual(yield* seen(beside.ledger), there)
        yield* before.die
        const again = yield* mortal(server.url, { node: "a", bucket })
        assert.deepEqual(yield* seen(again.ledger), there)
        assert.deepStrictEqual(
          (yield* again.ledger.recover).map(({ id, state }) => `${id} ${state}`),
          ["running queued"]
        )
        assert.strictEqual((yield* again.ledger.result("done")).text.length, long.length)
      }).pipe(Effect.scoped)
    )

    it.live("gives each of 300 tasks to one of two nodes that race for them, and all are done once", () =>
      Effect.gen(function* () {
        const bucket = newBucket()
        const nodes = [
          yield* mortal(server.url, { node: "a", bucket }),
          yield* mortal(server.url, { node: "b", bucket })
        ] as const
        const ids = Array.from({ length: 300 }, (_, n) => `t${n}`)
        yield* nodes[0].ledger.submitAll(ids.map((id) => task({ id })))
        const claimed: Array<string> = []
        const finished: Array<string> = []
        const races = yield* Effect.forEach(
          nodes,
          ({ ledger }, at) =>
            Effect.gen(function* () {
              const open = until(
                ledger.list({ limit: 1_000, states: ["succeeded"] }),
                (ended) => ended.length === ids.length
              )
              let beaten = 0
              const worker = Effect.gen(function* () {
                for (let head = (yield* ledger.heads())[0]; head !== undefined; head = (yield* ledger.heads())[0]) {
                  const { id } = head
                  const claim = yield* Effect.result(ledger.claim(id, `agent-${at}`))
                  if (Result.isFailure(claim)) {
                    assert.strictEqual(claim.failure._tag, "AttemptSuperseded")
                    beaten++
                    continue
                  }
                  claimed.push(`${id} ${claim.success.attempt}`)
                  yield* ledger.complete(id, claim.success.attempt, done(id, { agent: `agent-${at}` }))
                  finished.push(id)
                }
              })
              yield* Effect.all([worker, worker], { concurrency: "unbounded" })
              yield* open
              return beaten
            }),
          { concurrency: "unbounded" }
        )
        assert.sameMembers(
          claimed,
          ids.map((id) => `${id} 1`)
        )
        assert.sameMembers(finished, ids)
        // They did meet.
        assert.isAbove(
          races.reduce((sum, beaten) => sum + beaten, 0),
          0
        )
        assert.deepEqual(
          (yield* seen(nodes[0].ledger)).records.map(({ agent, id }) => `${id} ${agent}`).sort(),
          (yield* seen(nodes[1].ledger)).records.map(({ agent, id }) => `${id} ${agent}`).sort()
        )
      }).pipe(Effect.scoped)
    )

    it.live("tells a node what others do: who waits for a result, who holds what was taken from him", () =>
      Effect.gen(function* () {
        const bucket = newBucket()
        const one = yield* mortal(server.url, { node: "a", bucket })
        const other = yield* mortal(server.url, { node: "b", bucket })
        yield* one.ledger.submitAll([task({ id: "t" }), task({ id: "u" })])
        // What was accepted a moment ago elsewhere is known to who asks for it.
        const waiting = yield* Effect.forkChild(other.ledger.result("t"), { startImmediately: true })
        yield* one.ledger.claim("t", "a")
        yield* one.ledger.complete("t", 1, done("t", { text: "from a" }))
        assert.strictEqual((yield* Fiber.join(waiting)).text, "from a")
        yield* one.ledger.claim("u", "a")
        const released = yield* Effect.forkChild(one.ledger.released("u", 1), { startImmediately: true })
        yield* other.ledger.cancel("u", "not needed")
        yield* Fiber.join(released)
        assert.strictEqual((yield* Effect.flip(one.ledger.complete("u", 1, done("u"))))._tag, "AttemptSuperseded")
      }).pipe(Effect.scoped)
    )

    it.live("takes over what a node held that died without a word, and refuses what its attempt reports late", () =>
      Effect.gen(function* () {
        const bucket = newBucket()
        const dying = yield* mortal(server.url, { node: "a", bucket, lease: LEASE })
        const other = yield* mortal(server.url, { node: "b", bucket, lease: LEASE })
        yield* dying.ledger.submitAll([task({ id: "t" }), task({ id: "mine", type: "other" })])
        yield* dying.ledger.claim("t", "a")
        yield* until(stateOf(other.ledger, "mine"), (state) => state === "queued")
        yield* other.ledger.claim("mine", "b")
        yield* dying.die
        yield* until(other.ledger.get("t"), ({ state }) => state === "queued")
        assert.deepInclude((yield* other.ledger.get("t")).lastFault, { kind: "LeaseExpired" })
        assert.strictEqual((yield* other.ledger.claim("t", "b")).attempt, 2)
        // It lives, and what it holds it keeps.
        assert.strictEqual((yield* other.ledger.get("mine")).state, "running")
        const woken = yield* mortal(server.url, { node: "a", bucket, lease: LEASE })
        assert.deepInclude(yield* Effect.flip(woken.ledger.complete("t", 1, done("t"))), {
          _tag: "AttemptSuperseded",
          current: 2
        })
        yield* other.ledger.complete("t", 2, done("t"))
        assert.lengthOf(yield* other.ledger.history("t"), 2)
      }).pipe(Effect.scoped)
    )

    for (const [step, holds] of [
      ["opened", false],
      ["locking", false],
      ["locked", false],
      ["committed", true],
      ["rolled", true]
    ] as const) {
      it.live(
        `${holds ? "does all" : "does nothing"} of a move of several keys whose node dies when it is ${step}`,
        () =>
          Effect.gen(function* () {
            const bucket = newBucket()
            const stop = { armed: false }
            const at = (reached: Step) => {
              if (stop.armed && reached === step) throw new Stopped(step)
            }
            const dying = yield* mortal(server.url, { node: "a", bucket, lease: LEASE, at })
            const other = yield* mortal(server.url, { node: "b", bucket, lease: LEASE })
            const { ledger } = dying
            // More than are locked at once.
            const waiters = Array.from({ length: 300 }, (_, n) => `w${n}`)
            yield* ledger.submitAll([
              task({ id: "t" }),
              ...waiters.map((id) => ({ ...task({ id }), after: [TaskId.make("t")] }))
            ])
            yield* ledger.claim("t", "a")
            stop.armed = true
            const answer = yield* Effect.exit(ledger.complete("t", 1, done("t", { text: "by a" })))
            assert.isTrue(Exit.isFailure(answer))
            yield* dying.die
            if (holds) yield* until(stateOf(other.ledger, "t"), (state) => state === "succeeded")
            else {
              // It is taken over, and done once more.
              yield* until(stateOf(other.ledger, "t"), (state) => state === "queued")
              const states = yield* Effect.forEach(waiters, (id) => stateOf(other.ledger, id))
              assert.deepStrictEqual([...new Set(states)], ["parked"])
              const { attempt } = yield* other.ledger.claim("t", "b")
              assert.strictEqual(attempt, 2)
              yield* other.ledger.complete("t", attempt, done("t", { text: "by b" }))
            }
            yield* until(
              other.ledger.list({ limit: 1_000, states: ["queued"] }),
              (all) => all.length === waiters.length
            )
            assert.strictEqual((yield* other.ledger.result("t")).text, holds ? "by a" : "by b")
            // Each can be written again: no lock is left.
            yield* Effect.forEach(waiters.slice(0, 20), (id) => other.ledger.claim(id, "b"))
            const next = yield* mortal(server.url, { node: "c", bucket })
            assert.lengthOf(yield* next.ledger.list({ limit: 1_000, states: ["queued"] }), waiters.length - 20)
            // Nor a record of a move, which no lock tells of any more.
            yield* until(movesIn(server.url, bucket), (left) => left.length === 0)
          }).pipe(Effect.scoped)
      )
    }

    it.live(
      "loses nothing that was answered when its server is killed in the middle, and goes on when that is back",
      () =>
        Effect.gen(function* () {
          const own = yield* natsServer({ jetstream: true })
          const { ledger } = yield* mortal(own.url, { node: "a", bucket: newBucket(), patience: 30_000 })
          const accepted: Array<string> = []
          const ended: Array<string> = []
          const busy = (worker: number) =>
            Effect.gen(function* () {
              for (let n = 0; n < 60; n++) {
                const id = `t${worker}-${n}`
                accepted.push((yield* ledger.submit(task({ id, type: `w${worker}` }))).id)
                const { attempt } = yield* ledger.claim(id, "a")
                yield* ledger.complete(id, attempt, done(id))
                ended.push(id)
              }
            })
          const work = yield* Effect.forkChild(
            Effect.forEach([0, 1, 2, 3], busy, { concurrency: "unbounded", discard: true }),
            { startImmediately: true }
          )
          for (const many of [20, 90]) {
            yield* until(
              Effect.sync(() => ended.length),
              (length) => length >= many
            )
            yield* own.kill
            yield* own.start
          }
          yield* Fiber.join(work)
          assert.lengthOf(ended, 240)
          const next = yield* mortal(own.url, { node: "b", bucket: `${(yield* buckets(own.url))[0]}` })
          for (const id of accepted) assert.strictEqual(yield* stateOf(next.ledger, id), "succeeded")
          const attempts = yield* Effect.forEach(accepted, (id) => next.ledger.history(id))
          assert.deepStrictEqual([...new Set(attempts.map(({ length }) => length))], [1])
        }).pipe(Effect.scoped)
    )

    it.live("with full storage refuses what is new, loses nothing accepted, and takes results when there is room", () =>
      Effect.gen(function* () {
        const bucket = newBucket()
        const { ledger } = yield* mortal(server.url, { node: "a", bucket, maxBytes: 256 * 1024 })
        yield* ledger.submit(task({ id: "running" }))
        yield* ledger.claim("running", "a")
        const accepted: Array<string> = []
        let refused: unknown
        for (let n = 0; refused === undefined; n++) {
          const id = `t${n}`
          const answer = yield* Effect.result(ledger.submit(task({ id, prompt: `${n} ${"x".repeat(5_000)}` })))
          if (Result.isSuccess(answer)) accepted.push(id)
          else refused = answer.failure
        }
        assert.deepInclude(refused, { _tag: "LedgerUnusable", problem: "noRoom" })
        assert.isAbove(accepted.length, 10)
        const long = done("running", { text: "y".repeat(20_000) })
        assert.deepInclude(yield* Effect.flip(ledger.complete("running", 1, long)), {
          _tag: "LedgerUnusable",
          problem: "noRoom"
        })
        assert.strictEqual((yield* ledger.get("running")).state, "running")
        const next = yield* mortal(server.url, { node: "b", bucket, maxBytes: 256 * 1024 })
        for (const id of accepted) assert.strictEqual(yield* stateOf(next.ledger, id), "queued")
        const connection = yield* client(server.url)
        yield* Effect.promise(async () => {
          const manager = await connection.jetstreamManager()
          await manager.streams.update(`KV_${bucket}`, { max_bytes: 1024 * 1024 })
        })
        yield* ledger.complete("running", 1, long)
        assert.strictEqual((yield* next.ledger.result("running")).text.length, 20_000)
      }).pipe(Effect.scoped)
    )

    it.live(
      "takes tasks from any client, once each, tells how they ended, and says why it does not take what is none",
      () =>
        Effect.gen(function* () {
          const bucket = newBucket()
          const outsiders = Result.getOrThrow(Subject.make(bucket))
          const { die, ledger } = yield* mortal(server.url, { node: "a", bucket, outsiders })
          const connection = yield* client(server.url)
          const js = connection.jetstream()
          const send = (body: unknown, type = "code") =>
            Effect.promise(() =>
              js.publish(`${bucket}.tasks.${type}.queue`, typeof body === "string" ? body : JSON.stringify(body))
            )
          yield* send({ id: "plain", prompt: "do it" })
          yield* send({ id: "plain", prompt: "do it" })
          yield* send({ prompt: "without an id" })
          const body = { type: "code", prompt: "in an envelope", priority: 2 }
          yield* send({ version: 1, id: "message-1", type: "TaskAssignment", body })
          const all = yield* until(ledger.list(), ({ length }) => length === 3)
          assert.include(
            all.map(({ id, spec }) => `${id} ${spec.type} ${spec.priority ?? 0}`),
            "message-1 code 2"
          )
          yield* send("{ no json")
          assert.deepInclude((yield* lastOf(connection, `${bucket}-dead`, `${bucket}.dead.unreadable`))?.["body"], {
            reason: "unreadable",
            subject: `${bucket}.tasks.code.queue`
          })
          yield* send({ id: "plain", prompt: "something else" })
          const refused = (yield* lastOf(connection, `${bucket}-dead`, `${bucket}.dead.failed`))?.["body"]
          assert.deepInclude(refused?.["fault"], { kind: "TaskConflict" })
          const { attempt } = yield* ledger.claim("plain", "helper")
          yield* ledger.complete("plain", attempt, done("plain", { text: "an answer" }))
          const told = (yield* lastOf(connection, `${bucket}-results`, `${bucket}.tasks.plain.result`))?.["body"]
          assert.deepInclude(told, { task: "plain", attempt: 1, status: "succeeded", text: "an answer", node: "a" })
          // Whoever comes next finds it told.
          yield* die
          const next = yield* mortal(server.url, { node: "b", bucket, outsiders })
          yield* next.ledger.cancel("message-1", "not needed")
          yield* lastOf(connection, `${bucket}-results`, `${bucket}.tasks.message-1.result`)
          const counted = Effect.promise(async () => {
            const manager = await connection.jetstreamManager()
            const queue = await manager.streams.info(`${bucket}-queue`)
            const results = await manager.streams.info(`${bucket}-results`)
            return { waiting: queue.state.messages, told: results.state.messages }
          })
          assert.deepStrictEqual(yield* until(counted, ({ waiting }) => waiting === 0), { waiting: 0, told: 2 })
        }).pipe(Effect.scoped)
    )

    it.live(
      "takes what is sent after a task that kills whoever handles it, and tells the end of who ends after one that no message can say",
      () =>
        Effect.gen(function* () {
          const bucket = newBucket()
          const outsiders = Result.getOrThrow(Subject.make(bucket))
          const connection = yield* client(server.url)
          const { ledger } = yield* mortal(server.url, { node: "a", bucket, outsiders })
          const js = connection.jetstream()
          const send = (body: string) => Effect.promise(() => js.publish(`${bucket}.tasks.code.queue`, body))
          const deep = 60_000
          yield* send(
            `{"id":"deep","prompt":"x","schema":{"type":"object","a":${'{"a":'.repeat(deep)}1${"}".repeat(deep)}}}`
          )
          yield* send('"'.repeat(5_000))
          yield* send(JSON.stringify({ id: "next", prompt: "do it" }))
          yield* until(stateOf(ledger, "next"), (state) => state === "queued")
          const manager = yield* Effect.promise(() => connection.jetstreamManager())
          const dead = Effect.promise(async () => (await manager.streams.info(`${bucket}-dead`)).state.messages)
          yield* until(dead, (messages) => messages === 2)
          const waiting = Effect.promise(async () => (await manager.streams.info(`${bucket}-queue`)).state.messages)
          yield* until(waiting, (messages) => messages === 0)
          assert.strictEqual(yield* stateOf(ledger, "deep"), "TaskUnknown")
          // A name that no message holds.
          yield* ledger.submit(task({ id: "unsayable" }))
          yield* ledger.claim("unsayable", "helper")
          yield* ledger.complete("unsayable", 1, done("unsayable", { session: "s".repeat(100_000) }))
          yield* ledger.claim("next", "helper")
          yield* ledger.complete("next", 1, done("next"))
          const told = (yield* lastOf(connection, `${bucket}-results`, `${bucket}.tasks.next.result`))?.["body"]
          assert.deepInclude(told, { task: "next", status: "succeeded" })
        }).pipe(Effect.scoped)
    )

    it.live("does not refuse for good what it cannot ask about", () =>
      Effect.gen(function* () {
        const own = yield* natsServer({ jetstream: true })
        const { ledger } = yield* mortal(own.url, { node: "a", bucket: newBucket(), patience: 300 })
        const waits = { ...task({ id: "waits" }), after: [TaskId.make("other")] }
        yield* own.halt
        const unknown = yield* Effect.flip(ledger.submit(waits))
        assert.deepInclude(unknown, { _tag: "LedgerUnusable", problem: "unreachable", recovery: "retry" })
        yield* own.goOn
        const refused = yield* until(Effect.flip(ledger.submit(waits)), ({ _tag }) => _tag !== "LedgerUnusable")
        assert.strictEqual(refused._tag, "TaskInvalid")
      }).pipe(Effect.scoped)
    )

    it.live("begins and works where others have written what is none of it into its bucket", () =>
      Effect.gen(function* () {
        const bucket = newBucket()
        const before = yield* mortal(server.url, { node: "a", bucket })
        for (const id of ["kept", "spoilt", "locked"]) yield* before.ledger.submit(task({ id }))
        const connection = yield* client(server.url)
        const put = (key: string, value: string) =>
          Effect.promise(() => connection.jetstream().publish(`$KV.${bucket}.${key}`, value))
        const garbage = ["garbage", "", "null", "[]", '{"by":"x","now":{"record":{"id":"other"}}}', "\u0000\uffff"]
        for (const [n, value] of garbage.entries()) {
          yield* put(`task.g${n}`, value)
          yield* put(`node.g${n}`, value)
          yield* put(`tx.g${n}`, value)
          yield* put(`series.g${n}`, value)
          yield* put(`beside.g${n}.x.0`, value)
          yield* put(`what.ever.g${n}`, value)
        }
        yield* put("node.b", "garbage")
        yield* put("task.spoilt", "garbage")
        // A move that nobody makes, whose record is none.
        const locked = JSON.stringify({ by: "x", lock: { tx: "g0", next: 7 } })
        yield* put("task.new", locked)
        yield* put("task.never", JSON.stringify({ by: "x", lock: { tx: "> *", next: {} } }))
        // Who knew the task goes over what is there now.
        const { attempt } = yield* before.ledger.claim("spoilt", "helper")
        yield* before.ledger.complete("spoilt", attempt, done("spoilt"))
        // Another one begins, also by a name under which there is something else.
        const after = yield* mortal(server.url, { node: "b", bucket })
        assert.sameMembers(
          (yield* after.ledger.list()).map(({ id, state }) => `${id} ${state}`),
          ["kept queued", "spoilt succeeded", "locked queued"]
        )
        yield* after.ledger.submit(task({ id: "new" }))
        yield* after.ledger.submit(task({ id: "g0" }))
        yield* until(stateOf(before.ledger, "g0"), (state) => state === "queued")
        assert.strictEqual(yield* stateOf(before.ledger, "new"), "queued")
        yield* after.ledger.claim("kept", "helper")
        yield* after.ledger.complete("kept", 1, done("kept"))
        assert.strictEqual((yield* before.ledger.result("kept")).status, "succeeded")
        // And while they listen.
        for (const [n, value] of garbage.entries()) yield* put(`task.late${n}`, value)
        yield* put("node.a", "garbage")
        yield* after.ledger.submit(task({ id: "last" }))
        yield* until(stateOf(before.ledger, "last"), (state) => state === "queued")
      }).pipe(Effect.scoped)
    )

    it.live(
      "is refused where the bucket is otherwise than it should be, with each difference, and changes nothing",
      () =>
        Effect.gen(function* () {
          const bucket = newBucket()
          yield* mortal(server.url, { node: "a", bucket, maxBytes: 1024 * 1024 })
          const home = node(server.url, { node: "b", bucket, maxBytes: 2 * 1024 * 1024 })
          const error = yield* Effect.flip(Effect.scoped(Layer.build(home)))
          assert.deepInclude(error, { _tag: "LedgerUnusable", problem: "differs" })
          assert.include(error.message, "max_bytes is 1048576, not 2097152")
          assert.strictEqual(error.recovery, "escalate")
          const connection = yield* client(server.url)
          const info = yield* Effect.promise(async () => {
            const manager = await connection.jetstreamManager()
            return manager.streams.info(`KV_${bucket}`)
          })
          assert.strictEqual(info.config.max_bytes, 1024 * 1024)
        }).pipe(Effect.scoped)
    )
  })
})

/** What is the last on a subject of a stream, once it is there. */
const lastOf = (connection: NatsConnection, stream: string, subject: string) =>
  until(
    Effect.promise(async () => {
      const manager = await connection.jetstreamManager()
      return manager.streams.getMessage(stream, { last_by_subj: subject }).catch(() => undefined)
    }),
    (message) => message !== undefined
  ).pipe(Effect.map((message) => message?.json<Readonly<Record<string, Readonly<Record<string, unknown>>>>>()))

const client = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ servers: url })),
    (connection) => Effect.promise(() => connection.close())
  )

const buckets = (url: string) =>
  Effect.flatMap(client(url), (connection) =>
    Effect.promise(async () => {
      const manager = await connection.jetstreamManager()
      const names: Array<string> = []
      for await (const { config } of manager.streams.list()) names.push(config.name.replace(/^KV_/, ""))
      return names
    })
  )
