/**
 * From a file and the environment to a Config, or to every mistake in them. In this order: read, parse, override, decode,
 * check across fields, find secrets and directories. Each step goes on with what the one before could read.
 */
import { dirname, resolve } from "node:path"
import { Effect, Redacted, Result } from "effect"
import { TaskId } from "../domain/Ids.ts"
import type { Config, ConfigFile, ConfigInput } from "./Config.ts"
import { ConfigInvalid, ConfigUnreadable, type Mistake } from "./ConfigError.ts"
import { crossChecks } from "./CrossChecks.ts"
import { Files } from "./Files.ts"
import { parse } from "./Json.ts"
import { decode, mistakesOf } from "./Mistakes.ts"
import { override, withoutOverrides } from "./Overrides.ts"
import { valueAt } from "./Place.ts"

type Environment = Readonly<Record<string, string | undefined>>

/** The largest config file, in bytes. */
export const MAX_FILE = 8 * 1024 * 1024

/** Reads a config file. Fails with every mistake in it, or with why it could not be read. */
export const load = Effect.fn("config.load")(function* (file: string, env: Environment) {
  const text = yield* read(file)
  const { lineOf, value } = yield* Effect.mapError(parse(text), (mistakes) => new ConfigInvalid({ file, mistakes }))
  return yield* fromUnknown(value, { file, baseDir: dirname(resolve(file)), env, lineOf })
})

export interface Origin {
  /** What the mistakes are attributed to. */
  readonly file: string
  /** Absolute; where relative paths begin. */
  readonly baseDir: string
  readonly env: Environment
  /** The lines of places, where there is a file. */
  readonly lineOf?: Effect.Effect<(at: string) => number | undefined>
}

/** The same for a value that a program has made. */
export const fromUnknown = Effect.fn("config.fromUnknown")(function* (value: unknown, origin: Origin) {
  const { mistakes: unnamed, root, sources } = override(value, origin.env)
  const decoded = decode(root, { errors: "all", onExcessProperty: "error" })
  const found = yield* outside(root, origin)
  const mistakes = [
    ...unnamed,
    ...(Result.isFailure(decoded) ? mistakesOf(decoded.failure.issue, root) : []),
    ...crossChecks(root),
    ...found.mistakes
  ]
  if (Result.isFailure(decoded) || mistakes.length > 0) {
    const lineOf = origin.lineOf === undefined ? () => undefined : yield* origin.lineOf
    const placed = mistakes.map((mistake) => withSource(mistake, sources, lineOf))
    return yield* new ConfigInvalid({ file: origin.file, mistakes: unique(placed) })
  }
  return finish(decoded.success, origin, found.secrets)
})

/**
 * The config of a program that embeds a node. Relative paths begin at `baseDir`, by default where the program runs;
 * environment variables do not change it, but secret references are looked up.
 */
export const make = (value: ConfigInput, options: { readonly baseDir?: string; readonly env?: Environment } = {}) =>
  fromUnknown(value, {
    file: "config",
    baseDir: resolve(options.baseDir ?? "."),
    env: withoutOverrides(options.env ?? process.env)
  })

/** One sentence for a place. */
const unique = (mistakes: ReadonlyArray<Mistake>) => [
  ...new Map(mistakes.map((each) => [`${each.at} ${each.expected}`, each])).values()
]

/** A mistake in a value that a variable has set is the variable's. */
const withSource = (
  mistake: Mistake,
  sources: ReadonlyMap<string, string>,
  lineOf: (at: string) => number | undefined
): Mistake => {
  const variable = sources.get(mistake.at)
  if (variable !== undefined) return { ...mistake, at: `${variable} (${mistake.at})` }
  const line = lineOf(mistake.at)
  return line === undefined ? mistake : { ...mistake, line }
}

