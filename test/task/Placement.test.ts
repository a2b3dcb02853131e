/** Nodes that bid for one task, over a wire that may lose what it is given, on a clock that the test owns. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Layer, PubSub, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import type { AgentSnapshot } from "../../src/agent/AgentPool.ts"
import { TaskId } from "../../src/domain/Ids.ts"
import type { Published } from "../../src/event/Event.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import type { TaskBid } from "../../src/message/Bid.ts"
import type { PeerState } from "../../src/supervision/Peers.ts"
import * as Placement from "../../src/task/Placement.ts"
import type { TaskRecord } from "../../src/task/TaskRecord.ts"
import { agent, record } from "../utils/Snapshots.ts"

const WINDOW = 150
const GRACE = 2_000
const STICKY = 60_000

interface Bidder {
  readonly name: string
  readonly agents?: ReadonlyArray<AgentSnapshot>
  readonly price?: number
  readonly quotaUsd?: number
}

/** Decides for each bid and hearer whether it arrives. */
type Wire = (from: string, to: string) => boolean

/** Nodes that go for a task, each whenever its placement says that something has changed, until one has it. */
const nodes = Effect.fnUntraced(function* (
  bidders: ReadonlyArray<Bidder>,
  {
    auction = true,
    standing = () => "alive",
    wire = () => true
  }: {
    readonly auction?: boolean
    readonly standing?: (node: string) => PeerState
    readonly wire?: Wire
  } = {}
) {
  const said = yield* PubSub.unbounded<TaskBid>()
  const claims: Array<{ readonly node: string; readonly task: string; readonly at: number }> = []
  const events: Array<Published> = []
  const make = Effect.fnUntraced(function* ({ agents = [agent("a")], name, price, quotaUsd }: Bidder) {
    const own = yield* Scope.make()
    const bus = Context.get(yield* Layer.build(Layer.fresh(EventBus.layer)), EventBus)
    const stream = yield* bus.subscribe
    yield* Effect.forkScoped(Stream.runForEach(stream, (event) => Effect.sync(() => events.push(event))))
    const heard = yield* PubSub.subscribe(said)
    const others = {
      standing,
      lives: (node: string) => standing(node) !== "dead",
      all: () =>
        bidders
          .filter((other) => other.name !== name)
          .map((other) => ({ peer: other.name, state: standing(other.name), phi: 0, silenceMillis: 0 })),
      changes: Effect.succeed(Stream.never)
    }
    const placement = yield* Placement.make({
      here: { node: name, shared: true, lastNode: () => undefined, others },
      settings: {
        sticky: Duration.millis(STICKY),
        window: Duration.millis(WINDOW),
        grace: Duration.millis(GRACE),
        ...(price === undefined ? {} : { price }),
        ...(quotaUsd === undefined ? {} : { quotaUsd })
      },
      bids: auction
        ? {
            say: (bid) => Effect.as(PubSub.publish(said, bid), true),
            heard: Stream.filter(Stream.fromSubscription(heard), (bid) => wire(bid.node, name))
          }
        : undefined
    }).pipe(Effect.provideService(EventBus, bus), Scope.provide(own))
    const changes = yield* placement.changes
    const offer = { agent: agents[0]?.id ?? "", agents, only: false }
    /** Goes for it until somebody has it. */
    const want = (task: TaskRecord, offered: Partial<Placement.Offer> = {}) => {
      const look = Effect.gen(function* () {
        if (claims.some((claim) => claim.task === task.id)) return
        if ((yield* placement.mayTake(task, { ...offer, ...offered })) !== "take") return
        const at = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        if (claims.some((claim) => claim.task === task.id)) return
        claims.push({ node: name, task: task.id, at })
        yield* placement.taken({ ...task, attempt: task.attempt + 1, node: name }, { ...offer, ...offered })
      })
      return Effect.andThen(
        look,
        Stream.runForEach(changes, () => look)
      ).pipe(Effect.forkIn(own))
    }
    return { name, placement, want, die: Scope.close(own, Exit.void), offer }
  })
  const all = yield* Effect.forEach(bidders, make)
  return {
    all,
    claims,
    events,
    said,
    by: (name: string) => all.find((node) => node.name === name) as (typeof all)[number]
  }
})

const placed = (events: ReadonlyArray<Published>) =>
  events.flatMap((event) =>
    event.type === "task.placed" ? [`${event.node} ${event.by}: ${event.bids.map(({ node }) => node).join(" ")}`] : []
  )

const three = [
  { name: "a", price: 5 },
  { name: "b", price: 3 },
  { name: "c", price: 9 }
]

