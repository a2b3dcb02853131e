/** SIGKILL of the runtime, until nothing of its trees is alive; and what the guardian that sees to it weighs. */
import { spawnSync } from "node:child_process"
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { median, round } from "../measure.ts"
import { now, Samples, type Way, ways } from "./Machine.ts"

const ROUNDS = 5
const TREES = [1, 10, 100]
/** What has not gone by then is an error. */
const LIMIT = 10_000

/** The system knows whether anyone holds it: opening it for writing fails where nobody does. */
const held = (fifo: string) => {
  try {
    closeSync(openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK))
    return true
  } catch {
    return false
  }
}

const kilobytes = (file: string, name: string) => {
  try {
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(readFileSync(file, "utf8"))?.[1] ?? Number.NaN)
  } catch {
    return Number.NaN
  }
}

const once = async (way: Way, trees: number) => {
  const directory = mkdtempSync(join(tmpdir(), "mister-smith-bench-"))
  const fifo = join(directory, "witness")
  try {
    spawnSync("mkfifo", [fifo])
    const runner = Bun.spawn([process.execPath, join(import.meta.dirname, "runner.ts"), way, String(trees), fifo], {
      env: { ...process.env, TMPDIR: directory },
      stdout: "pipe",
      stderr: "inherit"
    })
    const { value } = await runner.stdout.getReader().read()
    const guardian = Number(new TextDecoder().decode(value))
    if (!(guardian > 0)) throw new Error("the runner has no guardian")
    const status = `/proc/${guardian}/status`
    const memory = {
      rss: kilobytes(status, "VmRSS"),
      pss: kilobytes(`/proc/${guardian}/smaps_rollup`, "Pss")
    }
    if (!held(fifo)) throw new Error("nobody holds the witness")
    const began = now()
    runner.kill("SIGKILL")
    // As fine as a timer goes; the guardian has the other core.
    while (held(fifo) && now() - began < LIMIT) await Bun.sleep(1)
    if (held(fifo)) throw new Error(`something is alive ${LIMIT} ms after the runtime`)
    const gone = now() - began
    await runner.exited
    while (kilobytes(status, "VmRSS") > 0 && now() - began < LIMIT) await Bun.sleep(1)
    return { gone, guardianGone: now() - began, ...memory }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

export const guarding = async () => {
  const samples = new Samples<Awaited<ReturnType<typeof once>>>()
  for (let at = 0; at < ROUNDS; at++) {
    for (const trees of TREES) {
      for (const way of ways) samples.add(`${way}${trees}`, await once(way, trees))
    }
  }
  return samples.map((all) => ({
    allGoneMillis: round(median(all.map(({ gone }) => gone))),
    guardianGoneMillis: round(median(all.map(({ guardianGone }) => guardianGone))),
    guardianRssKilobytes: median(all.map(({ rss }) => rss)),
    guardianPssKilobytes: median(all.map(({ pss }) => pss))
  }))
}
