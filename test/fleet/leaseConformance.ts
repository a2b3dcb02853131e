/** What every home of the lease must do for a node that is alone in it. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, type Layer, Stream } from "effect"
import { Lease, type LeaseShape, MAX_VALUE } from "../../src/fleet/Lease.ts"

/** `home` is that of the node "n". */
export const conformance = <E>(name: string, home: () => Layer.Layer<Lease, E>) => {
  const test = <E2>(what: string, body: (lease: LeaseShape) => Effect.Effect<unknown, E2>) =>
    it.live(what, () => Effect.provide(Effect.flatMap(Lease, body), home()))

  describe(`the lease, ${name}`, () => {
    test("is held by who is alone, with an epoch from 1 on", (lease) =>
      Effect.gen(function* () {
        const epoch = yield* Deferred.make<number>()
        yield* Effect.forkChild(lease.whileLeader((term) => Deferred.succeed(epoch, term.epoch)))
        assert.isAtLeast(yield* Deferred.await(epoch), 1)
        const held = yield* Stream.runHead(Stream.filter(lease.changes, ({ mine }) => mine))
        assert.deepInclude(held, { _tag: "Some" })
        assert.deepEqual(yield* lease.held, { leader: "n", epoch: yield* Deferred.await(epoch), mine: true })
      }))

    test("keeps what the leader writes, with the epoch; what is not there is not there", (lease) =>
      Effect.gen(function* () {
        const wrote = yield* Deferred.make<number>()
        yield* Effect.forkChild(
          lease.whileLeader((term) =>
            Effect.gen(function* () {
              yield* term.put("k", "one")
              yield* term.put("k.>*ü", "Grüße, 世界, 🙂, 'quotes\", \r\n")
              yield* term.put("k", "two")
              yield* Deferred.succeed(wrote, term.epoch)
            }).pipe(Effect.onError((cause) => Deferred.failCause(wrote, cause as never)))
          )
        )
        const epoch = yield* Deferred.await(wrote)
        assert.deepEqual(yield* lease.get("k"), { value: "two", epoch })
        assert.deepEqual(yield* lease.get("k.>*ü"), { value: "Grüße, 世界, 🙂, 'quotes\", \r\n", epoch })
        assert.isUndefined(yield* lease.get("other"))
      }))

    test("takes a value of the greatest length, and no longer one; the term goes on", (lease) =>
      Effect.gen(function* () {
        const value = "x".repeat(MAX_VALUE)
        const refused = yield* Deferred.make<string>()
        yield* Effect.forkChild(
          lease.whileLeader((term) =>
            Effect.gen(function* () {
              yield* term.put("k", value)
              const fault = yield* Effect.flip(term.put("k", `${value}x`))
              yield* term.put("l", "after")
              yield* Deferred.succeed(refused, fault._tag)
            }).pipe(Effect.onError((cause) => Deferred.failCause(refused, cause as never)))
          )
        )
        assert.strictEqual(yield* Deferred.await(refused), "LeaseFull")
        assert.strictEqual((yield* lease.get("k"))?.value, value)
        assert.strictEqual((yield* lease.get("l"))?.value, "after")
      }))

    test("ends with the work that fails, and with its failure", (lease) =>
      Effect.gen(function* () {
        const work = yield* Effect.forkChild(lease.whileLeader(() => Effect.fail("no")))
        assert.deepEqual(yield* Fiber.await(work), Exit.fail("no"))
      }))
  })
}
