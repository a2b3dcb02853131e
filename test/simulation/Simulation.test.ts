import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { assert } from "vitest"
import { simulate } from "./Simulation.ts"

/** By default as many as are said here; `SIMULATE_FROM` and `SIMULATE` choose others. */
const FROM = Number(process.env["SIMULATE_FROM"] ?? Date.now() % 1_000_000)
const COUNT = Number(process.env["SIMULATE"] ?? 1_000)

describe("a whole node in simulation", () => {
  it(`does all that it has accepted once, from ${COUNT} seeds on from ${FROM}`, { timeout: 600_000 }, async () => {
    const counts: Record<string, number> = {}
    for (let seed = FROM; seed < FROM + COUNT; seed++) {
      const story = await Effect.runPromise(simulate(seed))
      for (const [what, count] of Object.entries(story.counts)) counts[what] = (counts[what] ?? 0) + count
      assert.deepStrictEqual(
        story.violations,
        [],
        `seed ${seed} (SIMULATE_FROM=${seed} SIMULATE=1):\n${story.trace.slice(-80).join("\n")}`
      )
    }
    console.log(`seeds ${FROM} to ${FROM + COUNT - 1}: ${JSON.stringify(counts)}`)
    // A simulation in which nothing happens proves nothing.
    for (const what of ["kills", "CLIs", "succeeded", "dead", "clock jumps", "full disks", "spawns refused"])
      assert.isAbove(counts[what] ?? 0, COUNT / 100, what)
  })

  it("tells the same story again", async () => {
    const [one, two] = [await Effect.runPromise(simulate(FROM)), await Effect.runPromise(simulate(FROM))]
    assert.deepStrictEqual(one.trace, two.trace)
  })
})
