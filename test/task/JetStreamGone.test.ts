/** The stream of the ledger is deleted while nodes work on it, and made anew by one that is started then. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Schedule, Scope, Stream } from "effect"
import { connect } from "nats"
import { TaskId } from "../../src/domain/Ids.ts"
import type { Published } from "../../src/event/Event.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { type Entry, encode, lean, taskKey } from "../../src/task/JetStreamEntry.ts"
import * as JetStreamLedger from "../../src/task/JetStreamLedger.ts"
import { JetStreamMirror } from "../../src/task/JetStreamMirror.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { type NatsServer, natsCluster, natsServer, noNats } from "../utils/Nats.ts"
import { record } from "../utils/Snapshots.ts"
import { task } from "../utils/Specs.ts"
import { around, done } from "./Homes.ts"
import { connections, mortal, newBucket } from "./JetStreamHomes.ts"

/** Short, so that nodes look often, and soon give up. */
const LEASE = 300
const PATIENCE = 300
const LONG = "x".repeat(700_000)

const until = <A, E>(asked: Effect.Effect<A, E>, holds: (answer: A) => boolean) =>
  Effect.repeat(asked, { until: holds, schedule: Schedule.spaced("20 millis") })

describe("a node whose bucket is another one", () => {
  const entryOf = (change: Partial<Entry["record"]>, born = 1): Entry => ({
    record: { ...record({ id: "t" }), spec: { ...record().spec, id: TaskId.make("t") }, state: "queued", ...change },
    attempts: [],
    waits: [],
    born,
    queuedAt: 1,
    owner: undefined
  })
  const value = (entry: Entry) => encode({ by: "n-1", now: lean(entry) })
  const ended = entryOf({ state: "succeeded", attempt: 1 })
  const rebased = (known: Entry) => {
    const mirror = new JetStreamMirror()
    mirror.complete()
    mirror.hear(taskKey("t"), 5_000, value(known))
    mirror.rebase()
    return mirror
  }

  it("writes what it knows as what is nowhere yet", () => {
    const mirror = rebased(ended)
    assert.strictEqual(mirror.get("t")?.state, "succeeded")
    assert.strictEqual(mirror.at(taskKey("t")).revision, 0)
  })

  it("stays with what it knows where others have put less there, and writes that over it", () => {
    for (const less of [
      entryOf({}),
      entryOf({ state: "running", attempt: 1 }),
      entryOf({ state: "parked", attempt: 1 })
    ]) {
      const mirror = rebased(ended)
      mirror.hear(taskKey("t"), 7, value(less))
      assert.strictEqual(mirror.get("t")?.state, "succeeded")
      assert.strictEqual(mirror.at(taskKey("t")).revision, 7)
      assert.sameMembers([...mirror.further], [taskKey("t")])
    }
  })

  it("takes what others have put there who know more, or of another task by this id", () => {
    for (const more of [
      entryOf({ attempt: 2, state: "running" }),
      entryOf({ attempt: 1, before: 1 }),
      entryOf({}, 2)
    ]) {
      const mirror = rebased(ended)
      mirror.hear(taskKey("t"), 7, value(more))
      assert.strictEqual(mirror.get("t")?.state, more.record.state)
      assert.sameMembers([...mirror.further], [])
    }
  })
})

