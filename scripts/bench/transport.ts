/**
 * Publish rate and request latency through the Transport against the bare client, in turns within one run against one
 * nats-server, and how long after its server is back a link is up. Prints JSON. `bun scripts/bench/transport.ts`. Goals: at
 * least 0.8 of the bare client's rate, a median request within 1.2 times.
 */
import { Context, Deferred, Effect, Fiber, Layer, References, Schema, Stream } from "effect"
import { connect, type NatsConnection } from "nats"
import * as NatsTransport from "../../src/transport/NatsTransport.ts"
import { Transport } from "../../src/transport/Transport.ts"
import { TransportSettings } from "../../src/transport/TransportSettings.ts"
import { natsServer, noNats } from "../../test/utils/Nats.ts"
import { median, round } from "./measure.ts"

const TURNS = 9
const MESSAGES = 100_000
/** Published in one go. */
const AT_ONCE = 500
const REQUESTS = 2_000
const RESTARTS = 5
const payload = new Uint8Array(128).fill(7)
const breath = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Messages a second, until the last is heard. */
const barePublish = async (from: NatsConnection, to: NatsConnection) => {
  let heard = 0
  let done = () => {}
  const all = new Promise<void>((resolve) => {
    done = resolve
  })
  const callback = () => {
    if (++heard === MESSAGES) done()
  }
  const subscription = to.subscribe("bench", { callback })
  await to.flush()
  const began = performance.now()
  for (let n = 0; n < MESSAGES; n++) {
    from.publish("bench", payload)
    if (n % AT_ONCE === 0) await breath()
  }
  await all
  const took = performance.now() - began
  subscription.unsubscribe()
  return (MESSAGES * 1000) / took
}

const ourPublish = Effect.fnUntraced(function* (from: Transport["Service"], to: Transport["Service"]) {
  const stream = yield* to.subscribe("bench", { capacity: { messages: MESSAGES } })
  const all = yield* Deferred.make<void>()
  let heard = 0
  yield* Effect.forkScoped(
    Stream.runForEachArray(stream, (packets) => {
      heard += packets.length
      return heard === MESSAGES ? Deferred.succeed(all, undefined) : Effect.void
    })
  )
  const began = performance.now()
  for (let n = 0; n < MESSAGES; n++) {
    yield* from.publish("bench", payload)
    if (n % AT_ONCE === 0) yield* Effect.promise(breath)
  }
  yield* Deferred.await(all)
  return (MESSAGES * 1000) / (performance.now() - began)
}, Effect.scoped)

/** The median of many, in microseconds. */
const bareRequest = async (from: NatsConnection) => {
  const times: Array<number> = []
  for (let n = 0; n < REQUESTS; n++) {
    const began = performance.now()
    await from.request("echo", payload, { timeout: 10_000 })
    times.push(performance.now() - began)
  }
  return median(times) * 1000
}

const ourRequest = Effect.fnUntraced(function* (from: Transport["Service"]) {
  const times: Array<number> = []
  for (let n = 0; n < REQUESTS; n++) {
    const began = performance.now()
    yield* from.request("echo", payload, { deadline: 10_000 })
    times.push(performance.now() - began)
  }
  return median(times) * 1000
})

/** Each goes first in every other turn, so that neither always meets what the other has left behind. */
const inTurn = Effect.fnUntraced(function* <E>(
  turn: number,
  bare: Effect.Effect<number>,
  ours: Effect.Effect<number, E>
) {
  if (turn % 2 === 0) return { bare: yield* bare, ours: yield* ours }
  const first = yield* ours
  return { bare: yield* bare, ours: first }
})

const bench = Effect.gen(function* () {
  const server = yield* natsServer()
  const settings = Schema.decodeSync(TransportSettings)({ kind: "nats", servers: [server.url] })
  const ours = Effect.map(Layer.build(NatsTransport.layer(settings, { name: "bench" })), (context) =>
    Context.get(context, Transport)
  )
  const bare = Effect.acquireRelease(
    Effect.promise(() => connect({ servers: server.url })),
    (nc) => Effect.promise(() => nc.close())
  )
  const [from, to, bareFrom, bareTo] = [yield* ours, yield* ours, yield* bare, yield* bare]
  yield* Effect.all([from.ready, to.ready])
  // One responder for both, so that only the asking differs.
  bareTo.subscribe("echo", { callback: (_, message) => void message.respond(message.data) })
  yield* Effect.promise(() => bareTo.flush())

  const rates = { bare: [] as Array<number>, ours: [] as Array<number> }
  const asks = { bare: [] as Array<number>, ours: [] as Array<number> }
  for (let turn = 0; turn <= TURNS; turn++) {
    const rate = yield* inTurn(
      turn,
      Effect.promise(() => barePublish(bareFrom, bareTo)),
      ourPublish(from, to)
    )
    const ask = yield* inTurn(
      turn,
      Effect.promise(() => bareRequest(bareFrom)),
      ourRequest(from)
    )
    // The first turn warms up.
    if (turn === 0) continue
    for (const who of ["bare", "ours"] as const) {
      rates[who].push(rate[who])
      asks[who].push(ask[who])
    }
  }

  const reconnects: Array<number> = []
  const statuses = yield* from.status
  for (let turn = 0; turn < RESTARTS; turn++) {
    const up = yield* Effect.forkChild(
      statuses.pipe(
        Stream.filter((status) => status.type === "up" && status.lane === "control"),
        Stream.take(1),
        Stream.runDrain
      )
    )
    yield* server.kill
    yield* server.start
    const began = performance.now()
    yield* Fiber.join(up)
    reconnects.push(performance.now() - began)
  }
  /** Of the pairs of a turn. */
  const ratio = (of: typeof rates) => {
    const ratios = of.ours.map((each, turn) => each / (of.bare[turn] ?? each))
    return { median: round(median(ratios)), lowest: round(Math.min(...ratios)), highest: round(Math.max(...ratios)) }
  }
  return {
    bench: "transport",
    barePublishedPerSecond: round(median(rates.bare)),
    publishedPerSecond: round(median(rates.ours)),
    publishedOfBare: ratio(rates),
    bareRequestMicros: round(median(asks.bare)),
    requestMicros: round(median(asks.ours)),
    requestOfBare: ratio(asks),
    reconnectMillis: round(median(reconnects))
  }
})

console.log(
  JSON.stringify(
    noNats === undefined
      ? await Effect.runPromise(bench.pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None")))
      : { bench: "transport", skipped: noNats }
  )
)