describe("an auction", () => {
  it.effect("is won by the best bid when the time for bids is over, and the others keep away", () =>
    Effect.gen(function* () {
      const { all, claims, events } = yield* nodes(three)
      for (const { want } of all) yield* want(record())
      yield* TestClock.adjust(WINDOW - 1)
      assert.deepStrictEqual(claims, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(claims, [{ node: "b", task: "t", at: WINDOW }])
      yield* TestClock.adjust(GRACE - 1)
      for (const { name, offer, placement } of all)
        if (name !== "b") assert.strictEqual(yield* placement.mayTake(record(), offer), "wait")
      assert.deepStrictEqual(placed(events), ["b best_bid: b a c"])
      assert.deepInclude(events[0], { task: "t", attempt: 1 })
    })
  )

  it.effect("begins again for each attempt", () =>
    Effect.gen(function* () {
      const { all, claims } = yield* nodes(three)
      for (const { want } of all) yield* want(record())
      yield* TestClock.adjust(WINDOW)
      claims.length = 0
      // It has failed on b, which is left alone with it no longer.
      for (const { want } of all) yield* want(record({ attempt: 1, node: "b" }))
      yield* TestClock.adjust(WINDOW)
      assert.deepStrictEqual(
        claims.map(({ node }) => node),
        ["b"]
      )
    })
  )

  it.effect("whose winner dies is over after the grace: then it is anybody's", () =>
    Effect.gen(function* () {
      const { all, by, claims, events } = yield* nodes(three)
      for (const { want } of all) yield* want(record())
      yield* TestClock.adjust(WINDOW - 1)
      yield* by("b").die
      yield* TestClock.adjust(GRACE)
      assert.deepStrictEqual(claims, [])
      yield* TestClock.adjust(1)
      assert.lengthOf(claims, 1)
      assert.match(placed(events)[0] ?? "", /^[ac] grace: b a c$/)
    })
  )

  it.effect("goes to the next as soon as the winner takes its bid back, because it has nobody free any more", () =>
    Effect.gen(function* () {
      const { all, claims } = yield* nodes(three)
      for (const { want } of all) {
        yield* want(record())
        yield* want(record({ id: "u" }))
      }
      yield* TestClock.adjust(WINDOW)
      yield* TestClock.adjust(1)
      // Each has one agent.
      assert.deepStrictEqual(
        claims.map(({ at, node, task }) => `${node} ${task} ${at <= WINDOW + 1}`).sort(),
        claims[0]?.task === "t" ? ["a u true", "b t true"] : ["a t true", "b u true"]
      )
    })
  )

  it.effect("passes over whoever is suspected, and is not held where nobody else is there", () =>
    Effect.gen(function* () {
      const suspected = yield* nodes(three, { standing: (node) => (node === "b" ? "suspected" : "alive") })
      for (const { want } of suspected.all) if (want !== suspected.by("b").want) yield* want(record())
      yield* TestClock.adjust(WINDOW)
      assert.deepStrictEqual(
        suspected.claims.map(({ node }) => node),
        ["a"]
      )
      const alone = yield* nodes(three, { standing: () => "dead" })
      yield* alone.by("c").want(record({ id: "u" }))
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(
        alone.claims.map(({ node }) => node),
        ["c"]
      )
    })
  )

  it.effect("prefers who has quota left, and an agent that can do just what is required", () =>
    Effect.gen(function* () {
      const { all, claims } = yield* nodes([
        { name: "spent", agents: [agent("x", { costUsd: 6 })], quotaUsd: 5, price: 0 },
        { name: "rare", agents: [agent("x", { capabilities: ["gpu"], costUsd: 1 })], price: 0 },
        { name: "plain", agents: [agent("x"), agent("y", { state: "busy" })], price: 1 }
      ])
      for (const { want } of all) yield* want(record())
      yield* TestClock.adjust(WINDOW)
      assert.deepStrictEqual(
        claims.map(({ node }) => node),
        ["plain"]
      )
    })
  )

  it.effect(
    "keeps no task waiting for ever for those who bid without end, for times that never were and for tasks that are none",
    () =>
      Effect.gen(function* () {
        const { by, claims, said } = yield* nodes(three)
        const bid = { node: "nobody", free: 1, slots: 1, warm: true, spare: 0 }
        const babble = (n: number) =>
          Effect.gen(function* () {
            yield* PubSub.publish(said, { ...bid, task: TaskId.make("t"), attempt: n })
            for (let other = 0; other < 1_001; other++)
              yield* PubSub.publish(said, { ...bid, task: TaskId.make(`none-${n}-${other}`), attempt: 0 })
          })
        yield* by("a").want(record())
        for (let at = 0, n = 1; at < WINDOW + GRACE; at += 50, n++) {
          yield* babble(n)
          yield* TestClock.adjust(50)
        }
        assert.deepStrictEqual(
          claims.map(({ node, task }) => `${node} ${task}`),
          ["a t"]
        )
      })
  )

  it.effect("hears of bids for a task that it has not met yet", () =>
    Effect.gen(function* () {
      const { by, claims } = yield* nodes(three)
      yield* by("b").want(record({ attempt: 1, before: 1 }))
      yield* TestClock.adjust(10)
      yield* by("a").want(record({ attempt: 1, before: 1 }))
      yield* TestClock.adjust(WINDOW)
      assert.deepStrictEqual(
        claims.map(({ node }) => node),
        ["b"]
      )
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(yield* by("a").placement.mayTake(record({ attempt: 1, before: 1 }), by("a").offer), "wait")
    })
  )

  it.effect("keeps no task waiting for ever, whatever bids are lost and whoever dies when", () => {
    const fault = fc.record({
      /** For each of the nine ways between nodes. */
      lost: fc.array(fc.boolean(), { minLength: 9, maxLength: 9 }),
      deaths: fc.array(fc.record({ node: fc.nat(2), at: fc.nat(WINDOW + GRACE) }), { maxLength: 2 }),
      late: fc.array(fc.nat(WINDOW * 3), { minLength: 3, maxLength: 3 })
    })
    const once = ({ deaths, late, lost }: typeof fault extends fc.Arbitrary<infer A> ? A : never) =>
      Effect.gen(function* () {
        const names = ["a", "b", "c"]
        const { all, claims } = yield* nodes(three, {
          wire: (from, to) => lost[names.indexOf(from) * 3 + names.indexOf(to)] === false
        })
        const dead = new Set<number>()
        for (let at = 0; at <= WINDOW * 4 + GRACE; at += 10) {
          for (const [index, each] of all.entries()) {
            if (!dead.has(index) && late[index] !== undefined && Math.ceil(late[index] / 10) * 10 === at)
              yield* each.want(record())
            if (deaths.some(({ at: when, node }) => node === index && Math.ceil(when / 10) * 10 === at)) {
              dead.add(index)
              yield* each.die
            }
          }
          yield* TestClock.adjust(10)
        }
        assert.lengthOf(claims, 1)
      }).pipe(Effect.scoped, Effect.provide(TestClock.layer()))
    return Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(fault, (fault) => Effect.runPromise(once(fault))),
        { numRuns: 60 }
      )
    )
  })
})

