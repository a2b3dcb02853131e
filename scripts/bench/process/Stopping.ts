/** Many trees that are told to stop at once: the time until every receipt is there, beyond the graces that they use up. */
import { Duration, Effect } from "effect"
import { defaults } from "../../../src/process/ProcessSettings.ts"
import { ProcessTree } from "../../../src/process/ProcessTree.ts"
import { median, round } from "../measure.ts"
import { firstByte, layer, now, Samples, specOf, type Way, ways } from "./Machine.ts"

const ROUNDS = 5
const GRACE = "100 millis"

interface Case {
  readonly name: string
  readonly goal: string
  readonly trees: number
  readonly script: string
  /** How many the receipt must name. */
  readonly processes: number
  /** Uses up both graces. */
  readonly deaf?: boolean
}

const cases: ReadonlyArray<Case> = [
  { name: "plain100", goal: "60 ms", trees: 100, script: "echo; exec sleep 1000", processes: 1 },
  { name: "trees100", goal: "none", trees: 100, script: "sleep 1000 & sleep 1000 & echo; wait", processes: 3 },
  ...[1, 10, 100].map((trees) => ({
    name: `deaf${trees}`,
    goal: "500 ms beyond the graces",
    trees,
    script: "trap '' INT TERM; sleep 1000 & sleep 1000 & echo; wait",
    processes: 3,
    deaf: true
  }))
]

const grace = Duration.fromInputUnsafe(GRACE)
const stop = { ...defaults.stop, interrupt: grace, terminate: grace }

/** Milliseconds. */
const once = ({ processes, script, trees }: Case, way: Way) =>
  Effect.gen(function* () {
    const tree = yield* ProcessTree
    const spawn = tree.spawn(specOf(["/bin/sh", "-c", script]))
    const handles = yield* Effect.forEach(Array.from({ length: trees }), () => Effect.tap(spawn, firstByte))
    const cpu = process.cpuUsage()
    const began = now()
    const receipts = yield* Effect.forEach(handles, ({ stop }) => stop, { concurrency: "unbounded" })
    const took = now() - began
    const { system, user } = process.cpuUsage(cpu)
    const short = receipts.find(({ ended }) => ended.length < processes)
    if (short !== undefined) throw new Error(`a receipt names ${JSON.stringify(short.ended)}`)
    return { took, cpu: (system + user) / 1000 }
  }).pipe(Effect.scoped, Effect.provide(layer(way, { stop })))

export const stopping = Effect.gen(function* () {
  const samples = new Samples<{ readonly took: number; readonly cpu: number }>()
  for (let at = -1; at < ROUNDS; at++) {
    for (const each of cases) {
      for (const way of ways) {
        const sample = yield* once(each, way)
        // The first round warms up.
        if (at >= 0) samples.add(`${each.name}.${way}`, sample)
      }
    }
  }
  const figure = ({ deaf, name }: Case, way: Way) => {
    const all = samples.of(`${name}.${way}`)
    const total = median(all.map(({ took }) => took))
    return {
      totalMillis: round(total),
      ...(deaf === true ? { beyondGracesMillis: round(total - 2 * Duration.toMillis(grace)) } : {}),
      cpuMillis: round(median(all.map(({ cpu }) => cpu)))
    }
  }
  return {
    graceMillis: Duration.toMillis(grace),
    ...Object.fromEntries(
      cases.map((each) => [
        each.name,
        { goal: each.goal, ...Object.fromEntries(ways.map((way) => [way, figure(each, way)])) }
      ])
    )
  }
})
