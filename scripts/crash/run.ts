/**
 * The large crash test: 20 agents, 500 tasks, 100 kills. Prints its progress on stderr and a report as JSON, and exits 1
 * where anything was lost, left or done twice. `bun scripts/crash/run.ts [AGENTS TASKS KILLS]`; `SEED=` repeats the plan
 * and the moments of the kills, as far as clocks allow; `KEEP=1` leaves the data directory where it is.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { crashRun } from "./CrashRun.ts"

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const binary = join(root, "dist", "mister-smith")
const [agents = 20, tasks = 500, kills = 100] = process.argv.slice(2).map(Number)
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9))

if (!existsSync(binary)) {
  console.error("build it first: bun scripts/build.ts")
  process.exit(2)
}
const dir = mkdtempSync(join(tmpdir(), "mister-smith-crash-"))
console.error(`SEED=${seed}: ${agents} agents, ${tasks} tasks, ${kills} kills, in ${dir}`)
const report = await crashRun({ binary, dir, agents, tasks, kills, seed, bun: process.execPath, log: console.error })
console.log(JSON.stringify(report, undefined, 2))
const failed = report.problems.length > 0
if (process.env["KEEP"] === undefined && !failed) rmSync(dir, { recursive: true, force: true })
else console.error(`see ${dir}`)
process.exit(failed ? 1 : 0)
