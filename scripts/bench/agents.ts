/**
 * A node with agents: from the start of `run` to the config read, the first CLI spawned and the first agent ready, and the
 * memory of the runtime itself (not of the CLIs) with 0 busy and 1 and 10 idle agents. Real Claude CLI, stand-in API. Prints JSON.
 * `bun scripts/bench/agents.ts`, after a build. Goals: under 90 MB with 10 agents; less than 25 ms between config and CLI.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startStandin } from "../standin/Standin.ts"
import { median, root, round } from "./measure.ts"

const RUNS = 5
const binary = join(root, "dist", "mister-smith")
const claude = join(root, "node_modules", ".bin", "claude")
const dir = mkdtempSync(join(tmpdir(), "mister-smith-bench-"))
const standin = await startStandin()

const memory = (pid: number) =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1000

/** Starts a fleet, waits until all are idle, reads the figures and stops it. */
const once = async (agents: number) => {
  const config = join(dir, `config-${agents}.json`)
  // A node needs an agent; one that nobody starts is as good as none.
  const spec = agents === 0 ? [{ id: "none" }] : [{ id: "idle", replicas: agents }]
  const command = agents === 0 ? join(dir, "never") : claude
  if (agents === 0) writeFileSync(command, "#!/bin/sh\nexec sleep 1000\n", { mode: 0o755 })
  writeFileSync(config, JSON.stringify({ claude: { command }, agents: spec }))
  const began = Date.now()
  const child = Bun.spawn([binary, "run", config, "--json"], {
    cwd: dir,
    env: { PATH: process.env["PATH"] ?? "", HOME: dir, ANTHROPIC_BASE_URL: standin.url, ANTHROPIC_API_KEY: "bench" },
    stdout: "pipe",
    stderr: "inherit"
  })
  let started = 0
  let ready: { readonly at: number; readonly tookMillis: number } | undefined
  let idle = 0
  let partial = ""
  // Read to the end, whatever has been seen: a reader that goes away stops the run.
  await new Promise<void>((allIdle) => {
    const read = async () => {
      for await (const chunk of child.stdout) {
        const lines = (partial + Buffer.from(chunk).toString("utf8")).split("\n")
        partial = lines.pop() ?? ""
        for (const line of lines) {
          const event = JSON.parse(line) as { type: string; at: number; to?: string; tookMillis: number }
          if (event.type === "runtime.started") started = event.at
          if (event.type === "session.ready") ready ??= event
          if (event.type === "agent.state" && event.to === "idle") idle++
        }
        if (idle >= agents && started > 0) allIdle()
      }
    }
    void read()
  })
  if (agents === 0) await Bun.sleep(500)
  const megabytes = memory(child.pid)
  child.kill("SIGTERM")
  await child.exited
  return {
    megabytes,
    toStarted: started - began,
    // `session.ready` says how long the CLI took from its spawn on.
    startedToSpawn: ready === undefined ? 0 : ready.at - ready.tookMillis - started,
    toReady: ready === undefined ? 0 : ready.at - began
  }
}

try {
  const figures: Record<string, unknown> = {}
  for (const agents of [0, 1, 10]) {
    const runs: Array<Awaited<ReturnType<typeof once>>> = []
    for (let run = 0; run < (agents === 1 ? RUNS : 2); run++) runs.push(await once(agents))
    const mid = (of: (sample: (typeof runs)[number]) => number) => round(median(runs.map(of)))
    figures[`idle${agents}`] = {
      megabytes: mid((each) => each.megabytes),
      ...(agents === 1
        ? {
            startToTreeMillis: mid((each) => each.toStarted),
            treeToClaudeSpawnedMillis: mid((each) => each.startedToSpawn),
            startToFirstAgentReadyMillis: mid((each) => each.toReady)
          }
        : {})
    }
  }
  console.log(JSON.stringify({ bench: "agents", ...figures }))
} finally {
  await standin.close()
  rmSync(dir, { recursive: true, force: true })
}
