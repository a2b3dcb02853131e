/**
 * What `doctor` looks at, each thing as one finding: the machine, the Claude CLI, the place of the node, its config.
 *
 * Promises: nothing is left behind and nothing that runs is disturbed; no secret is shown, only where one was found; no
 * model is called. What a config requires and the machine does not offer is a problem; what the node does without is a
 * warning.
 */
import { accessSync, constants, existsSync, mkdtempSync, rmSync, statfsSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Effect, Layer, Option, Stream } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { ClaudeNotFound } from "../agent/AgentError.ts"
import { TESTED_VERSIONS } from "../agent/AgentHost.ts"
import { CREDENTIALS, environment, HostEnvironment, resolveCommand } from "../claude/ClaudeCommand.ts"
import type { Config } from "../config/Config.ts"
import * as LogFiles from "../observability/LogFiles.ts"
import { DIR as LOGS } from "../observability/LogNames.ts"
import { ProcessTree } from "../process/ProcessTree.ts"
import * as Rungs from "../process/Rungs.ts"
import * as UserLimits from "../process/UserLimits.ts"
import * as DataDir from "../state/DataDir.ts"

export type Verdict = "ok" | "warning" | "problem"

export interface Finding {
  readonly about: "machine" | "claude" | "node" | "servers" | "config"
  readonly name: string
  readonly verdict: Verdict
  readonly says: string
  /** What an operator can do. */
  readonly hint?: string
}

type Told = Omit<Finding, "about" | "name">

const ok = (says: string): Told => ({ verdict: "ok", says })
const warning = (says: string, hint?: string): Told => ({
  verdict: "warning",
  says,
  ...(hint === undefined ? {} : { hint })
})
const problem = (says: string, hint?: string): Told => ({ ...warning(says, hint), verdict: "problem" })

const offered = ({ available, hint, says }: Rungs.Offer, required = false): Told =>
  available ? ok(says) : required ? problem(says, hint) : warning(says, hint)

/** How bad it is where something is missing is for the config to decide. */
export const machine = (rungs: Rungs.Rungs, config: Config | undefined): ReadonlyArray<Finding> => {
  const { cgroup, pidNamespace } = config?.process ?? { cgroup: "auto", pidNamespace: "off" }
  const of = (name: string, told: Told): Finding => ({ about: "machine", name, ...told })
  const limits = UserLimits.own()
  return [
    of("processes", offered(rungs.processes)),
    of("groups", offered(rungs.groups)),
    of("cgroup", cgroup === "off" ? ok("process.cgroup is off") : offered(rungs.cgroup, cgroup === "required")),
    ...(cgroup === "off" ? [] : enforced(rungs).map((told) => of("limits", told))),
    // Who has not asked for one does not miss it.
    of(
      "PID namespace",
      pidNamespace === "off"
        ? ok(`process.pidNamespace is off${rungs.pidNamespace.available ? "; it could be on here" : ""}`)
        : offered(rungs.pidNamespace, pidNamespace === "required")
    ),
    of("guardian", offered(rungs.guardian)),
    of("pressure", offered(rungs.pressure)),
    of("open files", openFiles(limits, agentsOf(config))),
    of("user processes", userProcesses(limits, agentsOf(config))),
    of("clock", clock(Date.now(), process.execPath))
  ]
}

/** One line for all that is enforced, and one for each reason why something is not. */
const enforced = ({ unenforced }: Rungs.Rungs): ReadonlyArray<Told> => {
  const lacking = new Set(unenforced.map(({ limit }) => limit))
  const kept = Rungs.LIMITS.filter((limit) => !lacking.has(limit))
  const reasons = Map.groupBy(unenforced, ({ why }) => why.replace(/^no \w+ controller: /, ""))
  return [
    ...(kept.length === 0 ? [] : [ok(`the kernel enforces ${kept.join(", ")}`)]),
    ...[...reasons].map(([why, list]) =>
      warning(`the kernel does not enforce ${list.map(withStandIn).join(", ")}: ${why}`)
    )
  ]
}

const withStandIn = ({ instead, limit }: Rungs.Rungs["unenforced"][number]) =>
  instead === "sampled" ? `${limit} (looked at now and then)` : limit

const agentsOf = (config: Config | undefined): number =>
  config?.agents.reduce((sum, { replicas }) => sum + replicas, 0) ?? 1

const counted = (agents: number) => (agents === 1 ? "one agent needs" : `${agents} agents need`)

/** A CLI's three pipes and a file of its tree; and what the runtime itself has open. */
const filesFor = (agents: number) => agents * 4 + 64
/** Threads of a CLI, and the few programs that it starts. */
const processesFor = (agents: number) => agents * 40

