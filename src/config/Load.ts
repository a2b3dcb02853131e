/**
 * From a file and the environment to a Config, or to every mistake in them. In this order: read, parse, override, decode,
 * check across fields, find secrets and directories. Each step goes on with what the one before could read.
 */
import { dirname, resolve } from "node:path"
import { Effect, Result } from "effect"
import { resolved } from "../agent/WorkspaceSpec.ts"
import { TaskId } from "../domain/Ids.ts"
import { learn } from "../domain/Redaction.ts"
import { type Config, type ConfigFile, type ConfigInput, MAX_AGENTS, MAX_TASKS } from "./Config.ts"
import { ConfigInvalid, ConfigUnreadable } from "./ConfigError.ts"
import { crossChecks } from "./CrossChecks.ts"
import { Files } from "./Files.ts"
import { type Finding, keyOf, placed } from "./Finding.ts"
import { type Parsed, parse } from "./Json.ts"
import { decode, findingsOf } from "./Mistakes.ts"
import { lookAround, type Outside, type Surroundings } from "./Outside.ts"
import { override, withoutOverrides } from "./Overrides.ts"
import { valueAt } from "./Place.ts"
import { found, hiddenOf } from "./TransportSecrets.ts"

/** The largest config file, in bytes. */
export const MAX_FILE = 8 * 1024 * 1024

/** Reads a config file. Fails with every mistake in it, or with why it could not be read. */
export const load = Effect.fn("config.load")(function* (file: string, env: Surroundings["env"]) {
  const text = yield* read(file)
  const parsed = yield* Effect.mapError(
    parse(text),
    ({ column, expected, line }) =>
      new ConfigInvalid({ file, mistakes: [{ at: `line ${line}, column ${column}`, expected, line, column }] })
  )
  return yield* examine(parsed, { file, baseDir: dirname(resolve(file)), env })
})

export interface Origin extends Surroundings {
  /** What the mistakes are attributed to. */
  readonly file: string
}

/** The same for a value that a program has made. */
export const fromUnknown = (value: unknown, origin: Origin): Effect.Effect<Config, ConfigInvalid> =>
  examine({ value, doubles: Effect.succeed([]), locate: Effect.succeed(() => undefined) }, origin)

/**
 * The config of a program that embeds a node. Relative paths begin at `baseDir`, by default where the program runs;
 * environment variables do not change it, but secret references are looked up.
 */
export const make = (
  value: ConfigInput,
  options: { readonly baseDir?: string; readonly env?: Surroundings["env"] } = {}
): Effect.Effect<Config, ConfigInvalid> =>
  fromUnknown(value, {
    file: "config",
    baseDir: resolve(options.baseDir ?? "."),
    env: withoutOverrides(options.env ?? process.env)
  })

const read = Effect.fnUntraced(function* (file: string) {
  const files = yield* Files
  const unreadable = (reason: string) => new ConfigUnreadable({ file, reason })
  const bytes = yield* Effect.mapError(files.read(file, MAX_FILE), unreadable)
  return yield* Effect.try({
    // A byte order mark is dropped.
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    catch: () => unreadable("is not UTF-8 text")
  })
})

const examine = Effect.fn("config.examine")(function* (
  { doubles, locate, value }: Parsed,
  origin: Origin
): Effect.fn.Return<Config, ConfigInvalid> {
  const { mistakes: unnamed, root: whole, sources } = override(value, origin.env)
  const { findings: tooLong, root } = cut(whole)
  const decoded = decode(root)
  const outside = yield* lookAround(root, origin)
  learn([
    ...Object.values(outside.secrets),
    ...hiddenOf(outside.transport),
    ...(outside.seed === undefined ? [] : [outside.seed])
  ])
  const inside = [
    ...(yield* doubles),
    ...tooLong,
    ...(Result.isFailure(decoded) ? findingsOf(decoded.failure.issue, root) : [])
  ]
  const wrong = new Set(inside.map(({ path }) => keyOf(path)))
  // Of a place that the schema refuses, nothing more needs to be said.
  const across = [...crossChecks(root), ...outside.findings].filter(({ path }) => !wrong.has(keyOf(path)))
  const findings = [...inside, ...across]
  if (Result.isFailure(decoded) || findings.length > 0 || unnamed.length > 0) {
    const mistakes = [...unnamed, ...placed(findings, sources, yield* locate)]
    return yield* new ConfigInvalid({ file: origin.file, mistakes })
  }
  return finish(decoded.success, origin, outside)
})

/** Lists that are too long are cut, so that nonsense costs no more than the largest config that is none. */
const cut = (whole: unknown): { readonly root: unknown; readonly findings: ReadonlyArray<Finding> } => {
  let root = whole
  const findings: Array<Finding> = []
  for (const [key, most] of [["agents", MAX_AGENTS] as const, ["tasks", MAX_TASKS] as const]) {
    const list = valueAt(root, [key])
    if (!Array.isArray(list) || list.length <= most) continue
    findings.push({ path: [key], expected: `expected at most ${most} entries`, found: String(list.length) })
    root = { ...(root as object), [key]: list.slice(0, most) }
  }
  return { root, findings }
}

const finish = (file: ConfigFile, { baseDir }: Origin, { secrets, seed, transport }: Outside): Config => ({
  ...file,
  baseDir,
  dataDir: resolve(baseDir, file.dataDir),
  claude: { ...file.claude, env: secrets },
  fleet: {
    ...file.fleet,
    ...(seed === undefined ? {} : { seed })
  },
  transport: found(file.transport, baseDir, transport),
  routing:
    file.routing.plugin === undefined
      ? file.routing
      : { ...file.routing, plugin: resolve(baseDir, file.routing.plugin) },
  agents: file.agents.map((agent) =>
    agent.workspace === undefined
      ? agent
      : { ...agent, workspace: resolved(agent.workspace, (path) => resolve(baseDir, path)) }
  ),
  tasks: file.tasks.map((task, index) => ({ ...task, id: task.id ?? TaskId.make(`task-${index + 1}`) }))
})
