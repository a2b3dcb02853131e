/**
 * The fleet under fire: three nodes, 300 tasks, a cluster of three servers, 60 troubles. Prints its progress on stderr and a
 * report as JSON, and exits 1 where anything was lost, done twice or left behind.
 * `bun scripts/fleet/run.ts [--tasks N] [--nodes N] [--agents N] [--servers N] [--rounds N] [--seed N] [--takeover MILLIS] [--late] [--loopback] [--keep]`;
 * the seed repeats the plan of the tasks and of the troubles, as far as clocks allow. Links are cut where the machine has network
 * namespaces, and not with `--loopback`; `--keep` leaves the directory where it is.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { noNats } from "../../test/utils/Nats.ts"
import { network, noNetns, ownNetwork } from "../../test/utils/Netns.ts"
import { fleetRun } from "./FleetRun.ts"

const file = fileURLToPath(import.meta.url)
const binary = join(dirname(dirname(dirname(file))), "dist", "mister-smith")
const { values } = parseArgs({
  options: {
    tasks: { type: "string", default: "300" },
    nodes: { type: "string", default: "3" },
    agents: { type: "string", default: "2" },
    servers: { type: "string", default: "3" },
    rounds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
    takeover: { type: "string", default: "3000" },
    late: { type: "boolean", default: false },
    loopback: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    /** Said to itself: it is in a network of its own. */
    inside: { type: "boolean", default: false }
  }
})
const refuse = (why: string): never => {
  console.error(why)
  process.exit(2)
}
if (!existsSync(binary)) refuse("build it first: bun scripts/build.ts")
if (noNats !== undefined) refuse(noNats)

const outside = async () => {
  const { command, env } = ownNetwork([
    process.execPath,
    file,
    ...process.argv.slice(2),
    "--seed",
    values.seed,
    "--inside"
  ])
  const [program = "", ...args] = command
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: "inherit" })
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => child.kill(signal))
  return new Promise<number>((resolve) => child.once("exit", (code) => resolve(code ?? 2)))
}

const inside = async () => {
  const { agents, nodes, rounds, seed, servers, takeover, tasks } = values
  const dir = mkdtempSync(join(tmpdir(), "mister-smith-fleet-"))
  console.error(`--seed ${seed}: ${tasks} tasks, ${nodes} nodes, ${servers} servers, ${rounds} troubles, in ${dir}`)
  await using net = values.inside ? network() : undefined
  const report = await fleetRun({
    binary,
    dir,
    tasks: Number(tasks),
    nodes: Number(nodes),
    agents: Number(agents),
    servers: Number(servers),
    rounds: Number(rounds),
    seed: Number(seed),
    takeover: Number(takeover),
    late: values.late,
    ...(net === undefined ? {} : { network: net }),
    log: console.error
  })
  console.log(JSON.stringify(report, undefined, 2))
  const failed = report.problems.length > 0
  if (values.keep || failed) console.error(`see ${dir}`)
  else rmSync(dir, { recursive: true, force: true })
  return failed ? 1 : 0
}

if (values.inside || values.loopback || noNetns !== undefined) {
  if (noNetns !== undefined) console.error(`no link is cut: ${noNetns}`)
  process.exit(await inside())
} else process.exit(await outside())