const openFiles = ({ openFiles }: UserLimits.UserLimits, agents: number): Told => {
  if (openFiles === undefined) return ok("no bound is known")
  return openFiles < filesFor(agents)
    ? problem(
        `at most ${openFiles} may be open, and ${counted(agents)} about ${filesFor(agents)}`,
        "raise it: ulimit -n, or LimitNOFILE= in the unit"
      )
    : ok(`at most ${openFiles} may be open`)
}

const userProcesses = ({ processes }: UserLimits.UserLimits, agents: number): Told => {
  if (processes === undefined) return ok("no bound is known")
  if (process.getuid?.() === 0) return ok(`root is not bound; other users have at most ${processes}`)
  return processes < processesFor(agents)
    ? warning(
        `at most ${processes} with their threads, and ${counted(agents)} about ${processesFor(agents)}`,
        "raise it: ulimit -u, or LimitNPROC= in the unit"
      )
    : ok(`at most ${processes} with their threads`)
}

const DAY = 86_400_000
/** Before this there was no such program. */
const EARLIEST = Date.UTC(2025, 0, 1)

const clock = (now: number, executable: string): Told => {
  const shown = new Date(now).toISOString()
  const hint = "set it, for example by NTP: with a wrong clock no TLS connection is made"
  if (now < EARLIEST) return problem(`it says ${shown}, which is past`, hint)
  const made = statSync(executable, { throwIfNoEntry: false })?.mtimeMs ?? 0
  return made > now + DAY
    ? warning(`it says ${shown}, but ${executable} is of ${new Date(made).toISOString()}`, hint)
    : ok(`it says ${shown}`)
}

/** Where the CLI is and which it is; whether there is something that lets it in. */
export const claude = Effect.fn("Checkup.claude")(function* (config: Config | undefined, baseDir: string) {
  const host = yield* HostEnvironment
  const command = resolveCommand(config?.claude.command, baseDir, host)
  const own = config?.claude.env ?? {}
  const cli =
    command === undefined
      ? notFound(config?.claude.command)
      : versionFinding(command, yield* versionOf(command, (home) => environment(host, home, own)))
  const of = (name: string, told: Told): Finding => ({ about: "claude", name, ...told })
  return [of("CLI", cli), of("credentials", credentials(host, own, config !== undefined))]
})

const notFound = (command = "claude"): Told => {
  const { hint, message } = new ClaudeNotFound({ command })
  return problem(message, hint)
}

const versionFinding = (command: string, said: string | undefined): Told => {
  const version = said === undefined ? undefined : /\d+\.\d+\.\d+\S*/.exec(said)?.[0]
  if (version === undefined) return problem(`${command} does not tell its version`, `try ${command} --version`)
  return TESTED_VERSIONS.includes(version)
    ? ok(`${command}, ${version}`)
    : warning(
        `${command}, ${version}: not one this version was tested with (${TESTED_VERSIONS.join(", ")})`,
        `install a tested one: npm install -g @anthropic-ai/claude-code@${TESTED_VERSIONS[0]}`
      )
}

/** A program that says nothing in this time is none to rely on. */
const VERSION_TIME = "30 seconds"

/** What `--version` prints; undefined where it fails. In a place of its own, so that it leaves nothing in a home. */
const versionOf = (
  command: string,
  env: (home: string) => ReturnType<typeof environment>
): Effect.Effect<string | undefined> =>
  Effect.gen(function* () {
    const tree = yield* ProcessTree
    const home = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "mister-smith-doctor-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
    )
    const handle = yield* tree.spawn({ command, args: ["--version"], cwd: home, env: env(home) })
    yield* handle.closeInput
    const text = yield* Stream.mkString(Stream.decodeText(Stream.take(handle.stdout, 16)))
    const { code } = yield* handle.exit
    return code === 0 ? text : undefined
  }).pipe(
    Effect.timeoutOption(VERSION_TIME),
    Effect.map(Option.getOrUndefined),
    Effect.scoped,
    Effect.provide(ProcessTree.layerBare.pipe(Layer.provide(SecureRandom.layerWebCrypto))),
    Effect.catch(() => Effect.succeed(undefined))
  )

/** With these the CLI asks another provider, which has credentials of its own. */
const PROVIDERS = ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"]

