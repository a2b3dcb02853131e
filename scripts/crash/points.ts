/**
 * Each crash point once more, and later in the story: `bun scripts/crash/points.ts [NTH [PREFIX]]` dies at the NTH time that
 * the node comes there (default 2), and exits 1 where anything was lost. A point that is not reached so often is listed.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { CRASH_POINTS } from "../../src/state/CrashPoint.ts"
import { pointRun } from "./PointRun.ts"

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const binary = join(root, "dist", "mister-smith-crash")
const [nth = "2", prefix = ""] = process.argv.slice(2)

if (!existsSync(binary)) {
  console.error("build it first: bun scripts/build.ts --crash-points")
  process.exit(2)
}
const problems: Array<string> = []
const unreached: Array<string> = []
let reached = 0
for (const point of CRASH_POINTS) {
  if (!point.startsWith(prefix)) continue
  const dir = mkdtempSync(join(tmpdir(), "mister-smith-point-"))
  const report = await pointRun({ binary, dir, point, nth: Number(nth) })
  if (report.ended === "SIGKILL" && report.mark !== "") reached++
  else unreached.push(point)
  problems.push(...report.problems.map((problem) => `${point}:${nth}: ${problem}`))
  if (report.problems.length === 0) rmSync(dir, { recursive: true, force: true })
  console.error(`${point}:${nth} ${report.ended}${report.problems.length === 0 ? "" : ` see ${dir}`}`)
}
console.log(JSON.stringify({ nth: Number(nth), reached, unreached, problems }, undefined, 2))
process.exit(problems.length === 0 ? 0 : 1)
