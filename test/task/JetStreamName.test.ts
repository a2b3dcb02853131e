/** Of those who call themselves the same one has the name; on a real server. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Schedule, Scope } from "effect"
import { type NatsServer, natsServer, noNats } from "../utils/Nats.ts"
import { task } from "../utils/Specs.ts"
import { mortal, newBucket } from "./JetStreamHomes.ts"

/** Short, so that one that is dead is soon known to be. */
const SHORT = 300
/** A node with this says so rarely that it lives that others take it for dead. */
const LONG = 600_000

describe.skipIf(noNats !== undefined)("the name of a node", () => {
  const scope = Scope.makeUnsafe()
  let server: NatsServer
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.provide(natsServer({ jetstream: true }), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  const open = (bucket: string, home: string, lease: number, waits?: (who: string) => void) =>
    mortal(server.url, { node: "edge", bucket, home, lease, ...(waits === undefined ? {} : { waits }) })

  /** It dies of what the Layer fails with. */
  const refusal = (bucket: string, home: string) =>
    Effect.map(Effect.sandbox(Effect.flip(Effect.sandbox(open(bucket, home, SHORT)))), (cause) => String(cause))

  it.live("is refused to the second while the first lives, who is named", () =>
    Effect.gen(function* () {
      const bucket = newBucket()
      const first = yield* open(bucket, "north:/a#1", SHORT)
      const asked: Array<string> = []
      const exit = yield* Effect.exit(open(bucket, "south:/b#2", SHORT, (who) => asked.push(who)))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(String(exit), "knows another node by this name")
      assert.include(String(exit), 'the node "edge" is north:/a')
      assert.notInclude(String(exit), "#1")
      assert.deepStrictEqual(asked, ["north:/a"])
      // Nothing has befallen the first.
      yield* first.ledger.submit(task({ id: "t" }))
      yield* first.ledger.claim("t", "worker")
      assert.strictEqual((yield* first.ledger.get("t")).node, "edge")
      // A path of the same name on a machine of the same name is another home.
      assert.include(yield* refusal(bucket, "north:/a#3"), "north:/a")
    }).pipe(Effect.scoped)
  )

  it.live("is had by one of two that come at the same moment", () =>
    Effect.gen(function* () {
      const bucket = newBucket()
      const homes = ["north:/a#1", "south:/b#2"]
      const exits = yield* Effect.forEach(homes, (home) => Effect.exit(open(bucket, home, SHORT)), {
        concurrency: "unbounded"
      })
      const lost = exits.findIndex(Exit.isFailure)
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
      assert.include(String(exits[lost]), `the node "edge" is ${lost === 0 ? "south:/b" : "north:/a"}`)
    }).pipe(Effect.scoped)
  )

  it.live("is taken at once by the next life at the same home, and after its silence by any other", () =>
    Effect.gen(function* () {
      const bucket = newBucket()
      const asked: Array<string> = []
      const first = yield* open(bucket, "north:/a#1", LONG)
      yield* first.die
      const next = yield* open(bucket, "north:/a#1", LONG, (who) => asked.push(who))
      assert.deepStrictEqual(asked, [])
      yield* next.die
      const other = yield* open(bucket, "south:/b#2", SHORT, (who) => asked.push(who))
      assert.deepStrictEqual(asked, ["north:/a"])
      yield* other.ledger.submit(task({ id: "t" }))
    }).pipe(Effect.scoped)
  )

  it.live("is lost by who hung for too long: it writes nothing any more, and what it held is not its own", () =>
    Effect.gen(function* () {
      const bucket = newBucket()
      const hung = yield* open(bucket, "north:/a#1", LONG)
      yield* hung.ledger.submit(task({ id: "t" }))
      yield* hung.ledger.claim("t", "worker")
      const next = yield* open(bucket, "south:/b#2", SHORT)
      yield* next.ledger.recover
      assert.strictEqual((yield* next.ledger.get("t")).state, "queued")
      let nth = 0
      const late = Effect.suspend(() => Effect.result(hung.ledger.submit(task({ id: `late-${++nth}` }))))
      const refused = yield* Effect.repeat(late, {
        until: ({ _tag }) => _tag === "Failure",
        schedule: Schedule.spaced("20 millis")
      })
      assert.deepInclude(refused._tag === "Failure" ? refused.failure : {}, { problem: "nameTaken" })
      const claimed = yield* next.ledger.claim("t", "worker")
      assert.strictEqual(claimed.attempt, 2)
    }).pipe(Effect.scoped)
  )

  it.live("is free at once when its node has stopped", () =>
    Effect.gen(function* () {
      const bucket = newBucket()
      yield* Effect.scoped(open(bucket, "north:/a#1", LONG))
      const asked: Array<string> = []
      yield* open(bucket, "south:/b#2", LONG, (who) => asked.push(who))
      assert.deepStrictEqual(asked, [])
    }).pipe(Effect.scoped)
  )
})
