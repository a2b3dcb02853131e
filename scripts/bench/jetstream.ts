/**
 * The fleet's ledger on one nats-server: empty tasks a second (submitted, claimed, completed) with one node and with three,
 * against as many plain compare-and-set writes of the client in the same run; tasks that whoever is free takes, given out by the
 * queue and by nothing but the claim, in turns, with the claims that were refused for each; and how long it takes until
 * what a dead node held is queued again. Prints JSON. `bun scripts/bench/jetstream.ts`, with nats-server on the PATH.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Deferred, Effect, Layer, type Scope } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { connect } from "nats"
import { TaskId, TaskType } from "../../src/domain/Ids.ts"
import { noUsage, type TaskResult } from "../../src/domain/Task.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { layer } from "../../src/task/JetStreamLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import type { TaskSpec } from "../../src/task/TaskSpec.ts"
import { NatsConnections } from "../../src/transport/NatsTransport.ts"
import { taker } from "../../test/task/Taker.ts"
import { round } from "./measure.ts"

const TASKS = 1_500
/** Tasks that a node is at at once. */
const SLOTS = 16
/** Writes of an empty task. */
const WRITES = 3
const LEASE = 3_000
/** Of the queue: longer than any of this, so that what it loses is seen. */
const PATIENT = { grace: 60_000, ackWait: 30_000 }
/** In which the nodes of one run alternate with those of the other. */
const PAIRS = 3

