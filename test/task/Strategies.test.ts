/** Each strategy by what it promises, over fleets and chances that nobody has picked by hand. */
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { AgentId, TaskType } from "../../src/domain/Ids.ts"
import { type AgentLoad, AgentLoads, fresh, MAX_LABELS } from "../../src/task/AgentLoad.ts"
import {
  type Candidate,
  cost,
  meant,
  type Named,
  type Situation,
  spokesOf,
  strategies,
  two,
  weigh
} from "../../src/task/Strategies.ts"
import type { TaskRecord } from "../../src/task/TaskRecord.ts"
import { agent as idle } from "../utils/Snapshots.ts"
import { task } from "../utils/Specs.ts"

const agent = (id: string, change: Partial<Candidate> = {}, load: Partial<AgentLoad> = {}): Candidate => ({
  ...idle(id),
  load: { ...fresh, ...load },
  ...change
})
const of = (change: Parameters<typeof task>[0] = {}) => ({ id: "t", spec: task({ id: "t", ...change }) }) as TaskRecord
const situation = (random = 0, last?: string): Situation => ({ random, last })
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

const loads: fc.Arbitrary<AgentLoad> = fc.record({
  given: fc.nat(100),
  lately: fc.double({ min: 0, max: 20, noNaN: true }),
  busy: fc.double({ min: 0, max: 1, noNaN: true }),
  inFlight: fc.constant(0),
  latency: fc.double({ min: 0, max: 1e7, noNaN: true }),
  failures: fc.double({ min: 0, max: 1, noNaN: true }),
  turn: fc.nat(1000)
})
const fleets = fc
  .array(
    fc.record({
      capabilities: fc.uniqueArray(fc.constantFrom("rust", "gpu", "web", "sql")),
      weight: fc.integer({ min: 1, max: 5 }),
      load: loads
    }),
    { minLength: 1, maxLength: 12 }
  )
  .map((all) => all.map((each, n) => agent(`a${n}`, each)))

describe("every strategy", () => {
  for (const name of Object.keys(strategies) as ReadonlyArray<Named>) {
    it(`${name} names one of those that it was offered, and the same question has the same answer`, () => {
      fc.assert(
        fc.property(fleets, chance, fc.integer({ min: -10, max: 10 }), fc.nat(15), (fleet, random, priority, last) => {
          const ask = () => strategies[name](of({ priority }), fleet, situation(random, `a${last}`))
          const answer = ask()
          assert.deepStrictEqual(ask(), answer)
          if (name === "sticky" && last >= fleet.length) assert.isUndefined(answer)
          else assert.include(fleet, answer)
        })
      )
    })
  }
})

describe("two by chance", () => {
  it("are two different ones, each pair as likely as any other", () => {
    for (const n of [3, 4, 7]) {
      const fleet = Array.from({ length: n }, (_, index) => agent(`a${index}`))
      const pairs = (n * (n - 1)) / 2
      const seen = new Map<string, number>()
      for (let k = 0; k < pairs * 10; k++) {
        const picked = two(fleet, (k + 0.5) / (pairs * 10))
        assert.strictEqual(new Set(picked).size, 2)
        const key = picked.map(({ id }) => id).join(" ")
        seen.set(key, (seen.get(key) ?? 0) + 1)
      }
      assert.strictEqual(seen.size, pairs)
      assert.deepStrictEqual([...new Set(seen.values())], [10])
    }
  })

  it("are all there are where there are no more, and never too few at the edges of chance", () => {
    const fleet = [agent("a"), agent("b"), agent("c")]
    assert.deepStrictEqual(two(fleet.slice(0, 2), 0.9), fleet.slice(0, 2))
    assert.lengthOf(two(fleet, 0), 2)
    assert.lengthOf(two(fleet, 1), 2)
  })
})