describe.skipIf(noNats !== undefined)("the ledger's stream", () => {
  const scope = Scope.makeUnsafe()
  let single: NatsServer
  let cluster: ReadonlyArray<NatsServer> = []
  beforeAll(async () => {
    single = await Effect.runPromise(Scope.provide(natsServer({ jetstream: true }), scope))
    cluster = await Effect.runPromise(Scope.provide(natsCluster(3, { jetstream: true }), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  /** By hand, as an operator does it. */
  const remove = (servers: ReadonlyArray<string>, bucket: string, stream = `KV_${bucket}`) =>
    Effect.promise(async () => {
      const connection = await connect({ servers: [...servers] })
      const { streams } = await connection.jetstreamManager()
      await streams.delete(stream)
      await connection.close()
    })

  /** A node whose events are heard. */
  const heardNode = Effect.fnUntraced(function* (servers: ReadonlyArray<string>, bucket: string, replicas = 1) {
    const home = Layer.fresh(
      JetStreamLedger.layer({ node: "heard", bucket, replicas, lease: LEASE, patience: PATIENCE })
    ).pipe(Layer.provide(connections(servers)), Layer.provideMerge(around))
    const context = yield* Effect.orDie(Layer.build(home))
    const events: Array<Published> = []
    const published = yield* Context.get(context, EventBus).subscribe
    yield* Effect.forkScoped(Stream.runForEach(published, (event) => Effect.sync(() => void events.push(event))))
    return { ledger: Context.get(context, TaskLedger), events }
  })

  it.live("that is deleted is told once, with what can be done, and what needs it fails and says so", () =>
    Effect.gen(function* () {
      const bucket = newBucket()
      const { events, ledger } = yield* heardNode([single.url], bucket)
      yield* ledger.submit(task({ id: "t" }))
      yield* remove([single.url], bucket)
      const troubles = () => events.filter(({ type }) => type === "fleet.trouble")
      yield* until(Effect.sync(troubles), (found) => found.length > 0)
      assert.deepInclude(troubles()[0], { kind: "LedgerMissing" })
      assert.match((troubles()[0] as { readonly hint?: string }).hint ?? "", /start one node anew/)
      const refused = yield* Effect.flip(ledger.submit(task({ id: "other" })))
      assert.deepInclude(refused as object, { _tag: "LedgerUnusable", problem: "missing", recovery: "retry" })
      // What it knows it still knows.
      assert.strictEqual((yield* ledger.get("t")).state, "queued")
      assert.lengthOf(troubles(), 1)
    }).pipe(Effect.scoped)
  )

  it.live("of fences is told as missing too, and all go on when a node that is started has made it", () =>
    Effect.gen(function* () {
      const servers = cluster.map(({ url }) => url)
      const bucket = newBucket()
      const { events, ledger } = yield* heardNode(servers, bucket, 3)
      yield* ledger.submit(task({ id: "t" }))
      yield* remove(servers, bucket, `${bucket}-fences`)
      yield* until(
        Effect.sync(() => events),
        (all) => all.some(({ type }) => type === "fleet.trouble")
      )
      const refused = yield* Effect.flip(ledger.claim("t", "agent"))
      assert.deepInclude(refused as object, { _tag: "LedgerUnusable", problem: "missing" })
      yield* mortal(servers, { node: "next", bucket, replicas: 3 })
      assert.strictEqual((yield* ledger.claim("t", "agent")).attempt, 1)
    }).pipe(Effect.scoped)
  )

  for (const replicas of [1, 3])
    it.live(`gets what all nodes know where one that is started makes it anew, with replicas ${replicas}`, () =>
      Effect.gen(function* () {
        const servers = replicas === 1 ? [single.url] : cluster.map(({ url }) => url)
        const bucket = newBucket()
        // Nobody is to be taken for dead meanwhile.
        const options = { bucket, replicas, lease: 10 * LEASE, patience: PATIENCE }
        const a = yield* mortal(servers, { ...options, node: "a" })
        const b = yield* mortal(servers, { ...options, node: "b" })
        yield* a.ledger.submitAll(["queued", "running", "ended"].map((id) => task({ id, prompt: `${id} ${LONG}` })))
        yield* a.ledger.claim("running", "agent")
        yield* a.ledger.claim("ended", "agent")
        yield* a.ledger.complete("ended", 1, done("ended", { text: LONG }))
        yield* until(b.ledger.list({ states: ["succeeded"] }), (found) => found.length === 1)
        // So that the numbers of the new one are lower for a while.
        for (let nth = 0; nth < 50; nth++) yield* a.ledger.submit(task({ id: `more-${nth}` }))
        yield* remove(servers, bucket)
        const c = yield* mortal(servers, { ...options, node: "c" })
        const states = (ledger: TaskLedger["Service"]) =>
          Effect.map(ledger.list({ limit: 100 }), (all) =>
            all.map(({ attempt, id, state }) => `${id} ${state} ${attempt}`).sort()
          )
        const all = [
          "ended succeeded 1",
          "queued queued 0",
          "running running 1",
          ...Array.from({ length: 50 }, (_, nth) => `more-${nth} queued 0`)
        ].sort()
        for (const { ledger } of [c, a, b])
          yield* until(states(ledger), (found) => JSON.stringify(found) === JSON.stringify(all))
        assert.strictEqual((yield* c.ledger.result("ended")).text, LONG)
        assert.strictEqual((yield* c.ledger.get("queued")).spec.prompt, `queued ${LONG}`)
        // All go on.
        yield* a.ledger.complete("running", 1, done("running", { text: "at last" }))
        assert.strictEqual((yield* c.ledger.result("running")).text, "at last")
        assert.strictEqual((yield* b.ledger.claim("queued", "agent")).attempt, 1)
        assert.strictEqual((yield* Effect.flip(a.ledger.claim("queued", "agent")))._tag, "AttemptSuperseded")
        yield* b.ledger.submit(task({ id: "new" }))
        assert.strictEqual(
          (yield* until(Effect.option(a.ledger.get("new")), (found) => found._tag === "Some"))._tag,
          "Some"
        )
      }).pipe(Effect.scoped)
    )
})
