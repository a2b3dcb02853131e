/** What holds for a list of nodes wherever it is kept: in this process, or in a bucket on one server or three. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Option, type Scope, Stream } from "effect"
import { connect } from "nats"
import * as BucketRegistry from "../../src/fleet/BucketRegistry.ts"
import type { NodeRecord } from "../../src/fleet/NodeRecord.ts"
import { memory, type RegistryShape, room, watch } from "../../src/fleet/Registry.ts"
import { natsCluster, natsServer, noNats } from "../utils/Nats.ts"

const record = (node: string, life: string, beat = 1): NodeRecord => ({
  life,
  status: {
    node,
    version: "0.1.0",
    mode: "full",
    startedAt: 1,
    beat,
    everyMillis: 100,
    agents: 0,
    slots: { total: 0, free: 0 },
    running: 0,
    taskTypes: [],
    capabilities: []
  },
  agents: []
})

type Ends = readonly [RegistryShape, RegistryShape]

interface Home {
  readonly name: string
  readonly skip: boolean
  ends(expire: Duration.Duration): Effect.Effect<Ends, never, Scope.Scope>
}

const client = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ servers: url })),
    (client) => Effect.promise(() => client.close())
  )

const buckets = (urls: ReadonlyArray<string>, expire: Duration.Duration, replicas: number) =>
  Effect.map(
    Effect.forEach([urls[0] ?? "", urls.at(-1) ?? ""], (url) =>
      Effect.map(client(url), (client) =>
        BucketRegistry.make(Effect.succeed(client), { bucket: "nodes", made: { expire, replicas } })
      )
    ),
    (ends) => ends as unknown as Ends
  )

const homes: ReadonlyArray<Home> = [
  {
    name: "in memory",
    skip: false,
    ends: (expire) =>
      Effect.sync(() => {
        const shared = room()
        return [memory(shared, expire), memory(shared, expire)]
      })
  },
  {
    name: "in a bucket of one server",
    skip: noNats !== undefined,
    ends: (expire) => Effect.flatMap(natsServer({ jetstream: true }), ({ url }) => buckets([url], expire, 1))
  },
  {
    name: "in a bucket of a cluster of three",
    skip: noNats !== undefined,
    ends: (expire) =>
      Effect.flatMap(natsCluster(3, { jetstream: true }), (servers) =>
        Effect.tap(
          buckets(
            servers.map(({ url }) => url),
            expire,
            3
          ),
          // A cluster that has just begun has no leader yet.
          ([end]) => Effect.eventually(end.list)
        )
      )
  }
]

const names = (registry: RegistryShape) =>
  Effect.map(registry.list, (all) => all.map(({ life, status }) => `${status.node}/${life}/${status.beat}`))

const LONG = Duration.minutes(10)

/** Until it is so; the test's own time limit is the end of patience. */
const until = <A, E>(effect: Effect.Effect<A, E>, so: (a: A) => boolean) =>
  Effect.repeat(Effect.delay(effect, "20 millis"), { until: so })

for (const { ends, name, skip } of homes) {
  describe.skipIf(skip)(`the list of nodes ${name}`, () => {
    it.live("has what each node announced last, by name", () =>
      Effect.gen(function* () {
        const [one, other] = yield* ends(LONG)
        assert.deepStrictEqual(yield* names(one), [])
        yield* other.announce(record("b", "1"))
        yield* one.announce(record("a", "1"))
        yield* one.announce(record("a", "1", 2))
        assert.deepStrictEqual(yield* names(one), ["a/1/2", "b/1/1"])
        assert.deepStrictEqual(yield* names(other), ["a/1/2", "b/1/1"])
      })
    )

    it.live("a node that leaves is gone at once, and may come again", () =>
      Effect.gen(function* () {
        const [one, other] = yield* ends(LONG)
        yield* one.announce(record("a", "1"))
        yield* one.leave("a", "1")
        assert.deepStrictEqual(yield* names(other), [])
        yield* one.announce(record("a", "2"))
        assert.deepStrictEqual(yield* names(other), ["a/2/1"])
      })
    )

    it.live("a node that says nothing any more goes by itself, and one that does stays", () =>
      Effect.gen(function* () {
        const [one, other] = yield* ends(Duration.seconds(2))
        yield* other.announce(record("dead", "1"))
        let beat = 0
        const alive = Effect.suspend(() => one.announce(record("alive", "1", ++beat)))
        yield* alive
        yield* until(Effect.andThen(alive, names(one)), (all) => all.length === 1)
        assert.deepStrictEqual(yield* names(other), [`alive/1/${beat}`])
      })
    )

    it.live("who leaves does not take a later life along", () =>
      Effect.gen(function* () {
        const [one, other] = yield* ends(LONG)
        yield* one.announce(record("a", "1"))
        yield* other.announce(record("a", "2"))
        yield* one.leave("a", "1")
        assert.deepStrictEqual(yield* names(one), ["a/2/1"])
      })
    )

    it.live("of two nodes of one name the one that is told over hears of it", () =>
      Effect.gen(function* () {
        const [one, other] = yield* ends(LONG)
        yield* one.announce(record("a", "1"))
        yield* other.announce(record("a", "2"))
        const fault = yield* Effect.flip(one.announce(record("a", "1", 2)))
        assert.deepInclude(fault, { _tag: "NodeNameTaken", node: "a", life: "2" })
        yield* other.announce(record("a", "2", 2))
        assert.deepStrictEqual(yield* names(one), ["a/2/2"])
      })
    )

    it.live("a watch tells who is there, who comes, changes and goes", () =>
      Effect.gen(function* () {
        const [one, other] = yield* ends(LONG)
        yield* other.announce(record("a", "1"))
        const seen: Array<string> = []
        // Where it is told of what happens, that is enough.
        const watching = yield* watch(one, one.heard === undefined ? "20 millis" : LONG).pipe(
          Stream.runForEach(({ node, type }) =>
            Effect.sync(() => seen.push(`${type} ${node.status.node}/${node.life}`))
          ),
          Effect.forkScoped
        )
        const sees = (count: number) => until(Effect.succeed(seen), () => seen.length >= count)
        yield* sees(1)
        yield* other.announce(record("a", "1", 2))
        yield* sees(2)
        yield* other.announce(record("a", "2"))
        yield* sees(4)
        yield* other.leave("a", "2")
        yield* sees(5)
        assert.deepStrictEqual(seen, ["joined a/1", "changed a/1", "left a/1", "joined a/2", "left a/2"])
        assert.isTrue(Option.isNone(Option.fromUndefinedOr(watching.pollUnsafe())))
        yield* Fiber.interrupt(watching)
      })
    )
  })
}

