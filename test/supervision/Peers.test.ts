import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Hearing } from "../../src/supervision/Hearing.ts"
import { type PeerSettings, Peers } from "../../src/supervision/Peers.ts"
import { deviationsAt, PhiAccrual } from "../../src/supervision/PhiAccrual.ts"

const settings: PeerSettings = { every: 5_000, after: 15_000, longest: 30_000, suspectAt: 5, deadAt: 12 }
const sign = { life: "one", every: 5_000 }

const states = (changes: ReturnType<Peers["judge"]>) =>
  changes.map(({ from, peer, state }) => `${peer} ${from} ${state}`)

/** Heard every five seconds; answers with when it was last. */
const even = (peers: Peers, name: string, beats: number) => {
  for (let n = 0; n <= beats; n++) peers.hear(name, n * 5_000, sign)
  return beats * 5_000
}

describe("the silence that has a phi", () => {
  it("is the one at which phi is that", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 200 }),
        fc.double({ min: 0.5, max: 16, noNaN: true }),
        (intervals, phi) => {
          const accrual = new PhiAccrual(
            { window: 100, minDeviationMillis: 100, acceptablePauseMillis: 500, firstEstimateMillis: 5_000 },
            0
          )
          let at = 0
          for (const interval of intervals) {
            at += interval
            accrual.beat(at)
          }
          const silence = accrual.silenceAt(phi)
          return silence === 0 || Math.abs(accrual.phi(at + silence) - phi) < 1e-6
        }
      )
    )
    assert.closeTo(deviationsAt(-Math.log10(0.5)), 0, 1e-6)
  })
})

describe("of its peers a node", () => {
  it("suspects one that is silent, takes it for dead after the time that was set, and has it back when it speaks", () => {
    for (const beats of [0, 1, 10, 1_000]) {
      const peers = new Peers(settings)
      const last = even(peers, "a", beats)
      assert.deepStrictEqual(peers.judge(last + 5_000), [])
      const suspected = last + peers.next(last) + 1
      assert.isBelow(suspected - last, 15_000)
      assert.deepStrictEqual(states(peers.judge(suspected)), ["a alive suspected"])
      assert.deepStrictEqual(states(peers.judge(last + 14_999)), [])
      // A young rhythm is believed less, but never by more than a beat.
      assert.isAtMost(suspected + peers.next(suspected), last + 20_000)
      assert.deepStrictEqual(states(peers.judge(suspected + peers.next(suspected) + 1)), ["a suspected dead"])
      peers.hear("a", last + 60_000, sign)
      assert.deepStrictEqual(states(peers.judge(last + 60_000)), ["a dead alive"])
      assert.strictEqual(peers.stateOf("a"), "alive")
    }
  })

  it("never takes one for dead before the time that was set, and always at the longest, whatever the rhythm", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 14_000 }), { maxLength: 150 }), (intervals) => {
        const peers = new Peers(settings)
        let at = 0
        peers.hear("a", at, sign)
        for (const interval of intervals) {
          at += interval
          if (peers.judge(at).some(({ state }) => state === "dead")) return false
          peers.hear("a", at, sign)
        }
        peers.judge(at)
        if (peers.judge(at + 14_999).some(({ state }) => state === "dead")) return false
        peers.judge(at + 30_000)
        return peers.stateOf("a") === "dead"
      })
    )
  })

  it("gives one that speaks more rarely the time that it needs", () => {
    const peers = new Peers(settings)
    const rare = { life: "one", every: 60_000 }
    for (let n = 0; n <= 10; n++) {
      peers.hear("a", n * 60_000, rare)
      assert.deepStrictEqual(states(peers.judge(n * 60_000 + 59_999)), [])
    }
    peers.judge(10 * 60_000 + 120_000)
    assert.strictEqual(peers.stateOf("a"), "dead")
  })

  it("does not take words out of the rhythm, or such as came late in a heap, for the rhythm", () => {
    const peers = new Peers(settings)
    const last = even(peers, "a", 20)
    for (let n = 1; n <= 90; n++) peers.hear("a", last + n, { ...sign, regular: false })
    for (let n = 1; n <= 90; n++) peers.hear("a", last + 90 + n, sign, false)
    assert.deepStrictEqual(states(peers.judge(last + 180 + 9_000)), [])
    assert.strictEqual(peers.stateOf("a"), "alive")
    peers.judge(last + 180 + 14_000)
    assert.strictEqual(peers.stateOf("a"), "suspected")
  })

  it("does not wait for one that has said good-bye, and begins anew with one that has a new life", () => {
    const peers = new Peers(settings)
    const last = even(peers, "a", 3)
    peers.leave("a", last)
    assert.deepStrictEqual(states(peers.judge(last + 14_999)), [])
    assert.strictEqual(peers.stateOf("a"), "left")
    assert.deepStrictEqual(states(peers.judge(last + 15_000)), ["a left dead"])
    peers.hear("a", last + 200_000, { ...sign, life: "two" })
    assert.deepStrictEqual(states(peers.judge(last + 205_000)), ["a dead alive"])
    assert.strictEqual(peers.stateOf("a"), "alive")
  })

  it("judges one of whom it only knows that it was there as if it had spoken when that was found", () => {
    const peers = new Peers(settings)
    peers.expect("a", 1_000)
    assert.isFalse(peers.wasHeard("a"))
    assert.strictEqual(peers.stateOf("a"), "alive")
    peers.judge(31_000)
    assert.strictEqual(peers.stateOf("a"), "dead")
  })
})

describe("the time in which a node can hear", () => {
  it("passes as the clock does while its own word comes back", () => {
    const hearing = new Hearing(0, 7_500)
    for (let at = 5_000; at <= 50_000; at += 5_000) {
      assert.strictEqual(hearing.at(at), at)
      assert.isTrue(hearing.isClear(at))
      hearing.back(at, 7_500)
    }
  })

  it("stands still while the process does, and while nothing comes back", () => {
    const hearing = new Hearing(0, 7_500)
    hearing.back(5_000, 7_500)
    // Halted for a minute.
    assert.strictEqual(hearing.at(65_000), 12_500)
    assert.isFalse(hearing.isClear(65_000))
    hearing.back(65_000, 7_500)
    assert.strictEqual(hearing.at(70_000), 17_500)
    // Cut off for a minute, in which it looked again and again.
    for (let at = 70_000; at <= 130_000; at += 5_000) hearing.lost(at, 7_500)
    assert.isFalse(hearing.isClear(131_000))
    hearing.back(132_000, 7_500)
    assert.isBelow(hearing.at(132_000), 20_001)
  })

  it("never runs faster than the clock, whatever happens", () => {
    const step = fc.record({ wait: fc.nat(100_000), back: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const hearing = new Hearing(0, 7_500)
        let [at, heard] = [0, 0]
        for (const { back, wait } of steps) {
          at += wait
          if (back) {
            const now = hearing.at(at)
            if (now < heard || now - heard > Math.min(wait, 7_500)) return false
            heard = now
            hearing.back(at, 7_500)
          } else hearing.lost(at, 7_500)
        }
        return hearing.at(at) <= at
      })
    )
  })
})
