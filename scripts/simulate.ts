/**
 * Runs a whole node in simulation from any number of seeds: `bun scripts/simulate.ts [--from N] [--count N]`. Prints what
 * has happened as JSON, and the whole story of the first seed that breaks a promise; then it exits with 1.
 */
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { simulate } from "../test/simulation/Simulation.ts"

const { values } = parseArgs({ options: { from: { type: "string" }, count: { type: "string" } } })
const from = Number(values.from ?? Date.now() % 1_000_000_000)
const count = Number(values.count ?? 1_000)
const counts: Record<string, number> = {}
const began = performance.now()

for (let seed = from; seed < from + count; seed++) {
  const story = await Effect.runPromise(simulate(seed))
  for (const [what, many] of Object.entries(story.counts)) counts[what] = (counts[what] ?? 0) + many
  if (story.violations.length > 0) {
    console.log(story.trace.join("\n"))
    console.log(JSON.stringify({ seed, violations: story.violations }))
    process.exit(1)
  }
  if ((seed - from + 1) % 100 === 0) console.error(`${seed - from + 1} of ${count} seeds`)
}
console.log(JSON.stringify({ from, seeds: count, violations: 0, seconds: (performance.now() - began) / 1000, counts }))
