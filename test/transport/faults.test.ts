/** What becomes of a NATS transport when servers die, hang, come back or are too slow. With real servers on loopback. */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Queue, Stream } from "effect"
import type { Transport } from "../../src/transport/Transport.ts"
import { natsCluster, natsServer, noNats } from "../utils/Nats.ts"
import { connect, next, statusesOf } from "./homes.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (data: Uint8Array) => new TextDecoder().decode(data)

const echo = (transport: Transport["Service"], subject: string) =>
  Effect.gen(function* () {
    const stream = yield* transport.subscribe(subject)
    yield* Effect.forkScoped(Stream.runForEach(stream, (packet) => Effect.ignore(packet.respond(packet.data))))
  })

/** Asks until it is answered. */
const answered = (transport: Transport["Service"], subject: string, what: string) =>
  transport.request(subject, bytes(what), { deadline: "5 seconds" }).pipe(
    Effect.retry({
      while: ({ _tag }) => _tag === "NoResponders" || _tag === "RequestTimeout" || _tag === "ServerLost"
    }),
    Effect.map(({ data }) => text(data))
  )

describe.skipIf(noNats !== undefined)("a NATS transport", () => {
  it.live("is there before its server is, and keeps what is published until then", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      yield* server.kill
      const node = yield* connect({ servers: [server.url] })
      const stream = yield* node.subscribe("early.*")
      const heard = yield* Queue.unbounded<string>()
      yield* Effect.forkScoped(Stream.runForEach(stream, ({ data }) => Queue.offer(heard, text(data))))
      for (let n = 0; n < 100; n++) yield* node.publish(`early.${n}`, bytes(`${n}`))
      yield* echo(node, "echo")
      const asked = yield* Effect.forkChild(node.request("echo", bytes("hello"), { deadline: "30 seconds" }))
      assert.strictEqual((yield* node.snapshot).control.state, "connecting")
      yield* server.start
      const got = yield* Queue.takeN(heard, 100)
      assert.deepStrictEqual(
        got,
        Array.from({ length: 100 }, (_, n) => `${n}`)
      )
      assert.strictEqual(text((yield* Fiber.join(asked)).data), "hello")
    })
  )

  it.live(
    "outlives kill -9 and restart of its server: status, subscriptions, what was published meanwhile, in order",
    () =>
      Effect.gen(function* () {
        const server = yield* natsServer()
        const [node, other] = [yield* connect({ servers: [server.url] }), yield* connect({ servers: [server.url] })]
        yield* Effect.all([node.ready, other.ready])
        const statuses = yield* statusesOf(node)
        const heard = yield* Queue.unbounded<string>()
        const stream = yield* other.subscribe("news")
        yield* Effect.forkScoped(Stream.runForEach(stream, ({ data }) => Queue.offer(heard, text(data))))
        yield* echo(other, "echo")
        for (let life = 0; life < 3; life++) {
          yield* node.publish("news", bytes(`before ${life}`))
          assert.strictEqual(yield* Queue.take(heard), `before ${life}`)
          yield* server.kill
          const down = yield* next(statuses, "down")
          assert.strictEqual(down.fault._tag, "ServerLost")
          for (let n = 0; n < 10; n++) yield* node.publish("kept", bytes(`${n}`))
          assert.isAbove((yield* node.snapshot).control.pendingBytes, 0)
          const late = yield* Effect.flip(node.request("echo", bytes("x"), { deadline: "30 millis" }))
          assert.strictEqual(late._tag, "ServerLost")
          yield* server.start
          const up = yield* next(statuses, "up")
          assert.strictEqual(up.version.split(".").length, 3)
          assert.strictEqual(yield* answered(node, "echo", `life ${life}`), `life ${life}`)
          assert.strictEqual((yield* node.snapshot).control.pendingBytes, 0)
          assert.strictEqual((yield* node.snapshot).control.reconnects, life + 1)
        }
      })
  )

  it.live("sends in order what waited for a server, and what comes after it", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const node = yield* connect({ servers: [server.url] })
      yield* node.ready
      const heard = yield* Queue.unbounded<string>()
      const stream = yield* node.subscribe("line")
      yield* Effect.forkScoped(Stream.runForEach(stream, ({ data }) => Queue.offer(heard, text(data))))
      const statuses = yield* statusesOf(node)
      yield* server.kill
      yield* next(statuses, "down")
      const count = 3000
      const publishing = yield* Effect.forkChild(
        Effect.gen(function* () {
          for (let n = 0; n < count; n++) {
            yield* node.publish("line", bytes(`${n}`))
            if (n % 10 === 0) yield* Effect.sleep("1 millis")
          }
        })
      )
      yield* server.start
      const got = yield* Queue.takeN(heard, count)
      yield* Fiber.join(publishing)
      assert.deepStrictEqual(
        got,
        Array.from({ length: count }, (_, n) => `${n}`)
      )
    })
  )

  it.live("refuses what is more than may wait for a server", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const node = yield* connect({ servers: [server.url], maxPending: "64 KiB" })
      yield* node.ready
      const statuses = yield* statusesOf(node)
      yield* server.kill
      yield* next(statuses, "down")
      const kilobyte = new Uint8Array(1024)
      let accepted = 0
      const fault = yield* Effect.flip(
        Effect.forever(
          Effect.andThen(
            node.publish("much", kilobyte),
            Effect.sync(() => accepted++)
          )
        )
      )
      assert.strictEqual(fault._tag, "PendingFull")
      assert.isAtMost(accepted, 64)
      assert.isAtLeast(accepted, 56)
      yield* server.start
      yield* node.flush
      yield* node.publish("much", kilobyte)
      assert.strictEqual((yield* node.snapshot).control.published, accepted + 1)
    })
  )

  it.live("makes publishers wait while a server takes nothing, gives it up, and goes to another", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* natsServer(), yield* natsServer()]
      yield* second.kill
      const node = yield* connect({
        servers: [first.url, second.url],
        pingInterval: "200 millis",
        connectTimeout: "300 millis",
        maxPending: "64 MiB"
      })
      yield* node.ready
      const statuses = yield* statusesOf(node)
      yield* first.halt
      // More than any buffer between the two holds, so that the socket itself is full.
      const megabyte = new Uint8Array(1000 * 1000)
      const publishing = yield* Effect.forkChild(
        Effect.gen(function* () {
          let published = 0
          while (published < 200) {
            yield* node.publish("much", megabyte)
            published++
          }
        }).pipe(Effect.flip)
      )
      const down = yield* next(statuses, "down")
      assert.include(down.fault.message, "does not answer")
      assert.isAbove(down.unconfirmed, 0)
      // What was on its way is at most what may be, and one more.
      assert.isAtMost(down.unconfirmed, 68)
      assert.strictEqual((yield* Fiber.join(publishing))._tag, "PendingFull")
      yield* second.start
      const up = yield* next(statuses, "up")
      assert.include(up.server, `${second.port}`)
      yield* echo(node, "echo")
      assert.strictEqual(yield* answered(node, "echo", "well"), "well")
      yield* first.goOn
    })
  )

  it.live("remembers a server that was down when it first looked", () =>
    Effect.gen(function* () {
      const [down, up] = [yield* natsServer(), yield* natsServer()]
      yield* down.kill
      // Which one is tried first is left to chance: of eight, some find the one that is down.
      const nodes = yield* Effect.forEach(Array.from({ length: 8 }), () => connect({ servers: [down.url, up.url] }))
      yield* Effect.forEach(nodes, ({ ready }) => ready)
      const statuses = yield* Effect.forEach(nodes, statusesOf)
      yield* up.kill
      yield* down.start
      yield* Effect.forEach(statuses, (each) => next(each, "up"))
      for (const node of nodes) assert.include((yield* node.snapshot).control.server, `:${down.port}`)
    })
  )

  it.live("does not collect sockets while a server hangs", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      yield* server.halt
      const node = yield* connect({
        servers: [server.url],
        connectTimeout: "50 millis",
        reconnect: { longest: "50 millis" }
      })
      const statuses = yield* statusesOf(node)
      // Each of the two links tries many times meanwhile.
      yield* Effect.sleep("2 seconds")
      const open = socketsTo(server.port)
      if (open !== undefined) assert.isAtMost(open, 4)
      yield* server.goOn
      yield* next(statuses, "up")
    })
  )

  it.live("outlives a server of its cluster, and requests go on", () =>
    Effect.gen(function* () {
      const cluster = yield* natsCluster()
      const [one] = cluster
      // One address is enough: the others are found.
      const node = yield* connect({ servers: [one?.url ?? ""] })
      const other = yield* connect({ servers: cluster.slice(1).map(({ url }) => url) })
      yield* Effect.all([node.ready, other.ready])
      const statuses = yield* statusesOf(node)
      yield* echo(other, "echo")
      assert.strictEqual(yield* answered(node, "echo", "before"), "before")
      yield* one?.kill ?? Effect.void
      yield* next(statuses, "down")
      const up = yield* next(statuses, "up")
      assert.notInclude(up.server, `:${one?.port}`)
      assert.strictEqual(yield* answered(node, "echo", "after"), "after")
    })
  )

  it.live("says that it lost the server while an answer was due", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const node = yield* connect({ servers: [server.url] })
      yield* node.ready
      const stream = yield* node.subscribe("silent")
      const asked = yield* Deferred.make<void>()
      yield* Effect.forkScoped(Stream.runForEach(stream, () => Deferred.succeed(asked, undefined)))
      const request = yield* Effect.forkChild(Effect.flip(node.request("silent", bytes("?"), { deadline: "1 second" })))
      yield* Deferred.await(asked)
      yield* server.kill
      assert.strictEqual((yield* Fiber.join(request))._tag, "ServerLost")
    })
  )

  it.live("takes 2 MB where the server does, and refuses it typed where it does not", () =>
    Effect.gen(function* () {
      const small = yield* natsServer()
      const large = yield* natsServer({ config: "max_payload: 8MB" })
      const data = Uint8Array.from({ length: 2_000_000 }, (_, n) => n % 251)
      const refusing = yield* connect({ servers: [small.url] })
      yield* refusing.ready
      const fault = yield* Effect.flip(refusing.publish("large", data))
      assert.strictEqual(fault._tag, "PayloadTooLarge")
      assert.include(fault.message, "2000000")
      const taking = yield* connect({ servers: [large.url] })
      yield* taking.ready
      yield* echo(taking, "large")
      const back = yield* taking.request("large", data, { deadline: "20 seconds" })
      assert.strictEqual(Buffer.compare(back.data, data), 0)
    })
  )

  it.live("follows a server that takes less than before", () =>
    Effect.gen(function* () {
      const server = yield* natsServer({ config: "max_payload: 1MB" })
      const node = yield* connect({ servers: [server.url] })
      yield* node.ready
      const data = new Uint8Array(100_000)
      yield* node.publish("large", data)
      yield* server.reload("max_payload: 64KB")
      const fault = yield* Effect.flip(Effect.forever(Effect.andThen(node.publish("large", data), node.flush)))
      assert.strictEqual(fault._tag, "PayloadTooLarge")
      assert.strictEqual((yield* node.snapshot).control.state, "up")
    })
  )

  it.live("drops what waited for a server that does not take it, and tells of it", () =>
    Effect.gen(function* () {
      const server = yield* natsServer({ config: "max_payload: 64KB" })
      yield* server.kill
      const node = yield* connect({ servers: [server.url] })
      const statuses = yield* statusesOf(node)
      yield* node.publish("large", new Uint8Array(100_000))
      yield* node.publish("small", new Uint8Array(10))
      yield* server.start
      const { fault } = yield* next(statuses, "dropped")
      assert.strictEqual(fault.subject, "large")
      assert.strictEqual((yield* node.snapshot).control.published, 1)
    })
  )

  it.live("is told by a server that is about to stop, and moves", () =>
    Effect.gen(function* () {
      const cluster = yield* natsCluster(2, { config: "lame_duck_duration: 30s\nlame_duck_grace_period: 1s" })
      const [one] = cluster
      const node = yield* connect({ servers: [one?.url ?? ""] })
      yield* node.ready
      const statuses = yield* statusesOf(node)
      process.kill(one?.pid() ?? 0, "SIGUSR2")
      const leaving = yield* next(statuses, "leaving")
      assert.include(leaving.server, `${one?.port}`)
    })
  )

  it.live("closes with its Scope, though its server hangs", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const node = yield* connect({ servers: [server.url] })
          yield* node.ready
          yield* node.publish("last", bytes("words"))
          yield* server.halt
        })
      )
      yield* server.goOn
    })
  )

  it.live("has sent all that was published when its Scope has closed", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const other = yield* connect({ servers: [server.url] })
      yield* other.ready
      const heard = yield* Queue.unbounded<number>()
      const stream = yield* other.subscribe("last")
      yield* Effect.forkScoped(Stream.runForEach(stream, ({ data }) => Queue.offer(heard, data.length)))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const node = yield* connect({ servers: [server.url] })
          yield* node.ready
          for (let n = 0; n < 1000; n++) yield* node.publish("last", new Uint8Array(1000))
        })
      )
      assert.strictEqual((yield* Queue.takeN(heard, 1000)).length, 1000)
    })
  )
})

/** Established connections of this machine to a port of loopback, of this side; undefined where that cannot be seen. */
const socketsTo = (port: number): number | undefined => {
  try {
    const hex = port.toString(16).toUpperCase().padStart(4, "0")
    return readFileSync("/proc/net/tcp", "utf8")
      .split("\n")
      .filter((line) => line.split(/\s+/)[3]?.endsWith(`:${hex}`) && line.split(/\s+/)[4] === "01").length
  } catch {
    return undefined
  }
}
