/** What a message of the queue is worth, for each state of its task. */
import { assert, describe, it } from "vitest"
import { afterTrying, verdictOf } from "../../src/task/JetStreamVerdict.ts"
import { record } from "../utils/Snapshots.ts"

const at = { here: false, now: 1_000, ackWait: 30_000 }
const back = (millis: number) => ({ what: "back" as const, millis })

describe("a message of the queue", () => {
  it("is tried where its task is queued, held where it runs here, and put off where it runs elsewhere", () => {
    assert.deepStrictEqual(verdictOf(record(), at), { what: "try" })
    assert.deepStrictEqual(verdictOf(record({ state: "running" }), { ...at, here: true }), { what: "hold" })
    assert.deepStrictEqual(verdictOf(record({ state: "running" }), at), back(30_000))
  })

  it("goes when its task has ended, is not known any more or waits for somebody", () => {
    for (const state of ["succeeded", "failed", "cancelled", "dead", "waiting"] as const)
      assert.deepStrictEqual(verdictOf(record({ state }), at), { what: "drop" })
    assert.deepStrictEqual(verdictOf(undefined, at), { what: "drop" })
  })

  it("is left for later where its task is there and cannot be read", () => {
    assert.deepStrictEqual(verdictOf(undefined, { ...at, broken: true }), back(30_000))
  })

  it("comes again when its task is due, neither at once nor after more than a day", () => {
    const parked = (dueAt: number) => verdictOf(record({ state: "parked", dueAt }), at)
    assert.deepStrictEqual(parked(6_000), back(5_000))
    assert.deepStrictEqual(parked(900), back(200))
    assert.deepStrictEqual(parked(100 * 24 * 60 * 60_000), back(24 * 60 * 60_000))
  })

  it("goes back when its task could not be begun, for longer where another node has begun it", () => {
    assert.deepStrictEqual(afterTrying(record(), at), back(200))
    assert.deepStrictEqual(afterTrying(record({ attempt: 1 }), at), back(5_000))
    assert.deepStrictEqual(afterTrying(record({ attempt: 1, state: "running" }), { ...at, here: true }), {
      what: "hold"
    })
    assert.deepStrictEqual(afterTrying(record({ state: "cancelled" }), at), { what: "drop" })
  })
})