describe.skipIf(noNats !== undefined)("the bucket", () => {
  it.live("is watched on through the death of its server, and who grew too old is missed at the next look", () =>
    Effect.gen(function* () {
      const server = yield* natsServer({ jetstream: true })
      const [one, other] = yield* buckets([server.url], Duration.seconds(2), 1)
      yield* other.announce(record("a", "1"))
      const seen: Array<string> = []
      yield* watch(one, "500 millis").pipe(
        Stream.runForEach(({ node, type }) => Effect.sync(() => seen.push(`${type} ${node.status.node}`))),
        Effect.forkScoped
      )
      const sees = (what: string) =>
        until(
          Effect.sync(() => seen.includes(what)),
          (so) => so
        )
      yield* sees("joined a")
      yield* sees("left a")
      yield* server.kill
      yield* server.start
      // It says so with every heartbeat.
      let beat = 0
      const alive = Effect.ignore(Effect.suspend(() => other.announce(record("b", "1", ++beat))))
      yield* until(alive, () => seen.includes("joined b"))
    })
  )

  it.live("is unusable where the server has no JetStream, and says so", () =>
    Effect.gen(function* () {
      const { url } = yield* natsServer()
      const [registry] = yield* buckets([url], LONG, 1)
      const fault = yield* Effect.flip(registry.list)
      assert.include(fault.message, "no JetStream")
    })
  )

  it.live("takes over another age, as the server then has it", () =>
    Effect.gen(function* () {
      const { url } = yield* natsServer({ jetstream: true })
      const [first] = yield* buckets([url], Duration.minutes(5), 1)
      yield* first.announce(record("a", "1"))
      const [second] = yield* buckets([url], Duration.seconds(30), 1)
      assert.deepStrictEqual(yield* names(second), ["a/1/1"])
      const plain = yield* client(url)
      const manager = yield* Effect.promise(() => plain.jetstreamManager())
      const { config } = yield* Effect.promise(() => manager.streams.info("KV_nodes"))
      assert.strictEqual(config.max_age, 30_000_000_000)
      assert.strictEqual(config.max_msgs_per_subject, 1)
    })
  )

  it.live("is made again after it was deleted under a running node", () =>
    Effect.gen(function* () {
      const { url } = yield* natsServer({ jetstream: true })
      const [registry] = yield* buckets([url], LONG, 1)
      yield* registry.announce(record("a", "1"))
      const plain = yield* client(url)
      const manager = yield* Effect.promise(() => plain.jetstreamManager())
      yield* Effect.promise(() => manager.streams.delete("KV_nodes"))
      yield* Effect.eventually(registry.announce(record("a", "1", 2)))
      assert.deepStrictEqual(yield* names(registry), ["a/1/2"])
    })
  )

  it.live("passes over what is no record of a node", () =>
    Effect.gen(function* () {
      const { url } = yield* natsServer({ jetstream: true })
      const [registry] = yield* buckets([url], LONG, 1)
      yield* registry.announce(record("a", "1"))
      const plain = yield* client(url)
      const kv = yield* Effect.promise(() => plain.jetstream().views.kv("nodes"))
      yield* Effect.promise(() => kv.put("b", "nonsense"))
      yield* Effect.promise(() => kv.put("c", JSON.stringify(record("another", "1"))))
      assert.deepStrictEqual(yield* names(registry), ["a/1/1"])
    })
  )
})

it("no two prefixes have the same bucket", () => {
  const buckets = ["", "a.b", "a_b", "a_d", "a_.b", "a._b", "a-b"].map(BucketRegistry.bucketOf)
  assert.strictEqual(new Set(buckets).size, buckets.length)
  for (const bucket of buckets) assert.match(bucket, /^[-\w]+$/)
})