describe("least_loaded", () => {
  it("never takes the most loaded, and of two the less loaded", () => {
    fc.assert(
      fc.property(fleets, chance, (fleet, random) => {
        const taken = strategies.least_loaded(of(), fleet, situation(random))
        const most = Math.max(...fleet.map(weigh))
        if (fleet.some((each) => weigh(each) < most) && fleet.filter((each) => weigh(each) === most).length === 1)
          assert.isBelow(weigh(taken ?? agent("none")), most)
        if (fleet.length === 2) assert.strictEqual(weigh(taken ?? agent("none")), Math.min(...fleet.map(weigh)))
      })
    )
  })

  it("counts what an agent's processes use, where it is known", () => {
    const used = { memory: 3 * 1024 ** 3, cpuPercent: 0 } as NonNullable<Candidate["usage"]>
    const choose = (a: Candidate, b: Candidate) => strategies.least_loaded(of(), [a, b], situation())?.id
    assert.strictEqual(choose(agent("a", { usage: used }), agent("b", {}, { lately: 2 })), "b")
    assert.strictEqual(choose(agent("a", { usage: { ...used, memory: 0 } }), agent("b", {}, { lately: 2 })), "a")
  })

  it("does not give everything to one that fails at once", () => {
    const statistics = new AgentLoads(600_000)
    const given = { bad: 0, good: 0 }
    for (let now = 0; now < 100_000; now += 1000) {
      const fleet = (["bad", "good"] as const).map((id) => agent(id, { load: statistics.of(id, now) }))
      const id = strategies.least_loaded(of(), fleet, situation())?.id as keyof typeof given
      given[id]++
      statistics.given(id, undefined, now)
      statistics.ended(id, id === "bad" ? "failed" : "succeeded", now + 1)
    }
    assert.isAtMost(Math.abs(given.bad - given.good), 2)
  })
})

describe("round_robin", () => {
  it("gives each as many as any other, but for one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.nat(60), chance, (n, rounds, random) => {
        const statistics = new AgentLoads(600_000)
        for (let k = 0; k < rounds; k++) {
          const fleet = Array.from({ length: n }, (_, index) =>
            agent(`a${index}`, { load: statistics.of(`a${index}`, k) })
          )
          const taken = strategies.round_robin(of(), fleet, situation(random))
          statistics.given(taken?.id ?? "", undefined, k)
        }
        const counts = Array.from({ length: n }, (_, index) => statistics.of(`a${index}`, rounds).given)
        assert.strictEqual(
          counts.reduce((sum, count) => sum + count, 0),
          rounds
        )
        assert.isAtMost(Math.max(...counts) - Math.min(...counts), 1)
      })
    )
  })
})

describe("capability", () => {
  it("takes one with the fewest to spare", () => {
    fc.assert(
      fc.property(fleets, (fleet) => {
        const taken = strategies.capability(of(), fleet, situation())
        assert.strictEqual(taken?.capabilities.length, Math.min(...fleet.map((each) => each.capabilities.length)))
      })
    )
  })
})

describe("priority", () => {
  it("gives what is important to the best, and what is less than usual to the least", () => {
    fc.assert(
      fc.property(fleets, fc.integer({ min: -10, max: 10 }), (fleet, priority) => {
        const taken = strategies.priority(of({ priority }), fleet, situation())
        const weights = fleet.map(({ weight }) => weight)
        assert.strictEqual(taken?.weight, priority < 0 ? Math.min(...weights) : Math.max(...weights))
      })
    )
  })
})

describe("sticky", () => {
  it("takes who last worked for the label, and has no opinion where that one is not there", () => {
    const statistics = new AgentLoads(600_000)
    statistics.given("a", "login", 0)
    statistics.given("b", "login", 1)
    const fleet = [agent("a"), agent("b")]
    const last = statistics.worksFor("login")
    assert.strictEqual(strategies.sticky(of({ labels: { affinity: "login" } }), fleet, situation(0, last))?.id, "b")
    assert.isUndefined(strategies.sticky(of({ labels: { affinity: "login" } }), fleet.slice(0, 1), situation(0, last)))
    assert.isUndefined(statistics.worksFor("other"))
  })

  it("remembers so many labels, and forgets the one that was not seen for longest", () => {
    const statistics = new AgentLoads(600_000)
    for (let n = 0; n < MAX_LABELS; n++) statistics.given("a", `l${n}`, n)
    statistics.given("b", "l0", MAX_LABELS)
    statistics.given("a", "one more", MAX_LABELS)
    assert.strictEqual(statistics.worksFor("l0"), "b")
    assert.isUndefined(statistics.worksFor("l1"))
    assert.strictEqual(statistics.worksFor("l2"), "a")
  })
})

