/** What a killed server keeps in a work queue and never delivers again, made by killing one, and what nodes do about it. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schedule, type Scope } from "effect"
import { connect, type JsMsg, type NatsConnection } from "nats"
import * as Subject from "../../src/message/Subject.ts"
import { nanosOf } from "../../src/task/JetStreamIntake.ts"
import { type NatsServer, natsServer, noNats } from "../utils/Nats.ts"
import { mortal, newBucket } from "./JetStreamHomes.ts"

const HANDED_IN = ["t1", "t2", "t3", "t4"]
/** How often it is tried to kill the server between what it has written down and what it has not. */
const TRIES = 10
/** It waits so much longer before each, in milliseconds: the moment between the two is looked for. */
const LONGER = 50

const client = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ servers: url })),
    (client) => Effect.promise(() => client.close())
  )

const infoOf = (connection: NatsConnection, bucket: string) =>
  Effect.promise(async () => {
    const manager = await connection.jetstreamManager()
    const { state } = await manager.streams.info(`${bucket}-queue`)
    const { ack_floor, num_ack_pending, num_pending } = await manager.consumers.info(`${bucket}-queue`, "nodes")
    return { messages: state.messages, floor: ack_floor.stream_seq, open: num_ack_pending, pending: num_pending }
  })

/** All of these but the first are acknowledged, though nobody has submitted them. */
const takeAll = async (connection: NatsConnection, bucket: string): Promise<JsMsg | undefined> => {
  let first: JsMsg | undefined
  const batch = { batch: HANDED_IN.length, expires: 2_000 }
  for await (const message of connection.jetstream().fetch(`${bucket}-queue`, "nodes", batch))
    if (first === undefined) first = message
    else await message.ackAck()
  return first
}

/** Undefined: the server had written all of it down, or nothing. */
const killed = (server: NatsServer, bucket: string, wait: number) =>
  Effect.gen(function* () {
    const connection = yield* client(server.url)
    const js = connection.jetstream()
    const state = join(server.dir, "store", "jetstream", "$G", "streams", `${bucket}-queue`, "obs", "nodes", "o.dat")
    for (const id of HANDED_IN)
      yield* Effect.promise(() => js.publish(`${bucket}.tasks.code.queue`, JSON.stringify({ id, prompt: "do it" })))
    const written = () => (existsSync(state) ? readFileSync(state, "hex") : "")
    const before = written()
    const first = yield* Effect.promise(() => takeAll(connection, bucket))
    // What the consumer knows is written down soon, what the stream has lost only after seconds.
    const soon = { schedule: Schedule.spaced("5 millis"), until: () => written() !== before, times: 400 }
    yield* Effect.repeat(Effect.void, soon)
    yield* Effect.sleep(wait)
    yield* server.kill
    yield* server.start
    // The client has it, its type does not.
    return (first as (JsMsg & { readonly reply: string }) | undefined)?.reply
  }).pipe(Effect.scoped)

const orphaned = (server: NatsServer): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function* () {
    for (let tries = 0; tries < TRIES; tries++) {
      const bucket = newBucket()
      const outsiders = Result.getOrThrow(Subject.make(bucket))
      const before = yield* mortal(server.url, { node: "before", bucket, outsiders })
      yield* before.die
      const reply = yield* killed(server, bucket, tries * LONGER)
      const connection = yield* client(server.url)
      // The first one ends as its node said.
      if (reply !== undefined) connection.publish(reply, "+ACK")
      yield* Effect.promise(() => connection.flush())
      const { floor, messages, open, pending } = yield* infoOf(connection, bucket)
      if (messages === 3 && floor === 4 && open === 0 && pending === 0) return bucket
    }
    return yield* Effect.die(new Error(`${TRIES} kills of a server have left no message behind`))
  })

describe.skipIf(noNats !== undefined)("a message that a killed server keeps", () => {
  it.live("is submitted, though no consumer delivers it, and goes", () =>
    Effect.gen(function* () {
      const server = yield* natsServer({ jetstream: true })
      const bucket = yield* orphaned(server)
      const connection = yield* client(server.url)
      const never = connection.jetstream().fetch(`${bucket}-queue`, "nodes", { batch: 4, no_wait: true })
      yield* Effect.promise(async () => {
        for await (const message of never) assert.fail(`it was delivered: ${message.seq}`)
      })
      const outsiders = Result.getOrThrow(Subject.make(bucket))
      const { ledger } = yield* mortal(server.url, { node: "next", bucket, outsiders })
      yield* Effect.repeat(infoOf(connection, bucket), {
        until: ({ messages }) => messages === 0,
        schedule: Schedule.spaced("20 millis")
      })
      const there = yield* ledger.list()
      assert.deepStrictEqual(there.map(({ id, state }) => `${id} ${state}`).sort(), [
        "t2 queued",
        "t3 queued",
        "t4 queued"
      ])
    }).pipe(Effect.scoped)
  )

  it("is called as it was when it was delivered", () => {
    // As the client reads it out of the subject to which it is acknowledged.
    for (const [timestamp, nanos] of [
      ["2026-11-21T17:06:42.179898554Z", "1795280802179898554"],
      ["2026-11-21T17:06:42.18Z", "1795280802180000000"],
      ["2026-11-21T17:06:42Z", "1795280802000000000"]
    ] as const)
      assert.strictEqual(nanosOf(timestamp), Number.parseInt(nanos, 10))
  })
})
