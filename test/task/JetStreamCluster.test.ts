/** The ledger in a bucket that three servers keep. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Schedule, Scope } from "effect"
import { connect } from "nats"
import { JetStreamBucket } from "../../src/state/JetStreamBucket.ts"
import { type NatsServer, natsCluster, noNats } from "../utils/Nats.ts"
import { task } from "../utils/Specs.ts"
import { conformance } from "./conformance.ts"
import { done } from "./Homes.ts"
import { mortal, newBucket, node } from "./JetStreamHomes.ts"

describe.skipIf(noNats !== undefined)("in a bucket of a cluster", () => {
  const scope = Scope.makeUnsafe()
  let servers: ReadonlyArray<NatsServer> = []
  const urls = () => servers.map(({ url }) => url)
  beforeAll(async () => {
    servers = await Effect.runPromise(Scope.provide(natsCluster(3, { jetstream: true }), scope))
    await Effect.runPromise(ready(urls()))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  conformance(
    "in a bucket with three replicas",
    Layer.unwrap(Effect.sync(() => node(urls(), { node: "n", bucket: newBucket(), replicas: 3 })))
  )

  it.live("puts a task back that the servers have lost", () =>
    Effect.gen(function* () {
      const bucket = newBucket()
      const { ledger } = yield* mortal(urls(), { node: "a", bucket, replicas: 3, lease: 300 })
      yield* ledger.submit(task({ id: "t" }))
      yield* ledger.claim("t", "a")
      yield* ledger.complete("t", 1, done("t", { text: "kept" }))
      const connection = yield* Effect.acquireRelease(
        Effect.promise(() => connect({ servers: [...urls()] })),
        (connection) => Effect.promise(() => connection.close())
      )
      const manager = yield* Effect.promise(() => connection.jetstreamManager())
      const last = Effect.promise(() =>
        manager.streams
          .getMessage(`KV_${bucket}`, { last_by_subj: `$KV.${bucket}.task.t` })
          .then(({ seq }) => seq)
          .catch(() => 0)
      )
      const seq = yield* last
      yield* Effect.promise(() => manager.streams.deleteMessage(`KV_${bucket}`, seq))
      assert.isAbove(
        yield* Effect.repeat(last, { until: (now) => now > 0, schedule: Schedule.spaced("50 millis") }),
        seq
      )
      const next = yield* mortal(urls(), { node: "b", bucket, replicas: 3 })
      assert.strictEqual((yield* next.ledger.result("t")).text, "kept")
    }).pipe(Effect.scoped)
  )

  it.live("puts a piece back that the servers have lost", () =>
    Effect.gen(function* () {
      const bucket = newBucket()
      const prompt = "x".repeat(700_000)
      const { die, ledger } = yield* mortal(urls(), { node: "a", bucket, replicas: 3, lease: 300 })
      yield* ledger.submit(task({ id: "t", prompt }))
      const connection = yield* Effect.acquireRelease(
        Effect.promise(() => connect({ servers: [...urls()] })),
        (connection) => Effect.promise(() => connection.close())
      )
      const { streams } = yield* Effect.promise(() => connection.jetstreamManager())
      const there = Effect.promise(async () => {
        const { state } = await streams.info(`KV_${bucket}`, { subjects_filter: `$KV.${bucket}.beside.>` })
        return Object.keys(state.subjects ?? {})
      })
      const first = yield* there
      const [lost = ""] = first
      yield* Effect.promise(async () => {
        const { seq } = await streams.getMessage(`KV_${bucket}`, { last_by_subj: lost })
        await streams.deleteMessage(`KV_${bucket}`, seq)
      })
      const next = yield* mortal(urls(), { node: "b", bucket, replicas: 3 })
      const found = yield* Effect.retry(next.ledger.get("t"), { schedule: Schedule.spaced("50 millis") })
      assert.strictEqual(found.spec.prompt, prompt)
      yield* die
      const last = yield* mortal(urls(), { node: "c", bucket, replicas: 3 })
      assert.strictEqual((yield* last.ledger.get("t")).spec.prompt, prompt)
      assert.isAtLeast((yield* there).length, first.length)
    }).pipe(Effect.scoped)
  )

  it.live("lets one of several who write over the same revision at one moment win, each time, in one process too", () =>
    Effect.gen(function* () {
      const name = newBucket()
      const open = Effect.gen(function* () {
        const connection = yield* Effect.acquireRelease(
          Effect.promise(() => connect({ servers: [...urls()] })),
          (connection) => Effect.promise(() => connection.close())
        )
        const options = { control: connection, bulk: connection, name, replicas: 3, maxBytes: -1 }
        return yield* Effect.promise(() => JetStreamBucket.open(options))
      })
      const one = yield* open
      const both = [one, one, yield* open]
      const text = (words: string) => new TextEncoder().encode(words)
      let revision =
        (yield* Effect.promise(() => both[0]?.put("k", text("begin"), 0, () => false) ?? Promise.reject())) ?? 0
      for (let round = 0; round < 100; round++) {
        const answers = yield* Effect.promise(() =>
          Promise.all(both.map((bucket, nth) => bucket.put("k", text(`${round} ${nth}`), revision, () => false)))
        )
        const won = answers.filter((answer) => answer !== undefined)
        assert.lengthOf(won, 1, `round ${round}`)
        revision = won[0] ?? 0
      }
    }).pipe(Effect.scoped)
  )
})

/** Completes when the cluster makes a stream with three replicas, so that it has a leader and all members. */
const ready = (urls: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const connection = await connect({ servers: [...urls], maxReconnectAttempts: -1, reconnectTimeWait: 50 })
    const jsm = await connection.jetstreamManager({ checkAPI: false })
    const name = `ready-${crypto.randomUUID()}`
    for (;;) {
      try {
        await jsm.streams.add({ name, subjects: [name], num_replicas: 3 })
        break
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
    await jsm.streams.delete(name)
    await connection.close()
  })
