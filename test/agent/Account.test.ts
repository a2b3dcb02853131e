/** What agents that share credentials share: on a test clock, with two nodes at one store. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Accounts, AFTER_RESET, FIRST_WAIT, LONGEST_UNKNOWN, MAX_WAIT, OWN } from "../../src/agent/Account.ts"
import { MAX_ACCOUNTS } from "../../src/agent/AccountLimits.ts"
import type { Published } from "../../src/event/Event.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { SharedState } from "../../src/state/SharedState.ts"
import { inMemory, StateStore } from "../../src/state/StateStore.ts"
import { StateUnusable } from "../../src/state/StateStoreError.ts"

type Store = StateStore["Service"]

const node = (name: string, { local = inMemory(), shared }: { local?: Store; shared?: Store } = {}) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(
      Accounts.layer(name).pipe(
        Layer.provide(Layer.succeed(StateStore, local)),
        Layer.provide(Layer.succeed(SharedState, shared)),
        Layer.provideMerge(Layer.fresh(EventBus.layer))
      )
    )
    const events: Array<Published> = []
    yield* Effect.forkScoped(
      Stream.runForEach(yield* Context.get(context, EventBus).subscribe, (event) =>
        Effect.sync(() => void events.push(event))
      )
    )
    return { accounts: Context.get(context, Accounts), events }
  })

const seconds = (millis: number) => millis / 1_000
const why = "You've hit your limit"

describe("an account", () => {
  it.effect("waits until a little after the time that the API has named, frees itself, and tells both", () =>
    Effect.gen(function* () {
      const { accounts, events } = yield* node("a")
      yield* TestClock.setTime(1_000_000)
      let reviews = 0
      yield* accounts.review(Effect.sync(() => void reviews++))
      yield* accounts.limited("team", { resetsAt: seconds(1_600_000), why })
      const until = 1_600_000 + AFTER_RESET
      assert.deepEqual(accounts.limitOf("team"), { account: "team", until, why, node: "a" })
      assert.isUndefined(accounts.limitOf(undefined))
      assert.isUndefined(accounts.limitOf("other"))
      yield* TestClock.setTime(until - 1)
      assert.isDefined(accounts.limitOf("team"))
      yield* TestClock.setTime(until)
      assert.isUndefined(accounts.limitOf("team"))
      assert.strictEqual(reviews, 2)
      assert.deepEqual(
        events.map(({ type }) => type),
        ["account.limited", "account.freed"]
      )
    })
  )

  it.effect("of agents that name none is that of the node, and is told to no other", () =>
    Effect.gen(function* () {
      const shared = inMemory()
      const a = yield* node("a", { shared })
      const b = yield* node("b", { shared })
      yield* a.accounts.limited(undefined, { resetsAt: 3_600, why })
      yield* TestClock.adjust("1 minute")
      assert.isDefined(a.accounts.limitOf(undefined))
      assert.isUndefined(b.accounts.limitOf(undefined))
      assert.deepEqual(yield* shared.list("accounts"), [])
    })
  )

  it.effect("waits longer and longer where the API does not say how long, until an attempt goes through", () =>
    Effect.gen(function* () {
      const { accounts } = yield* node("a")
      const waits: Array<number> = []
      const meet = Effect.gen(function* () {
        const now = yield* Effect.clockWith(({ currentTimeMillis }) => currentTimeMillis)
        yield* accounts.limited("team", { resetsAt: undefined, why })
        // Those who were in the middle of something are told of the same limit.
        yield* accounts.limited("team", { resetsAt: undefined, why })
        const wait = (accounts.limitOf("team")?.until ?? 0) - now
        waits.push(wait)
        yield* TestClock.adjust(wait)
        assert.isUndefined(accounts.limitOf("team"))
      })
      for (let n = 0; n < 12; n++) yield* meet
      assert.deepEqual(
        waits,
        waits.map((_, n) => Math.min(FIRST_WAIT * 2 ** n, LONGEST_UNKNOWN))
      )
      yield* accounts.passed("team")
      yield* meet
      assert.strictEqual(waits.at(-1), FIRST_WAIT)
    })
  )

  it.effect("is never latched off: no time that the API names is waited for longer than a day", () =>
    Effect.gen(function* () {
      const { accounts } = yield* node("a")
      for (const resetsAt of [Number.MAX_VALUE, 1e12, Number.POSITIVE_INFINITY, Number.NaN, -1, 0]) {
        yield* accounts.limited("team", { resetsAt, why })
        assert.isDefined(accounts.limitOf("team"), String(resetsAt))
        yield* TestClock.adjust(MAX_WAIT)
        assert.isUndefined(accounts.limitOf("team"), String(resetsAt))
      }
    })
  )

  it.effect("is not latched off by a clock that is set back", () =>
    Effect.gen(function* () {
      const { accounts } = yield* node("a")
      yield* TestClock.setTime(400 * MAX_WAIT)
      yield* accounts.limited("team", { resetsAt: seconds(400.5 * MAX_WAIT), why })
      yield* TestClock.setTime(MAX_WAIT)
      // A machine's timers go on when its clock is set; those of a test clock do not, so it is made to look.
      yield* accounts.limited("other", { resetsAt: seconds(MAX_WAIT) + 1, why })
      yield* TestClock.adjust("1 minute")
      assert.isAtMost(accounts.limitOf("team")?.until ?? 0, 2 * MAX_WAIT + 60_000)
      yield* TestClock.adjust(MAX_WAIT)
      assert.isUndefined(accounts.limitOf("team"))
    })
  )

  it.effect("takes the later of two limits", () =>
    Effect.gen(function* () {
      const { accounts } = yield* node("a")
      yield* accounts.limited("team", { resetsAt: 3_600, why: "weekly" })
      yield* accounts.limited("team", { resetsAt: 60, why: "five hours" })
      assert.deepInclude(accounts.limitOf("team"), { until: 3_600_000 + AFTER_RESET, why: "weekly" })
      yield* accounts.limited("team", { resetsAt: 7_200, why: "more" })
      assert.deepInclude(accounts.limitOf("team"), { until: 7_200_000 + AFTER_RESET })
    })
  )

  it.effect("is still limited in the next life, and free when that began too late", () =>
    Effect.gen(function* () {
      const local = inMemory()
      const first = yield* Scope.make()
      const before = yield* Scope.provide(node("a", { local }), first)
      yield* before.accounts.limited("team", { resetsAt: 3_600, why })
      yield* before.accounts.limited(undefined, { resetsAt: 60, why })
      yield* Scope.close(first, Exit.void)
      yield* TestClock.adjust("10 minutes")
      const { accounts } = yield* node("a", { local })
      assert.deepInclude(accounts.limitOf("team"), { until: 3_600_000 + AFTER_RESET, node: "a" })
      assert.isUndefined(accounts.limitOf(undefined))
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(accounts.limitOf("team"))
      assert.deepEqual(yield* local.list("accounts"), [])
    })
  )

  it.effect("that one node has met a limit of is limited on all, and on those that come later", () =>
    Effect.gen(function* () {
      const shared = inMemory()
      const lives = yield* Scope.make()
      const begun = (name: string) => Scope.provide(node(name, { shared }), lives)
      const a = yield* begun("a")
      const b = yield* begun("b")
      const told = yield* Deferred.make<void>()
      // Nobody looks for an account that nobody uses.
      assert.isUndefined(b.accounts.limitOf("team"))
      yield* b.accounts.review(Effect.asVoid(Deferred.succeed(told, undefined)))
      yield* a.accounts.limited("team", { resetsAt: 3_600, why })
      yield* TestClock.adjust("5 seconds")
      yield* Deferred.await(told)
      assert.deepEqual(b.accounts.limitOf("team"), { account: "team", until: 3_600_000 + AFTER_RESET, why, node: "a" })
      const c = yield* begun("c")
      assert.isUndefined(c.accounts.limitOf("team"))
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(c.accounts.limitOf("team"))
      yield* TestClock.adjust("2 hours")
      for (const { accounts, events } of [a, b, c]) {
        assert.isUndefined(accounts.limitOf("team"))
        assert.deepEqual(
          events.map(({ type }) => type),
          ["account.limited", "account.freed"]
        )
      }
      // What is over does not stay for ever.
      yield* Scope.close(lives, Exit.void)
      yield* TestClock.adjust("2 days")
      const { accounts } = yield* node("d", { shared })
      assert.isUndefined(accounts.limitOf("team"))
      yield* TestClock.adjust("5 seconds")
      assert.deepEqual(yield* shared.list("accounts"), [])
    })
  )

  it.effect("is told to the others when the servers are back", () =>
    Effect.gen(function* () {
      const store = inMemory()
      let down = true
      const fail = Effect.fail(new StateUnusable({ where: "the bucket", problem: "unreachable", detail: "" }))
      const orDown = <A, E>(work: Effect.Effect<A, E>) =>
        Effect.suspend((): Effect.Effect<A, E | StateUnusable> => (down ? fail : work))
      const shared: Store = {
        get: (...of) => orDown(store.get(...of)),
        put: (...of) => orDown(store.put(...of)),
        swap: (...of) => orDown(store.swap(...of)),
        remove: (...of) => orDown(store.remove(...of)),
        list: (...of) => orDown(store.list(...of))
      }
      const a = yield* node("a", { shared })
      const b = yield* node("b", { shared })
      yield* a.accounts.limited("team", { resetsAt: 3_600, why })
      yield* TestClock.adjust("1 minute")
      assert.isDefined(a.accounts.limitOf("team"))
      assert.isUndefined(b.accounts.limitOf("team"))
      down = false
      yield* TestClock.adjust("10 seconds")
      assert.isDefined(b.accounts.limitOf("team"))
    })
  )

  it.effect("frees itself also where another node's clock is years ahead", () =>
    Effect.gen(function* () {
      const shared = inMemory()
      const { accounts } = yield* node("a", { shared })
      yield* shared.put("accounts", "team", JSON.stringify({ until: 9e14, why, node: "mad" }))
      yield* shared.put("accounts", "broken", "nonsense")
      assert.isUndefined(accounts.limitOf("team"))
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(accounts.limitOf("team"))
      yield* TestClock.adjust(MAX_WAIT)
      assert.isUndefined(accounts.limitOf("team"))
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(accounts.limitOf("team"))
      assert.isUndefined(yield* shared.get("accounts", "broken"))
      // Those that come after it are shared as ever.
      const b = yield* node("b", { shared })
      assert.isUndefined(b.accounts.limitOf("team"))
      yield* accounts.limited("team", { resetsAt: seconds(MAX_WAIT) + 3_600, why })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(b.accounts.limitOf("team")?.until, MAX_WAIT + 3_600_000 + AFTER_RESET)
    })
  )

  it.effect("of others is one of a thousand at most that a node knows, and its own always have room", () =>
    Effect.gen(function* () {
      const shared = inMemory()
      const { accounts } = yield* node("a", { shared })
      const limit = (until: number) => JSON.stringify({ until, why, node: "x" })
      const name = (nth: number) => `other-${String(nth).padStart(4, "0")}`
      // The later it is in the list, the earlier it ends.
      for (let nth = 0; nth < MAX_ACCOUNTS + 10; nth++)
        yield* shared.put("accounts", name(nth), limit(7_200_000 - nth * 1_000))
      assert.isUndefined(accounts.limitOf("mine"))
      const until = (holds: () => boolean) => Effect.repeat(Effect.yieldNow, { until: holds })
      yield* TestClock.adjust("5 seconds")
      yield* until(() => accounts.limits().length >= MAX_ACCOUNTS)
      const last = name(MAX_ACCOUNTS + 9)
      // From now on it is asked for here.
      assert.isUndefined(accounts.limitOf(last))
      yield* accounts.limited("mine", { resetsAt: 60, why })
      assert.isDefined(accounts.limitOf("mine"))
      yield* TestClock.adjust("5 seconds")
      yield* until(() => accounts.limitOf(last) !== undefined)
      const known = accounts.limits().map(({ account }) => account)
      assert.lengthOf(known, MAX_ACCOUNTS)
      // What ends first gave way, and stays away.
      assert.notInclude(known, name(MAX_ACCOUNTS - 1))
      assert.notInclude(known, name(MAX_ACCOUNTS - 2))
      assert.include(known, name(0))
    })
  )

  it.effect("that no name stands for is not limited by what others write", () =>
    Effect.gen(function* () {
      const shared = inMemory()
      const { accounts } = yield* node("a", { shared })
      yield* shared.put("accounts", OWN, JSON.stringify({ until: 3_600_000, why, node: "x" }))
      yield* shared.put("accounts", "team", JSON.stringify({ until: 3_600_000, why, node: "x" }))
      assert.isUndefined(accounts.limitOf("team"))
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(accounts.limitOf("team"))
      assert.isUndefined(accounts.limitOf(undefined))
    })
  )
})
