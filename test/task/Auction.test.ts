import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { TaskId } from "../../src/domain/Ids.ts"
import type { TaskBid } from "../../src/message/Bid.ts"
import { order } from "../../src/task/Auction.ts"

const bid = (node: string, change: Partial<TaskBid> = {}): TaskBid => ({
  task: TaskId.make("t"),
  attempt: 0,
  node,
  free: 1,
  slots: 2,
  warm: false,
  spare: 0,
  ...change
})

const names = (bids: ReadonlyArray<TaskBid>) => order(bids).map(({ node }) => node)

/** Few values, so that ties are frequent. */
const anyBid: fc.Arbitrary<TaskBid> = fc
  .record({
    node: fc.constantFrom("a", "b", "c", "d", "e"),
    free: fc.nat(2),
    slots: fc.nat(3),
    warm: fc.boolean(),
    spare: fc.nat(2),
    quotaUsd: fc.option(fc.constantFrom(-1, 0, 5), { nil: undefined }),
    price: fc.option(fc.constantFrom(0, 3), { nil: undefined })
  })
  .map(({ price, quotaUsd, ...rest }) => ({
    ...bid(""),
    ...rest,
    ...(quotaUsd === undefined ? {} : { quotaUsd }),
    ...(price === undefined ? {} : { price })
  }))

describe("the order of bids", () => {
  it("is the same whatever the order in which they came", () => {
    const shuffled = fc
      .array(anyBid, { maxLength: 12 })
      .chain((bids) => fc.tuple(fc.constant(bids), fc.shuffledSubarray(bids, { minLength: bids.length })))
    fc.assert(fc.property(shuffled, ([bids, other]) => assert.deepStrictEqual(order(bids), order(other))))
  })

  it("has each node once, only with free agents, and nobody is left out", () => {
    fc.assert(
      fc.property(fc.array(anyBid, { maxLength: 12 }), (bids) => {
        const able = new Set(bids.filter(({ free }) => free > 0).map(({ node }) => node))
        assert.sameMembers(names(bids), [...able])
        assert.isTrue(order(bids).every(({ free }) => free > 0))
      })
    )
  })

  it("does not change between two because of a third", () => {
    const three = fc.tuple(anyBid, anyBid, anyBid).map(
      ([one, other, third]) =>
        [
          { ...one, node: "a", free: one.free + 1 },
          { ...other, node: "b", free: other.free + 1 },
          { ...third, node: "c" }
        ] as const
    )
    fc.assert(
      fc.property(three, ([one, other, third]) =>
        assert.deepStrictEqual(
          names([one, other, third]).filter((node) => node !== "c"),
          names([one, other])
        )
      )
    )
  })

  it("puts what is better in one thing, and not worse in any, first", () => {
    const better: ReadonlyArray<(of: TaskBid) => Partial<TaskBid>> = [
      () => ({ warm: true }),
      ({ spare }) => ({ spare: spare - 1 }),
      ({ price = 10 }) => ({ price: price / 2 }),
      ({ free }) => ({ free: free + 1 }),
      ({ quotaUsd = 0 }) => ({ quotaUsd: Math.max(0, quotaUsd) + 1 })
    ]
    fc.assert(
      fc.property(anyBid, fc.constantFrom(...better), (given, improve) => {
        const base = {
          ...given,
          warm: false,
          free: given.free + 1,
          slots: 10,
          spare: given.spare + 1,
          price: (given.price ?? 5) + 1,
          quotaUsd: given.quotaUsd ?? 3
        }
        assert.deepStrictEqual(
          names([
            { ...base, node: "worse" },
            { ...base, ...improve(base), node: "better" }
          ]),
          ["better", "worse"]
        )
      })
    )
  })

  it("lets what counts more decide before what counts less", () => {
    const ranked = [
      bid("warm", { warm: true, quotaUsd: 0, spare: 9 }),
      bid("cheap", { price: 1, quotaUsd: 1 }),
      bid("dear", { price: 9, free: 2, quotaUsd: 100 }),
      bid("unknown price", { free: 2 }),
      bid("busy", { slots: 10 }),
      bid("overqualified", { spare: 1, price: 0 }),
      bid("spent", { quotaUsd: -0.5, price: 0 })
    ]
    assert.deepStrictEqual(
      names(ranked.toReversed()),
      ranked.map(({ node }) => node)
    )
  })

  it("gives equal nodes about as many tasks each", () => {
    const won = new Map<string, number>()
    for (let n = 0; n < 3_000; n++) {
      const task = TaskId.make(`t${n}`)
      const [first = ""] = names(["a", "b", "c"].map((node) => bid(node, { task })))
      won.set(first, (won.get(first) ?? 0) + 1)
    }
    for (const node of ["a", "b", "c"]) assert.closeTo(won.get(node) ?? 0, 1_000, 150)
  })
})
