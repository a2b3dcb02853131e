/**
 * The fleet's ledger on one nats-server: empty tasks a second (submitted, claimed, completed) with one node and with three,
 * against as many plain compare-and-set writes of the client in the same run; the same tasks when each is given out by a
 * work-queue stream besides (published, pulled, acknowledged), in turns with those that are not; and how long it takes until
 * what a dead node held is queued again. Prints JSON. `bun scripts/bench/jetstream.ts`, with nats-server on the PATH.
 */
import { Effect, type Scope } from "effect"
import { AckPolicy, connect, type JsMsg, RetentionPolicy } from "nats"
import { TaskId, TaskType } from "../../src/domain/Ids.ts"
import type { TaskSpec } from "../../src/task/TaskSpec.ts"
import { finish, type Ledger, openLedger, startServer } from "./ledgers.ts"
import { round } from "./measure.ts"

const TASKS = 1_500
/** Tasks that a node is at at once. */
const SLOTS = 16
/** Writes of an empty task. */
const WRITES = 3
const LEASE = 3_000

const server = await startServer()
const { url } = server
const client = () => connect({ servers: url })
const open = (node: string, bucket: string) => openLedger(url, { node, bucket, lease: LEASE })

const spec = (id: string): TaskSpec => ({ id: TaskId.make(id), type: TaskType.make("task"), prompt: "do it" })

const rate = (count: number, since: number) => round((count / (performance.now() - since)) * 1000)

/** A work-queue stream beside the ledger: each task is a message there, which whoever pulls it performs and acknowledges. */
interface Queue {
  offer(id: string): Promise<unknown>
  take(): Promise<JsMsg>
}
const queueOf = async (name: string): Promise<Queue> => {
  const connection = await client()
  const manager = await connection.jetstreamManager()
  await manager.streams.add({ name, subjects: [`${name}.>`], retention: RetentionPolicy.Workqueue })
  await manager.consumers.add(name, { durable_name: "nodes", ack_policy: AckPolicy.Explicit, max_ack_pending: 10_000 })
  const js = connection.jetstream()
  // One puller for all slots, with as many messages as slots.
  const messages = await (await js.consumers.get(name, "nodes")).consume({ max_messages: SLOTS })
  const iterator = messages[Symbol.asyncIterator]()
  return {
    offer: (id) => js.publish(`${name}.task`, id, { msgID: id }),
    take: async () => (await iterator.next()).value as JsMsg
  }
}
const handedOut = (ledger: Ledger, queue: Queue, id: string) =>
  Effect.gen(function* () {
    yield* ledger.submit(spec(id))
    yield* Effect.promise(() => queue.offer(id))
    const message = yield* Effect.promise(() => queue.take())
    yield* finish(ledger, message.string())
    message.ack()
  })

const perform = (ledger: Ledger, id: string) => Effect.andThen(ledger.submit(spec(id)), finish(ledger, id))

let runs = 0
const tasks = (nodes: number, queued = false): Effect.Effect<number, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const bucket = `bench-${++runs}`
    const queue = queued ? yield* Effect.promise(() => queueOf(`queue-${runs}`)) : undefined
    const all = yield* Effect.forEach(Array.from({ length: nodes }), (_, n) => open(`n${n}`, bucket))
    const began = performance.now()
    yield* Effect.forEach(
      all,
      ({ ledger }, n) =>
        Effect.forEach(
          Array.from({ length: TASKS / nodes }, (_, k) => `t${n}-${k}`),
          (id) => (queue === undefined ? perform(ledger, id) : handedOut(ledger, queue, id)),
          { concurrency: SLOTS, discard: true }
        ),
      { concurrency: "unbounded", discard: true }
    )
    return rate(TASKS, began)
  })

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
        const pairs = [
          { without: one, with: yield* tasks(1, true) },
          { without: yield* tasks(1), with: yield* tasks(1, true) },
          { without: yield* tasks(1), with: yield* tasks(1, true) }
        ]
        return {
          plainThreeWritesASecond: bare,
          tasksASecond: { oneNode: one, threeNodes: three },
          ofPlain: round(one / bare),
          withWorkQueue: pairs.map((pair) => ({ ...pair, ratio: round(pair.with / pair.without) })),
          takeoverMillis: yield* takeover,
          leaseMillis: LEASE
        }
      })
    )
  )
  console.log(JSON.stringify(report, undefined, 2))
} finally {
  await server.stop()
}
process.exit(0)
