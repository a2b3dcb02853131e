/** The StateStore in a bucket of real servers, which are killed in the middle. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import * as JetStreamStateStore from "../../src/state/JetStreamStateStore.ts"
import { StateStore } from "../../src/state/StateStore.ts"
import { NatsConnections } from "../../src/transport/NatsTransport.ts"
import { connections, newBucket } from "../task/JetStreamHomes.ts"
import { type NatsServer, natsCluster, natsServer, noNats } from "../utils/Nats.ts"
import { conformance } from "./stateConformance.ts"

const home = (urls: ReadonlyArray<string>, bucket: string, replicas: number) =>
  Layer.fresh(
    Layer.effect(
      StateStore,
      Effect.map(NatsConnections, (connections) =>
        JetStreamStateStore.make(connections, { bucket, replicas, patience: 30_000 })
      )
    )
  ).pipe(Layer.provide(connections(urls)))

const onServers = (
  name: string,
  replicas: number,
  start: Effect.Effect<ReadonlyArray<NatsServer>, never, Scope.Scope>
) =>
  describe.skipIf(noNats !== undefined)(`on ${name}`, () => {
    const scope = Scope.makeUnsafe()
    let servers: ReadonlyArray<NatsServer> = []
    const urls = () => servers.map(({ url }) => url)
    beforeAll(async () => {
      servers = await Effect.runPromise(Scope.provide(start, scope))
    })
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

    conformance(`in a bucket on ${name}`, Layer.unwrap(Effect.sync(() => home(urls(), newBucket(), replicas))))

    const node = (bucket: string) =>
      Effect.map(Layer.build(home(urls(), bucket, replicas)), (context) => Context.get(context, StateStore))

    it.live("shows every node what another one has written, and lets one of two that race swap it, each time", () =>
      Effect.gen(function* () {
        const bucket = newBucket()
        const [a, b] = [yield* node(bucket), yield* node(bucket)]
        let seen = yield* a.put("b", "k", "begin")
        for (let round = 0; round < 50; round++) {
          const swaps = yield* Effect.all(
            [a, b].map((store, at) => Effect.exit(store.swap("b", "k", `${round} ${at}`, seen))),
            { concurrency: 2 }
          )
          const won = swaps.findIndex(Exit.isSuccess)
          assert.lengthOf(swaps.filter(Exit.isSuccess), 1, `round ${round}`)
          const there = yield* (won === 0 ? b : a).get("b", "k")
          assert.strictEqual(there?.value, `${round} ${won}`)
          seen = there?.revision ?? 0
        }
      }).pipe(Effect.scoped)
    )

    it.live("leaves nothing behind of what was removed, and knows any key", () =>
      Effect.gen(function* () {
        const store = yield* node(newBucket())
        const keys = ["a.b", "a b", "*", ">", "Grüße 世界", "=0041", "A"]
        for (const key of keys) yield* store.put("any. bucket>", key, key)
        assert.deepEqual(
          (yield* store.list("any. bucket>")).map(({ key, value }) => [key, value]),
          keys.toSorted().map((key) => [key, key])
        )
        for (const key of keys) yield* store.remove("any. bucket>", key)
        assert.deepEqual(yield* store.list("any. bucket>"), [])
        for (const key of keys) assert.isUndefined(yield* store.get("any. bucket>", key))
      }).pipe(Effect.scoped)
    )

    it.live("loses nothing that was answered, and does nothing twice, when a server is killed in the middle", () =>
      Effect.gen(function* () {
        const store = yield* node(newBucket())
        let revision = yield* store.put("b", "count", "0")
        // Goes on until all that is to happen to the servers has happened.
        let at = 0
        let enough = false
        const counting = yield* Effect.forkChild(
          Effect.gen(function* () {
            for (let n = 1; !enough; n++) {
              revision = yield* store.swap("b", "count", String(n), revision)
              yield* store.put("b", `k${n % 7}`, String(n))
              if (n % 5 === 0) yield* store.remove("b", `k${(n - 1) % 7}`)
              at = n
            }
          })
        )
        const further = Effect.suspend(() => {
          const now = at
          return Effect.repeat(Effect.sleep("1 millis"), {
            until: () => at > now || counting.pollUnsafe() !== undefined
          })
        })
        for (const server of servers) {
          yield* further
          yield* server.kill
          yield* Effect.sleep("100 millis")
          yield* server.start
          yield* further
        }
        enough = true
        yield* Fiber.join(counting)
        assert.deepEqual(yield* store.get("b", "count"), { key: "count", value: String(at), revision })
        const expected = new Map<string, string>()
        for (let n = 1; n <= at; n++) {
          expected.set(`k${n % 7}`, String(n))
          if (n % 5 === 0) expected.delete(`k${(n - 1) % 7}`)
        }
        const found = (yield* store.list("b")).filter(({ key }) => key.startsWith("k"))
        assert.deepEqual(new Map(found.map(({ key, value }) => [key, value])), new Map([...expected].toSorted()))
      }).pipe(Effect.scoped)
    )
  })

onServers(
  "one server",
  1,
  Effect.map(natsServer({ jetstream: true }), (server) => [server])
)
onServers("three servers", 3, natsCluster(3, { jetstream: true }))
