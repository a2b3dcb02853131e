/** Servers in the order of the list, with real ones: the first that answers, and back to an earlier one. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, References, Schedule } from "effect"
import * as JetStreamLedger from "../../src/task/JetStreamLedger.ts"
import * as NatsTransport from "../../src/transport/NatsTransport.ts"
import { Transport, type TransportShape } from "../../src/transport/Transport.ts"
import { around, done } from "../task/Homes.ts"
import { freePorts, natsServer, noNats } from "../utils/Nats.ts"
import { task } from "../utils/Specs.ts"
import { connect, settingsOf } from "./homes.ts"

/** Completes when both links are up at this server. */
const isAt = (transport: TransportShape, { port }: { readonly port: number }) =>
  Effect.repeat(transport.snapshot, {
    until: ({ bulk, control }) =>
      [bulk, control].every(({ server, state }) => state === "up" && server === `127.0.0.1:${port}`),
    schedule: Schedule.spaced("20 millis")
  })

const listed = { order: "listed", returnAfter: "100 millis" } as const

describe.skipIf(noNats !== undefined)("servers in their order", () => {
  it.live("takes the first that answers, the next when it is gone, and goes back when it is there again", () =>
    Effect.gen(function* () {
      const [first, second, third] = [yield* natsServer(), yield* natsServer(), yield* natsServer()]
      yield* first.kill
      const servers = [first.url, second.url, third.url]
      const transport = yield* connect({ servers, ...listed })
      yield* isAt(transport, second)
      yield* first.start
      yield* isAt(transport, first)
      for (let round = 0; round < 3; round++) {
        yield* first.kill
        yield* isAt(transport, second)
        yield* second.kill
        yield* isAt(transport, third)
        yield* second.start
        yield* isAt(transport, second)
        yield* first.start
        yield* isAt(transport, first)
      }
    }).pipe(Effect.scoped)
  )

  it.live("stays with a server that hangs before it in the list only until it answers", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* natsServer(), yield* natsServer()]
      yield* first.halt
      const transport = yield* connect({ servers: [first.url, second.url], ...listed, connectTimeout: "200 millis" })
      yield* isAt(transport, second)
      yield* first.goOn
      yield* isAt(transport, first)
    }).pipe(Effect.scoped)
  )

  it.live("reaches the ledger of the fleet by the leaf node of its site, and by the hub where that is gone", () =>
    Effect.gen(function* () {
      const [port = 0] = yield* Effect.promise(() => freePorts(1))
      const hub = yield* natsServer({
        config: (dir) => `
          jetstream { store_dir: "${dir}/store", domain: hub }
          leafnodes { listen: "127.0.0.1:${port}" }`
      })
      const leaf = yield* natsServer({
        config: `
          default_js_domain: { "$G": hub }
          leafnodes { reconnect: 1, remotes: [ { url: "nats://127.0.0.1:${port}" } ] }`
      })
      const home = JetStreamLedger.make({ node: "edge-1", patience: 30_000 })
      const context = yield* Layer.build(
        NatsTransport.layer(settingsOf({ servers: [leaf.url, hub.url], ...listed }), { name: "edge-1" })
      ).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
      const transport = Context.get(context, Transport)
      yield* isAt(transport, leaf)
      const { ledger } = yield* Effect.provideContext(home, context)
      const perform = Effect.fnUntraced(function* (id: string) {
        yield* ledger.submit(task({ id }))
        const { attempt } = yield* ledger.claim(id, "a")
        yield* ledger.complete(id, attempt, done(id))
        assert.strictEqual((yield* ledger.get(id)).state, "succeeded")
      })
      yield* perform("by-leaf")
      yield* leaf.kill
      yield* isAt(transport, hub)
      yield* perform("by-hub")
      yield* leaf.start
      yield* isAt(transport, leaf)
      yield* perform("by-leaf-again")
    }).pipe(Effect.provide(around), Effect.scoped)
  )
})