describe("a task that was begun on another node", () => {
  const begun = record({ attempt: 1, before: 0, node: "b" })

  for (const auction of [false, true])
    it.effect(`is left to that one for a while, by ${auction ? "auction" : "first come"}, and holds up nobody`, () =>
      Effect.gen(function* () {
        const { by, claims } = yield* nodes(three, { auction })
        const { offer, placement, want } = by("a")
        assert.strictEqual(yield* placement.mayTake(begun, offer), "pass")
        assert.deepStrictEqual(yield* placement.passed, ["t"])
        yield* want(begun)
        yield* TestClock.adjust(STICKY - 1)
        assert.deepStrictEqual(claims, [])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* placement.passed, [])
        yield* TestClock.adjust(WINDOW)
        assert.deepStrictEqual(
          claims.map(({ node }) => node),
          ["a"]
        )
        assert.strictEqual(yield* by("b").placement.mayTake({ ...begun, attempt: 5 }, offer), "take")
      })
    )

  it.effect("is anybody's at once when that one is dead, or when it has begun a new life", () =>
    Effect.gen(function* () {
      let state: PeerState = "alive"
      const { by } = yield* nodes(three, { auction: false, standing: (node) => (node === "b" ? state : "alive") })
      const { offer, placement } = by("a")
      assert.strictEqual(yield* placement.mayTake(begun, offer), "pass")
      state = "dead"
      assert.deepStrictEqual(yield* placement.passed, [])
      assert.strictEqual(yield* placement.mayTake(begun, offer), "take")
      assert.strictEqual(yield* placement.mayTake({ ...begun, node: "c", before: 1 }, offer), "take")
      assert.strictEqual(yield* placement.mayTake({ ...begun, node: "c" }, offer), "pass")
      // Where it alone can go on with it, nobody else is asked.
      assert.strictEqual(yield* placement.mayTake({ ...begun, node: "c" }, { ...offer, only: true }), "take")
    })
  )
})
