/** What every home of the StateStore must do, word for word the same. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { ABSENT, MAX_VALUE, StateStore } from "../../src/state/StateStore.ts"

export const conformance = <E>(name: string, home: Layer.Layer<StateStore, E>) => {
  const test = <E2>(what: string, body: (store: StateStore["Service"]) => Effect.Effect<unknown, E2>) =>
    it.effect(what, () => Effect.provide(Effect.flatMap(StateStore, body), home))

  describe(`the state store, ${name}`, () => {
    test("answers with what was put last, under its bucket and key only", (store) =>
      Effect.gen(function* () {
        assert.isUndefined(yield* store.get("b", "k"))
        yield* store.put("b", "k", "one")
        const revision = yield* store.put("b", "k", "Grüße, 世界, 🙂, 'quotes\", \r\n")
        assert.deepEqual(yield* store.get("b", "k"), { key: "k", value: "Grüße, 世界, 🙂, 'quotes\", \r\n", revision })
        assert.isUndefined(yield* store.get("c", "k"))
        assert.isUndefined(yield* store.get("b", "l"))
      }))

    test("gives every write a greater revision, after a removal too", (store) =>
      Effect.gen(function* () {
        const first = yield* store.put("b", "k", "one")
        const second = yield* store.put("c", "k", "one")
        yield* store.remove("b", "k")
        const third = yield* store.put("b", "k", "one")
        assert.isAbove(first, ABSENT)
        assert.isAbove(second, first)
        assert.isAbove(third, second)
      }))

    test("lets one of two that have seen the same swap it, and tells the other what is there", (store) =>
      Effect.gen(function* () {
        const made = yield* store.swap("b", "k", "mine", ABSENT)
        const late = yield* Effect.flip(store.swap("b", "k", "yours", ABSENT))
        assert.deepInclude(late, { _tag: "StateConflict", seen: ABSENT, current: made })
        const next = yield* store.swap("b", "k", "mine still", made)
        assert.strictEqual((yield* Effect.flip(store.swap("b", "k", "yours", made)))._tag, "StateConflict")
        assert.deepEqual(yield* store.get("b", "k"), { key: "k", value: "mine still", revision: next })
      }))

    test("refuses a swap of what was removed and made again meanwhile", (store) =>
      Effect.gen(function* () {
        const seen = yield* store.put("b", "k", "one")
        yield* store.remove("b", "k")
        yield* store.put("b", "k", "one")
        assert.strictEqual((yield* Effect.flip(store.swap("b", "k", "two", seen)))._tag, "StateConflict")
      }))

    test("removes what is unchanged, refuses what is not, and does not mind what is not there", (store) =>
      Effect.gen(function* () {
        const seen = yield* store.put("b", "k", "one")
        const now = yield* store.put("b", "k", "two")
        assert.strictEqual((yield* Effect.flip(store.remove("b", "k", seen)))._tag, "StateConflict")
        yield* store.remove("b", "k", now)
        assert.isUndefined(yield* store.get("b", "k"))
        yield* store.remove("b", "k")
      }))

    test("lists a bucket by key, and no other", (store) =>
      Effect.gen(function* () {
        for (const key of ["z", "a", "m"]) yield* store.put("b", key, key)
        yield* store.put("other", "x", "x")
        yield* store.remove("b", "m")
        assert.deepEqual(
          (yield* store.list("b")).map(({ key }) => key),
          ["a", "z"]
        )
        assert.deepEqual(yield* store.list("nothing"), [])
      }))

    test("takes a value of the greatest length, and no longer one; what was there stays", (store) =>
      Effect.gen(function* () {
        const value = "x".repeat(MAX_VALUE)
        yield* store.put("b", "k", value)
        assert.strictEqual((yield* Effect.flip(store.put("b", "k", `${value}x`)))._tag, "StateFull")
        assert.strictEqual((yield* store.get("b", "k"))?.value, value)
      }))
  })
}
