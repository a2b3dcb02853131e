/** What is made of each kind of error, of real servers where they can be made to say it, and what is tried again because of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect, ErrorCode, type NatsConnection, NatsError } from "nats"
import { BucketUnusable } from "../../src/state/BucketError.ts"
import { JetStreamBucket } from "../../src/state/JetStreamBucket.ts"
import { explain, mayPass, unconnected } from "../../src/state/JetStreamMeaning.ts"
import { natsServer, noNats } from "../utils/Nats.ts"

const problemOf = (error: unknown) => explain("in a bucket", error).problem

/** As the client builds it from an answer of JetStream. */
const answered = (err_code: number, code: number, description: string): NatsError => {
  const error = new NatsError(description, ErrorCode.ApiError)
  error.api_error = { err_code, code, description }
  return error
}

const thrown = (ask: () => Promise<unknown>): Effect.Effect<unknown> =>
  Effect.promise(() =>
    ask().then(
      () => assert.fail("it was answered"),
      (error: unknown) => error
    )
  )

describe("what an error means", () => {
  it("takes for unreachable what is said of connections, of time and of leaders, and tries that again", () => {
    const passing = [
      NatsError.errorForCode(ErrorCode.ConnectionClosed),
      NatsError.errorForCode(ErrorCode.Disconnect),
      NatsError.errorForCode(ErrorCode.Timeout),
      NatsError.errorForCode(ErrorCode.NoResponders),
      new NatsError("request timeout", ErrorCode.JetStream408RequestTimeout),
      answered(10008, 503, "JetStream system temporarily unavailable"),
      answered(10009, 500, "JetStream cluster can not handle request"),
      answered(10005, 400, "no suitable peers for placement"),
      Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }),
      unconnected("in a bucket", new Error("the transport is closed"))
    ]
    for (const error of passing) {
      assert.strictEqual(problemOf(error), "unreachable", String(error))
      assert.isTrue(mayPass(explain("in a bucket", error)))
    }
  })

  it("takes what nobody has foreseen for a mistake, with its name and its place, and does not try it again", () => {
    for (const error of [
      new TypeError("x is not a function"),
      new RangeError("too deep"),
      new Error("so be it"),
      "?"
    ]) {
      const meant = explain("in a bucket", error)
      assert.strictEqual(meant.problem, "defect", String(error))
      assert.strictEqual(meant.recovery, "escalate")
      assert.isFalse(mayPass(meant))
    }
    assert.match(
      explain("in a bucket", new TypeError("x is not a function")).detail,
      /^TypeError: x is not a function, at /
    )
    assert.strictEqual(problemOf(new NatsError("no such option", ErrorCode.InvalidOption)), "defect")
  })

  it("takes what a server refuses for refused, in its own words", () => {
    const meant = explain("in a bucket", answered(10052, 400, "stream configuration is not valid"))
    assert.strictEqual(meant.problem, "refused")
    assert.match(meant.message, /stream configuration is not valid/)
    assert.isFalse(mayPass(meant))
  })

  it("tells the others apart as before", () => {
    assert.strictEqual(problemOf(answered(10047, 500, "insufficient storage")), "noRoom")
    assert.strictEqual(problemOf(answered(10054, 400, "message size exceeds maximum")), "tooLarge")
    assert.strictEqual(problemOf(NatsError.errorForCode(ErrorCode.MaxPayloadExceeded)), "tooLarge")
    assert.strictEqual(problemOf(NatsError.errorForCode(ErrorCode.PermissionsViolation)), "denied")
    assert.strictEqual(problemOf(new SyntaxError("no JSON")), "damaged")
    const own = new BucketUnusable({ where: "in a bucket", problem: "contended", detail: "5 tries" })
    assert.strictEqual(explain("elsewhere", own), own)
  })

  it.live(
    "fails at once with a mistake of its own, and does not try it until its patience is over (a fake connection)",
    () =>
      Effect.gen(function* () {
        let tries = 0
        const control = {
          isClosed: () => false,
          jetstreamManager: () => Promise.resolve({ streams: { info: () => Promise.resolve(there) } }),
          jetstream: () => {
            tries++
            throw new TypeError("undefined is not an object")
          }
        } as unknown as NatsConnection
        const there = { created: new Date(0).toISOString(), config: { num_replicas: 1, max_bytes: -1 }, state: {} }
        // Of a patience without end only who does not try it again comes back.
        const options = { control, bulk: control, name: "t", patience: Number.POSITIVE_INFINITY }
        const bucket = yield* Effect.promise(() => JetStreamBucket.find(options))
        const error = yield* thrown(() => bucket.put("key", new Uint8Array(1), 0, () => false))
        assert.strictEqual(problemOf(error), "defect")
        assert.strictEqual(tries, 1)
        assert.isTrue(bucket.reachable())
      })
  )

  it.live.skipIf(noNats !== undefined)("says what real servers answer", () =>
    Effect.gen(function* () {
      const connected = (url: string) =>
        Effect.acquireRelease(
          Effect.promise(() => connect({ servers: url })),
          (connection) => Effect.promise(() => connection.close())
        )
      const manager = (connection: NatsConnection) =>
        Effect.promise(() => connection.jetstreamManager({ checkAPI: false, timeout: 2_000 }))
      const bare = yield* connected((yield* natsServer()).url)
      const { streams: nowhere } = yield* manager(bare)
      assert.strictEqual(problemOf(yield* thrown(() => nowhere.info("KV_none"))), "unreachable")
      const connection = yield* connected((yield* natsServer({ jetstream: true })).url)
      const { streams } = yield* manager(connection)
      assert.strictEqual(problemOf(yield* thrown(() => streams.info("KV_none"))), "missing")
      const three = yield* thrown(() => streams.add({ name: "three", subjects: ["three"], num_replicas: 3 }))
      assert.strictEqual(problemOf(three), "unreachable")
      yield* Effect.promise(() => streams.add({ name: "one", subjects: ["a"] }))
      const overlap = yield* thrown(() => streams.add({ name: "two", subjects: ["a"] }))
      assert.strictEqual(problemOf(overlap), "refused")
      yield* Effect.promise(() => connection.close())
      assert.strictEqual(problemOf(yield* thrown(() => streams.info("one"))), "unreachable")
    }).pipe(Effect.scoped)
  )
})