const credentials = (
  host: Readonly<Record<string, string | undefined>>,
  own: Readonly<Record<string, unknown>>,
  configured: boolean
): Told => {
  const found = CREDENTIALS.flatMap((name) =>
    Object.hasOwn(own, name) ? [`${name} (claude.env)`] : host[name] ? [`${name} (environment)`] : []
  )
  if (found.length > 0) return ok(found.join(", "))
  const provider = PROVIDERS.find((name) => Object.hasOwn(own, name))
  if (provider !== undefined) return ok(`those of another provider: ${provider}`)
  const says = `there is none: no ${CREDENTIALS.join(", no ")}`
  const hint =
    "set one in the environment or in claude.env (claude setup-token makes one); a login in a home directory is not used"
  return configured ? problem(says, hint) : warning(says, hint)
}

const GIB = 1024 ** 3
const SCANT = GIB
const NOTHING = 64 * 1024 ** 2
const FEW_FILES = 1000

/** The directory in which the node keeps what must outlive it. */
export const node = Effect.fn("Checkup.node")(function* (dataDir: string) {
  const of = (name: string, told: Told): Finding => ({ about: "node", name, ...told })
  return [
    of("data directory", yield* holdable(dataDir)),
    of("disk", disk(nearest(dataDir))),
    of("logs", logs(yield* Effect.promise(() => LogFiles.stateIn(join(dataDir, LOGS)))))
  ]
})

const logs = ({ bytes, files, lost }: LogFiles.LogState): Told => {
  const says = files === 0 ? "there are no files yet" : `${files} files, ${size(bytes)}`
  if (lost === undefined || lost.lines === 0) return ok(says)
  const lines = `${lost.lines} lines of the last run that lost any`
  return lost.reason === undefined
    ? ok(`${says}; ${lines} were lost until ${lost.at}`)
    : warning(`${says}; ${lines} were lost, as of ${lost.at}: ${lost.reason}`, "make room, or see who may write there")
}

const nearest = (path: string): string => (existsSync(path) || dirname(path) === path ? path : nearest(dirname(path)))

const holdable = (dataDir: string): Effect.Effect<Told> =>
  Effect.suspend(() => {
    const there = nearest(dataDir)
    try {
      if (!statSync(there).isDirectory()) return Effect.succeed(problem(`${there} is no directory`))
      accessSync(there, constants.W_OK | constants.X_OK)
    } catch {
      return Effect.succeed(problem(`${there} may not be written to`, "give the node a dataDir that is its user's own"))
    }
    if (there !== dataDir) return Effect.succeed(ok(`${dataDir} is made when it is needed`))
    // Whether it is free, only who holds it knows. Where nobody ever has, nothing is made for a mere look.
    if (!existsSync(join(dataDir, "id"))) return Effect.succeed(ok(`${dataDir} can be written to`))
    return DataDir.hold(dataDir, "").pipe(
      Effect.as(ok(`${dataDir} can be written to, and is free`)),
      Effect.scoped,
      Effect.catchTags({
        DataDirInUse: ({ pid }) =>
          Effect.succeed(ok(`${dataDir} is in use${pid === undefined ? "" : ` by pid ${pid}`}: its node is running`)),
        DataDirUnusable: ({ hint, message }) => Effect.succeed(problem(message, hint))
      })
    )
  })

const disk = (path: string): Told => {
  try {
    const { bavail, bsize, ffree, files } = statfsSync(path)
    const free = bavail * bsize
    const says = `${size(free)} are free at ${path}`
    const hint = "make room: agents write conversations and files"
    if (files > 0 && ffree < FEW_FILES) return problem(`only ${ffree} more files can be made at ${path}`, hint)
    return free < NOTHING ? problem(says, hint) : free < SCANT ? warning(says, hint) : ok(says)
  } catch (error) {
    return warning(`it is not known how much is free at ${path} (${error instanceof Error ? error.message : error})`)
  }
}

const size = (bytes: number) =>
  bytes >= GIB ? `${(bytes / GIB).toFixed(1)} GiB` : `${Math.floor(bytes / 1024 ** 2)} MiB`

/** What the agents of a config demand and this machine does not enforce. */
export const agents = (rungs: Rungs.Rungs, config: Config): ReadonlyArray<Finding> =>
  config.agents.flatMap(({ id, limits }) => {
    const off = config.process.cgroup === "off" ? "process.cgroup is off" : undefined
    const required = limits.enforce === "required"
    return Rungs.unenforced(rungs, limits, off).map(({ instead, limit, why }): Finding => {
      const says = `limits.${limit} is not enforced by the kernel${instead === "sampled" ? ", but looked at now and then" : ""}: ${why}`
      return {
        about: "config",
        name: `agent ${id}`,
        ...(required
          ? problem(
              says,
              "it will not start: run where the controller is delegated, or set limits.enforce to best_effort"
            )
          : warning(says))
      }
    })
  })
