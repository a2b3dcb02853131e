/** What a bucket does to who listens to it, on a real server. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { AckPolicy, connect, DeliverPolicy } from "nats"
import { JetStreamBucket } from "../../src/state/JetStreamBucket.ts"
import { natsServer, noNats } from "../utils/Nats.ts"

describe.skipIf(noNats !== undefined)("a bucket", () => {
  it.live(
    "takes nothing from who is behind, whatever is erased and swept (nats-server 2.9 lets a purge skip for all)",
    () =>
      Effect.gen(function* () {
        const server = yield* natsServer({ jetstream: true })
        const connection = yield* Effect.acquireRelease(
          Effect.promise(() => connect({ servers: server.url })),
          (connection) => Effect.promise(() => connection.close())
        )
        yield* Effect.promise(async () => {
          const options = { control: connection, bulk: connection, name: "b", replicas: 1, maxBytes: -1 }
          const bucket = await JetStreamBucket.open(options)
          const { consumers } = await connection.jetstreamManager()
          const keys = Array.from({ length: 20 }, (_, nth) => `k.${nth}`)
          for (const key of keys) await bucket.put(key, new Uint8Array(1), 0, () => false)
          await consumers.add("KV_b", {
            durable_name: "behind",
            ack_policy: AckPolicy.None,
            deliver_policy: DeliverPolicy.All
          })
          const pending = async () => (await consumers.info("KV_b", "behind")).num_pending
          assert.strictEqual(await pending(), 20)
          await bucket.sweep("k.3")
          assert.deepEqual(await bucket.read("k.3"), { revision: 0, bytes: undefined })
          assert.strictEqual(await pending(), 19)
          // Once more is nothing.
          await bucket.sweep("k.3")
          const { revision } = await bucket.read("k.5")
          const erased = await bucket.put("k.5", undefined, revision, () => false)
          assert.strictEqual((await bucket.read("k.5")).bytes, undefined)
          assert.strictEqual(await pending(), 19)
          await bucket.sweep("k.5", (erased ?? 0) - 1)
          assert.strictEqual((await bucket.read("k.5")).revision, erased)
          await Promise.all([bucket.sweep("k.5", erased), bucket.sweep("k.5", erased)])
          assert.strictEqual((await bucket.read("k.5")).revision, 0)
          assert.strictEqual(await pending(), 18)
          await bucket.sweep("k.>")
          assert.deepEqual(await bucket.keys(">"), [])
        })
      }).pipe(Effect.scoped)
  )
})
