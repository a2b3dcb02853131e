/**
 * The fleet's ledger on one nats-server: empty tasks a second (submitted, claimed, completed) with one node and with three,
 * against as many plain compare-and-set writes of the client in the same run; tasks that whoever is free takes, given out by the
 * queue and by nothing but the claim, in turns, with the claims that were refused for each; and how long it takes until
 * what a dead node held is queued again. Prints JSON. `bun scripts/bench/jetstream.ts`, with nats-server on the PATH.
 */
import { Deferred, Effect, type Scope } from "effect"
import { connect } from "nats"
import { TaskId, TaskType } from "../../src/domain/Ids.ts"
import type { TaskSpec } from "../../src/task/TaskSpec.ts"
import { taker } from "../../test/task/Taker.ts"
import { done } from "../../test/utils/Results.ts"
import { finish, type Ledger, openLedger, startServer } from "./ledgers.ts"
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

const server = await startServer()
const { url } = server
const client = () => connect({ servers: url })
const open = (node: string, bucket: string, queue = false) =>
  openLedger(url, { node, bucket, lease: LEASE, ...(queue ? { dispatch: PATIENT } : {}) })

const spec = (id: string): TaskSpec => ({ id: TaskId.make(id), type: TaskType.make("task"), prompt: "do it" })

const rate = (count: number, since: number) => round((count / (performance.now() - since)) * 1000)

const perform = (ledger: Ledger, id: string) => Effect.andThen(ledger.submit(spec(id)), finish(ledger, id))

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
          work: ({ attempt, id }) => Effect.andThen(ledger.complete(id, attempt, done(id)), end)
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
  await server.stop()
}
process.exit(0)
