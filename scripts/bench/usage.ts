/**
 * What it costs to measure a fleet: one walk of /proc and one tick of the sampler for 100 trees of 3 processes, as percent
 * of one core where there is a tick every 2 seconds. Cpu time of this process, user and system; and how much of it is the
 * walk. Prints JSON. `bun scripts/bench/usage.ts`. Goal: under 1 percent, and no more where every process is a new one.
 */
import { readdirSync } from "node:fs"
import * as ProcFs from "../../src/process/ProcFs.ts"
import { makeSampler, type Tree } from "../../src/process/Usage.ts"
import { median, round } from "./measure.ts"

const TREES = 100
const ROUNDS = 11
const TICKS = 50
const PACED = 15
const EVERY_MILLIS = 2000

/** A leader and two children of its own. */
const children = Array.from({ length: TREES }, () =>
  Bun.spawn(["sh", "-c", "sleep 1000 & sleep 1000; :"], { stdout: "ignore", stderr: "ignore", detached: true })
)

const treesOf = (table: ReadonlyMap<number, ProcFs.ProcEntry>): ReadonlyArray<Tree> => {
  const groups = Map.groupBy(table.values(), ({ group }) => group)
  return children.map(({ pid }) => ({ run: String(pid), pids: groups.get(pid) ?? [] }))
}

/** Median cpu milliseconds of one call, over rounds of many. */
const cost = (call: () => void) => {
  const samples: Array<number> = []
  for (let round = -2; round < ROUNDS; round++) {
    const before = process.cpuUsage()
    for (let i = 0; i < TICKS; i++) call()
    const { system, user } = process.cpuUsage(before)
    if (round >= 0) samples.push((system + user) / 1000 / TICKS)
  }
  return median(samples)
}

try {
  let table = ProcFs.walk()
  // Until all are up.
  while (treesOf(table).some(({ pids }) => [...pids].length < 3)) {
    await Bun.sleep(10)
    table = ProcFs.walk()
  }
  const trees = treesOf(table)
  const sampler = makeSampler()
  let at = 0
  const walk = cost(() => ProcFs.walk())
  const tickOnce = () => {
    at += EVERY_MILLIS
    sampler.tick(trees, ProcFs.walk(), at)
  }
  const tick = cost(tickOnce)
  const first = cost(() => makeSampler().tick(trees, ProcFs.walk(), 0))
  const list = cost(() => readdirSync("/proc"))
  // In a loop everything is warm. In life it is not.
  const paced: Array<number> = []
  for (let i = 0; i < PACED; i++) {
    await Bun.sleep(200)
    const before = process.cpuUsage()
    tickOnce()
    const { system, user } = process.cpuUsage(before)
    paced.push((system + user) / 1000)
  }
  const percent = (millis: number) => round((millis / EVERY_MILLIS) * 100)
  const seen = trees.reduce((sum, { run }) => sum + (sampler.of(run)?.processes ?? 0), 0)
  if (seen !== TREES * 3) throw new Error(`the sampler saw ${seen} processes`)
  console.log(
    JSON.stringify({
      bench: "usage",
      processes: table.size,
      trees: TREES,
      tickMillis: round(tick),
      pacedTickMillis: round(median(paced)),
      firstTickMillis: round(first),
      walkMillis: round(walk),
      listMillis: round(list),
      percentOfOneCore: percent(median(paced)),
      percentWhereAllAreNew: percent(first)
    })
  )
} finally {
  for (const { pid } of children) process.kill(-pid, "SIGKILL")
}
