/** The test build dies at each of its crash points, and the next life misses nothing. The release has no such points. */
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "vitest"
import { pointRun } from "../../scripts/crash/PointRun.ts"
import { CRASH_POINTS, type CrashPoint } from "../../src/state/CrashPoint.ts"
import { binary, root, tempDir } from "../utils/Binary.ts"

/** Nodes at a time. */
const AT_ONCE = 2

it("each point is reached, the node is dead by SIGKILL at that instant, and nothing is lost, left or done twice", async () => {
  const built = spawnSync(process.execPath, [join(root, "scripts/build.ts"), "--crash-points"], { encoding: "utf8" })
  assert.strictEqual(built.status, 0, built.stderr)
  using dir = tempDir()
  const problems: Array<string> = []
  const left = [...CRASH_POINTS]
  const reached: Array<CrashPoint> = []
  const next = async () => {
    for (let point = left.shift(); point !== undefined; point = left.shift()) {
      const own = join(dir.path, point)
      mkdirSync(own)
      const report = await pointRun({ binary: join(root, "dist/mister-smith-crash"), dir: own, point })
      const isThere = report.mark.startsWith(`${point} `)
      if (isThere && report.ended === "SIGKILL") reached.push(point)
      else problems.push(`${point}: the node ended with ${report.ended}, and ${isThere ? "was" : "was not"} there`)
      for (const problem of report.problems) problems.push(`${point}: ${problem}`)
      // One that hangs would be followed by others that do.
      if (problems.length > 0) return
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, next))
  assert.deepStrictEqual(problems, [])
  assert.sameMembers(reached, [...CRASH_POINTS])
  console.log(`${reached.length} crash points`)
}, 600_000)

it("a release holds no crash point, and no way to name one", () => {
  const release = readFileSync(binary)
  const test = readFileSync(join(root, "dist/mister-smith-crash"))
  // The names of the ledger's are put together where they are used, from what is before and after the step.
  const literal = CRASH_POINTS.filter((name) => !/^ledger\.(?!forget)/.test(name))
  const words = [...literal, "}.within`", "}.written`", "}.told`", "MISTER_SMITH_CRASH_AT", "MISTER_SMITH_CRASH_MARK"]
  assert.isAbove(literal.length, 30)
  for (const word of words) {
    assert.isTrue(test.includes(word), `the test build has no ${word}`)
    assert.isFalse(release.includes(word), `the release has ${word}`)
  }
})

it("from its sources the runtime heeds a crash point only where they are turned on", () => {
  const script = `
    import { crashPoint } from ${JSON.stringify(join(root, "src/state/CrashPoint.ts"))}
    crashPoint("ack.sent"); crashPoint("ack.kept"); console.log("once"); crashPoint("ack.kept"); console.log("alive")`
  const run = (env: Record<string, string>) => {
    const { signal, stdout } = spawnSync(process.execPath, ["-e", script], {
      encoding: "utf8",
      env: { PATH: process.env["PATH"] ?? "", MISTER_SMITH_CRASH_AT: "ack.kept:2", ...env }
    })
    return { signal, stdout }
  }
  assert.deepStrictEqual(run({}), { signal: null, stdout: "once\nalive\n" })
  assert.deepStrictEqual(run({ MISTER_SMITH_CRASH_POINTS: "on" }), { signal: "SIGKILL", stdout: "once\n" })
})
