/**
 * Three nodes that share a ledger, with the real CLI, while nodes and servers are killed, halted and cut off by chance: every
 * task ends once, what a woken node brings late is refused, and no process is left. `SEED=` repeats the plan; the large one is
 * `bun scripts/fleet/run.ts`.
 */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import type { FleetReport } from "../../scripts/fleet/FleetRun.ts"
import { root } from "../utils/Binary.ts"
import { noNats } from "../utils/Nats.ts"
import { noNetns } from "../utils/Netns.ts"

const seed = process.env["SEED"] ?? String(Math.floor(Math.random() * 1e9))
if (noNetns !== undefined) console.warn(`no link of the fleet under fire is cut: ${noNetns}`)

/** In a process of its own, because that is in a network of its own where links are cut. */
const underFire = async (...args: ReadonlyArray<string>): Promise<FleetReport> => {
  const child = spawn(process.execPath, [join(root, "scripts/fleet/run.ts"), "--seed", seed, ...args], {
    stdio: ["ignore", "pipe", "pipe"]
  })
  let stdout = ""
  let stderr = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text
  })
  await new Promise((resolve) => child.once("close", resolve))
  if (!stdout.startsWith("{")) throw new Error(`no report:\n${stderr}`)
  const report = JSON.parse(stdout) as FleetReport
  if (report.problems.length > 0) console.error(stderr)
  console.log(stdout)
  return report
}

describe.skipIf(noNats !== undefined)(`a fleet under fire (SEED=${seed})`, () => {
  it("on one server: every task ends once, and nothing is left", async () => {
    const { check, problems, troubles } = await underFire("--tasks", "30", "--rounds", "8", "--servers", "1")
    assert.deepStrictEqual(problems, [])
    assert.strictEqual(check.tasks, 30)
    assert.containsAllKeys(troubles, ["nodeKilled", "nodePaused", "serverKilled", "serverPaused"])
    if (noNetns === undefined) assert.containsAllKeys(troubles, ["nodeCut"])
  }, 400_000)

  it("on a cluster of three, each task on all of them: the same", async () => {
    const { check, problems, troubles } = await underFire("--tasks", "30", "--rounds", "8", "--servers", "3")
    assert.deepStrictEqual(problems, [])
    assert.strictEqual(check.tasks, 30)
    assert.containsAllKeys(troubles, ["nodeKilled", "nodePaused", "leaderKilled", "allServersKilled"])
  }, 400_000)

  it("what a halted node brings when it wakes, beyond every lease, is refused", async () => {
    const { check, problems, refusedLate } = await underFire(
      "--late",
      "--tasks",
      "24",
      "--rounds",
      "2",
      "--servers",
      "1"
    )
    assert.deepStrictEqual(problems, [])
    assert.strictEqual(check.tasks, 24)
    // The model has answered the attempt that was taken over, and its answer is nobody's result.
    assert.isAbove(check.takenOver, 0)
    assert.isAbove(check.unused, 0)
    // Without a link when it woke, it had its answer before it heard of the other attempt.
    if (noNetns === undefined) assert.isAtLeast(refusedLate, 2)
  }, 400_000)
})