const port = await new Promise<number>((resolve) => {
  const probe = createServer().listen(0, "127.0.0.1", () => {
    const address = probe.address()
    probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
  })
})
const dir = mkdtempSync(join(tmpdir(), "mister-smith-bench-"))
const server = spawn("nats-server", ["-a", "127.0.0.1", "-p", `${port}`, "-js", "-sd", dir], { stdio: "ignore" })
const url = `nats://127.0.0.1:${port}`
const client = async () => {
  for (;;) {
    try {
      return await connect({ servers: url })
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

const spec = (id: string): TaskSpec => ({ id: TaskId.make(id), type: TaskType.make("task"), prompt: "do it" })

const open = (node: string, bucket: string, queue = false) =>
  Effect.gen(function* () {
    const control = yield* Effect.promise(client)
    const bulk = yield* Effect.promise(client)
    const connections = Layer.succeed(
      NatsConnections,
      NatsConnections.of({ control: Effect.succeed(control), bulk: Effect.succeed(bulk) })
    )
    const home = layer({ node, bucket, lease: LEASE, ...(queue ? { dispatch: PATIENT } : {}) }).pipe(
      Layer.provide(connections),
      Layer.provide(Layer.mergeAll(EventBus.layer, SecureRandom.layerWebCrypto))
    )
    const ledger = Context.get(yield* Layer.build(Layer.fresh(home)), TaskLedger)
    return { ledger, die: Effect.promise(() => Promise.all([control.close(), bulk.close()])) }
  })

const rate = (count: number, since: number) => round((count / (performance.now() - since)) * 1000)

const perform = (ledger: TaskLedger["Service"], id: string) =>
  Effect.andThen(ledger.submit(spec(id)), finish(ledger, id))

const finish = (ledger: TaskLedger["Service"], id: string) =>
  Effect.gen(function* () {
    const { attempt } = yield* ledger.claim(id, "agent")
    yield* ledger.complete(id, attempt, succeeded(id))
  })

const succeeded = (task: string): TaskResult => ({
  task,
  status: "succeeded",
  text: "done",
  output: undefined,
  fault: undefined,
  agent: "agent",
  session: undefined,
  attempts: 1,
  denied: [],
  usage: noUsage,
  tookMillis: 1
})

let runs = 0
const tasks = (nodes: number): Effect.Effect<number, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const bucket = `bench-${++runs}`
    const all = yield* Effect.forEach(Array.from({ length: nodes }), (_, n) => open(`n${n}`, bucket))
    const began = performance.now()
    yield* Effect.forEach(
      all,
      ({ ledger }, n) =>
        Effect.forEach(
          Array.from({ length: TASKS / nodes }, (_, k) => `t${n}-${k}`),
          (id) => perform(ledger, id),
          { concurrency: SLOTS, discard: true }
        ),
      { concurrency: "unbounded", discard: true }
    )
    return rate(TASKS, began)
  })

/** Each node submits its share and takes whatever it is given, until all have ended. */
const givenOut = (nodes: number, queue: boolean) =>
  Effect.scoped(
    Effect.gen(function* () {
      const bucket = `bench-${++runs}`
      const all = yield* Effect.forEach(Array.from({ length: nodes }), (_, n) => open(`n${n}`, bucket, queue))
      const ended = yield* Deferred.make<void>()
      let left = TASKS
      const end = Effect.suspend(() => (--left === 0 ? Deferred.succeed(ended, undefined) : Effect.void))
      const began = performance.now()
      const takers = yield* Effect.forEach(all, ({ ledger }) =>
        taker(ledger, {
          slots: SLOTS,
          work: ({ attempt, id }) => Effect.andThen(ledger.complete(id, attempt, succeeded(id)), end)
        })
      )
      yield* Effect.forEach(
        all,
        ({ ledger }, n) =>
          Effect.forEach(
            Array.from({ length: TASKS / nodes }, (_, k) => `t${n}-${k}`),
            (id) => ledger.submit(spec(id)),
            { concurrency: SLOTS, discard: true }
          ),
        { concurrency: "unbounded", discard: true }
      )
      yield* Deferred.await(ended)
      const refused = takers.reduce((sum, taker) => sum + taker.refused, 0)
      return { tasksASecond: rate(TASKS, began), refusedClaimsATask: round(refused / TASKS) }
    })
  )

const pairsOf = (nodes: number) =>
  Effect.forEach(Array.from({ length: PAIRS }), () =>
    Effect.gen(function* () {
      return { byClaim: yield* givenOut(nodes, false), byQueue: yield* givenOut(nodes, true) }
    })
  )

const plain = Effect.promise(async () => {
  const connection = await client()
  const manager = await connection.jetstreamManager()
  await manager.streams.add({ name: "plain", subjects: ["plain.>"], max_msgs_per_subject: 1 })
  const js = connection.jetstream()
  const body = new Uint8Array(600)
  const began = performance.now()
  let next = 0
  const worker = async () => {
    for (let n = next++; n < TASKS; n = next++) {
      let last = 0
      for (let write = 0; write < WRITES; write++)
        last = (await js.publish(`plain.${n}`, body, { expect: { lastSubjectSequence: last } })).seq
    }
  }
  await Promise.all(Array.from({ length: SLOTS }, worker))
  const answer = rate(TASKS, began)
  await connection.close()
  return answer
})

const takeover = Effect.gen(function* () {
  const dying = yield* open("dying", "takeover")
  const other = yield* open("other", "takeover")
  yield* dying.ledger.submit(spec("t"))
  yield* dying.ledger.claim("t", "agent")
  yield* dying.die
  const began = performance.now()
  while ((yield* other.ledger.list({ states: ["queued"] })).length === 0) yield* Effect.sleep(5)
  return round(performance.now() - began)
})

try {
  const report = await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const bare = yield* plain
        const one = yield* tasks(1)
        const three = yield* tasks(3)
        return {
          plainThreeWritesASecond: bare,
          tasksASecond: { oneNode: one, threeNodes: three },
          ofPlain: round(one / bare),
          givenOut: { oneNode: yield* pairsOf(1), threeNodes: yield* pairsOf(3) },
          takeoverMillis: yield* takeover,
          leaseMillis: LEASE
        }
      })
    )
  )
  console.log(JSON.stringify(report, undefined, 2))
} finally {
  server.kill("SIGKILL")
  rmSync(dir, { recursive: true, force: true })
}
process.exit(0)