describe("adaptive", () => {
  /** So many tasks one after the other; answers with how many each was given. */
  const run = (
    statistics: AgentLoads,
    from: number,
    count: number,
    how: (id: string) => { readonly took: number; readonly failed?: boolean }
  ) => {
    const given = new Map<string, number>([
      ["a", 0],
      ["b", 0],
      ["c", 0]
    ])
    let now = from
    for (let k = 0; k < count; k++) {
      const fleet = [...given.keys()].map((id) => agent(id, { load: statistics.of(id, now) }))
      const id = strategies.adaptive(of(), fleet, situation(((k * 7) % 10) / 10))?.id ?? ""
      given.set(id, (given.get(id) ?? 0) + 1)
      statistics.given(id, undefined, now)
      const { failed = false, took } = how(id)
      now += took
      statistics.ended(id, failed ? "failed" : "succeeded", now)
    }
    return { given, now }
  }

  it("moves away from an agent that is slow, and comes back when that is long ago", () => {
    const statistics = new AgentLoads(60_000)
    const slow = run(statistics, 0, 30, (id) => ({ took: id === "a" ? 100_000 : 1_000 }))
    assert.strictEqual(slow.given.get("a"), 1)
    const well = run(statistics, slow.now, 600, () => ({ took: 1_000 }))
    assert.isAbove(well.given.get("a") ?? 0, 50)
  })

  it("moves away from an agent that fails, however quickly it does", () => {
    const statistics = new AgentLoads(600_000)
    const { given, now } = run(statistics, 0, 60, (id) => ({ took: id === "b" ? 1 : 20_000, failed: id === "b" }))
    assert.isAtMost(given.get("b") ?? 0, 3)
    assert.isAbove(cost({ load: statistics.of("b", now) }), cost({ load: statistics.of("c", now) }))
  })
})

describe("the statistics of an agent", () => {
  it("take a slower attempt at once and a quicker one little by little, and fall while nothing is seen", () => {
    const statistics = new AgentLoads(1_000)
    const attempt = (begun: number, took: number) => {
      statistics.given("a", undefined, begun)
      statistics.ended("a", "succeeded", begun + took)
    }
    attempt(0, 100)
    assert.strictEqual(statistics.of("a", 100).latency, 100)
    attempt(100, 400)
    assert.strictEqual(statistics.of("a", 500).latency, 400)
    attempt(500, 50)
    const weight = Math.exp(-0.05)
    assert.closeTo(statistics.of("a", 550).latency, 400 * weight + 50 * (1 - weight), 1e-9)
    assert.closeTo(statistics.of("a", 1_550).latency, statistics.of("a", 550).latency / Math.E, 1e-9)
  })

  it("are within their bounds, whatever happens and however the clock is set", () => {
    const steps = fc.array(
      fc.tuple(fc.constantFrom("given", "succeeded", "failed", "broken off"), fc.integer({ min: -5_000, max: 60_000 }))
    )
    fc.assert(
      fc.property(steps, (all) => {
        const statistics = new AgentLoads(10_000)
        let now = 0
        let latest = 0
        let earliest = 0
        for (const [what, later] of all) {
          now += later
          latest = Math.max(latest, now)
          earliest = Math.min(earliest, now)
          if (what === "given") statistics.given("a", undefined, now)
          else statistics.ended("a", what as "failed", now)
          const { busy, failures, inFlight, lately, latency } = statistics.of("a", now)
          for (const share of [busy, failures]) assert.isTrue(share >= 0 && share <= 1, String(share))
          assert.isAtLeast(inFlight, 0)
          assert.isAtLeast(lately, 0)
          assert.isAtLeast(latency, 0)
          assert.isAtMost(latency, latest - earliest)
        }
      })
    )
  })

  it("say nothing of an agent by what was broken off", () => {
    const statistics = new AgentLoads(1_000)
    statistics.given("a", undefined, 0)
    assert.strictEqual(statistics.of("a", 10).inFlight, 1)
    statistics.ended("a", "broken off", 500)
    assert.deepInclude(statistics.of("a", 500), { inFlight: 0, latency: 0, failures: 0, given: 1 })
    assert.isAbove(statistics.of("a", 500).busy, 0)
  })
})

describe("hub_and_spoke", () => {
  const ids = (all: ReadonlyArray<{ readonly id: string }>) => all.map(({ id }) => id)
  const fleet = [agent("coder-1", { group: "coder" }), agent("coder-2", { group: "coder" }), agent("agent"), agent("x")]

  it("means the agent of a type, all replicas of it, and the default for every other type", () => {
    const spokes = spokesOf({})
    assert.deepStrictEqual(ids(meant(spokes, "code", fleet)), ["coder-1", "coder-2"])
    assert.deepStrictEqual(ids(meant(spokes, "research", fleet)), ["agent"])
    assert.deepStrictEqual(ids(meant(spokes, "constructor", fleet)), ["agent"])
  })

  it("means anyone where neither is there", () => {
    const named = spokesOf({ spokes: { [TaskType.make("code")]: AgentId.make("nobody") } })
    assert.deepStrictEqual(ids(meant(named, "code", [agent("x"), agent("y")])), ["x", "y"])
    assert.deepStrictEqual(ids(meant(named, "code", fleet)), ["agent"])
  })
})