const read = Effect.fnUntraced(function* (file: string) {
  const files = yield* Files
  const unreadable = (reason: string) => new ConfigUnreadable({ file, reason })
  const { kind, size } = yield* Effect.mapError(files.stat(file), unreadable)
  if (kind === "directory") return yield* unreadable("is a directory")
  if (size > MAX_FILE) return yield* unreadable(`is larger than ${MAX_FILE / 1024 / 1024} MiB`)
  const bytes = yield* Effect.mapError(files.read(file), unreadable)
  return yield* Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    catch: () => unreadable("is not UTF-8 text")
  })
})

/** What is outside of the file and must be there: secrets and directories. */
const outside = Effect.fnUntraced(function* (root: unknown, origin: Origin) {
  const mistakes: Array<Mistake> = []
  const secrets: Record<string, Redacted.Redacted> = {}
  const env = valueAt(root, ["claude", "env"])
  for (const [name, value] of Object.entries(typeof env === "object" && env !== null ? env : {})) {
    const secret = yield* lookUp(value, `claude.env.${name}`, origin)
    if (Result.isFailure(secret)) mistakes.push(secret.failure)
    else if (secret.success !== undefined) secrets[name] = secret.success
  }
  const agents = valueAt(root, ["agents"])
  for (const [index, agent] of (Array.isArray(agents) ? agents : []).entries()) {
    const workspace = valueAt(agent, ["workspace"])
    if (typeof workspace !== "string" || workspace === "" || (yield* kindOf(workspace, origin)) === "directory")
      continue
    mistakes.push({
      at: `agents[${index}].workspace`,
      expected: "expected a directory that exists",
      found: JSON.stringify(workspace)
    })
  }
  const dataDir = valueAt(root, ["dataDir"])
  if (typeof dataDir === "string" && dataDir !== "") {
    const kind = yield* kindOf(dataDir, origin)
    if (kind !== undefined && kind !== "directory")
      mistakes.push({ at: "dataDir", expected: "expected a directory", found: JSON.stringify(dataDir) })
  }
  return { mistakes, secrets }
})

const kindOf = Effect.fnUntraced(function* (path: string, { baseDir }: Origin) {
  const files = yield* Files
  return yield* files.stat(resolve(baseDir, path)).pipe(
    Effect.map(({ kind }) => kind),
    Effect.orElseSucceed(() => undefined)
  )
})

/** The secret behind a text or a reference; undefined for what is neither, of which the schema tells. */
const lookUp = Effect.fnUntraced(function* (value: unknown, at: string, { baseDir, env }: Origin) {
  const files = yield* Files
  if (typeof value === "string") return Result.succeed(Redacted.make(value))
  const variable = valueAt(value, ["env"])
  const file = valueAt(value, ["file"])
  if (typeof variable === "string" && file === undefined) {
    const secret = env[variable]
    return secret === undefined || secret === ""
      ? Result.fail<Mistake>({ at: `${at}.env`, expected: `the environment variable ${variable} is not set` })
      : Result.succeed(Redacted.make(secret))
  }
  if (typeof file === "string" && variable === undefined) {
    const text = yield* files.read(resolve(baseDir, file)).pipe(
      Effect.map((bytes) => new TextDecoder().decode(bytes)),
      Effect.orElseSucceed(() => undefined)
    )
    const secret = text?.replace(/\r?\n$/, "")
    return secret === undefined || secret === ""
      ? Result.fail<Mistake>({
          at: `${at}.file`,
          expected: `the file ${JSON.stringify(file)} ${secret === "" ? "is empty" : "cannot be read"}`
        })
      : Result.succeed(Redacted.make(secret))
  }
  return Result.succeed(undefined)
})

const finish = (
  file: ConfigFile,
  { baseDir }: Origin,
  secrets: Readonly<Record<string, Redacted.Redacted>>
): Config => ({
  ...file,
  baseDir,
  dataDir: resolve(baseDir, file.dataDir),
  claude: { ...file.claude, env: secrets },
  agents: file.agents.map((agent) =>
    agent.workspace === undefined ? agent : { ...agent, workspace: resolve(baseDir, agent.workspace) }
  ),
  tasks: file.tasks.map((task, index) => ({ ...task, id: task.id ?? TaskId.make(`task-${index + 1}`) }))
})
