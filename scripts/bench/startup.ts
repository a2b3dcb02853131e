/**
 * Cold start: `version`, `check` and an empty compiled program, in turn, in the same run; and from the start of `run` to
 * the first agent's CLI spawned and ready. Prints JSON. `bun scripts/bench/startup.ts`, after a build.
 *
 * Goals: `version` within 3 times the empty program, `check` within 6 times.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { median, root, round } from "./measure.ts"

const RUNS = 25
const binary = join(root, "dist", "mister-smith")
const dir = mkdtempSync(join(tmpdir(), "mister-smith-bench-"))

/** Wall milliseconds and peak memory in MB of one run, from spawn to exit. */
const once = (command: ReadonlyArray<string>) => {
  const began = Bun.nanoseconds()
  const { exitCode, resourceUsage } = Bun.spawnSync([...command], { stdout: "ignore", stderr: "inherit", cwd: dir })
  const millis = (Bun.nanoseconds() - began) / 1e6
  if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}`)
  return { millis, megabytes: (resourceUsage?.maxRSS ?? 0) / 1e6 }
}

try {
  writeFileSync(join(dir, "empty.ts"), "")
  const empty = join(dir, "empty")
  const built = Bun.spawnSync(
    [process.execPath, "build", "--compile", "--minify", "--bytecode", "--format=esm", "empty.ts", "--outfile", empty],
    { cwd: dir, stdout: "ignore", stderr: "inherit" }
  )
  if (built.exitCode !== 0) throw new Error("the empty program was not built")
  const config = join(root, "examples", "quickstart.json")
  const commands = {
    empty: [empty],
    version: [binary, "version"],
    check: [binary, "check", config],
    help: [binary, "--help"]
  }
  const samples = Object.fromEntries(Object.keys(commands).map((name) => [name, [] as Array<ReturnType<typeof once>>]))
  for (let run = -2; run < RUNS; run++) {
    for (const [name, command] of Object.entries(commands)) {
      const sample = once(command)
      if (run >= 0) samples[name]?.push(sample)
    }
  }
  const base = median(samples["empty"]?.map(({ millis }) => millis) ?? [])
  const figures = Object.fromEntries(
    Object.entries(samples).map(([name, list]) => {
      const millis = median(list.map((each) => each.millis))
      const megabytes = median(list.map((each) => each.megabytes))
      return [name, { millis: round(millis), peakMegabytes: round(megabytes), timesEmpty: round(millis / base) }]
    })
  )
  console.log(JSON.stringify({ bench: "startup", runs: RUNS, ...figures }))
} finally {
  rmSync(dir, { recursive: true, force: true })
}
