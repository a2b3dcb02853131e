/** Where a Transport can be at home, for the suites that hold everywhere. Each is made fresh and ends with the test. */
import { Context, Effect, Layer, Queue, References, Schema, type Scope, Stream } from "effect"
import * as MemoryWire from "../../src/transport/MemoryWire.ts"
import * as NatsTransport from "../../src/transport/NatsTransport.ts"
import { Transport } from "../../src/transport/Transport.ts"
import { TransportSettings } from "../../src/transport/TransportSettings.ts"
import type { TransportStatus } from "../../src/transport/TransportStatus.ts"
import { natsCluster, natsServer, noNats } from "../utils/Nats.ts"

export const settingsOf = (written: typeof TransportSettings.Encoded): TransportSettings =>
  Schema.decodeSync(TransportSettings)({ kind: "nats", ...written })

const build = <R>(layer: Layer.Layer<Transport | R>) =>
  Layer.build(layer).pipe(
    Effect.map((context) => Context.get(context, Transport)),
    Effect.provideService(References.MinimumLogLevel, "None")
  )

/** A Transport of its own to this server, as each node has one. */
export const connect = (
  written: typeof TransportSettings.Encoded,
  options: Partial<NatsTransport.Options> = {}
): Effect.Effect<Transport["Service"], never, Scope.Scope> =>
  build(NatsTransport.layer(settingsOf(written), { name: "test", ...options }))

/** All that a transport tells of itself from now on. */
export const statusesOf = (transport: Transport["Service"]) =>
  Effect.gen(function* () {
    const statuses = yield* Queue.unbounded<TransportStatus>()
    const stream = yield* transport.status
    yield* Effect.forkScoped(Stream.runForEach(stream, (status) => Queue.offer(statuses, status)))
    return statuses
  })

/** The next of this type, on the control lane unless another one is said; passes over the others. */
export const next = <Type extends TransportStatus["type"]>(
  statuses: Queue.Dequeue<TransportStatus>,
  type: Type,
  lane = "control"
): Effect.Effect<Extract<TransportStatus, { type: Type }>> =>
  Effect.gen(function* () {
    while (true) {
      const status = yield* Queue.take(statuses)
      if (status.type === type && (!("lane" in status) || status.lane === lane)) return status as never
    }
  })

export interface Home {
  readonly name: string
  readonly skip: boolean
  /** Two ends that reach each other. In memory they are the same. */
  readonly ends: Effect.Effect<readonly [Transport["Service"], Transport["Service"]], never, Scope.Scope>
}

const memory = Effect.gen(function* () {
  const hub = yield* MemoryWire.hub()
  return [yield* build(Transport.layerAt(hub)), yield* build(Transport.layerAt(hub))] as const
})

const both = (urls: readonly [string, string]) =>
  Effect.gen(function* () {
    const one = yield* connect({ servers: [urls[0]] })
    const other = yield* connect({ servers: [urls[1]] })
    yield* Effect.orDie(Effect.all([one.ready, other.ready], { concurrency: "unbounded" }))
    return [one, other] as const
  })

export const homes: ReadonlyArray<Home> = [
  { name: "in memory", skip: false, ends: memory },
  {
    name: "over one nats-server",
    skip: noNats !== undefined,
    ends: Effect.flatMap(natsServer(), ({ url }) => both([url, url]))
  },
  {
    name: "over a cluster of three, at two of its servers",
    skip: noNats !== undefined,
    ends: Effect.flatMap(natsCluster(), ([one, other]) => both([one?.url ?? "", other?.url ?? ""]))
  }
]
