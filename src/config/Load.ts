/**
 * From a file and the environment to a Config, or to every mistake in them. In this order: read, parse, override, decode,
 * check across fields, find secrets and directories. Each step goes on with what the one before could read.
 */
import { Effect, FileSystem, Path, Redacted, Result } from "effect"
import type { ParseError } from "jsonc-parser"
import { findNodeAtLocation, type Node, parseTree, printParseErrorCode } from "jsonc-parser"
import { TaskId } from "../domain/Ids.ts"
import type { Config, ConfigFile } from "./Config.ts"
import { ConfigInvalid, ConfigUnreadable, type Mistake } from "./ConfigError.ts"
import { crossChecks } from "./CrossChecks.ts"
import { decode, mistakesOf, placeOf, valueAt } from "./Mistakes.ts"
import { override } from "./Overrides.ts"

type Environment = Readonly<Record<string, string | undefined>>

/** The largest config file, in bytes. */
export const MAX_FILE = 8 * 1024 * 1024

/** Reads a config file. Fails with every mistake in it, or with why it could not be read. */
export const load = Effect.fn("config.load")(function* (file: string, env: Environment) {
  const path = yield* Path.Path
  const text = yield* read(file)
  const parsed = parse(text)
  if ("mistakes" in parsed) return yield* new ConfigInvalid({ file, mistakes: parsed.mistakes })
  return yield* fromUnknown(parsed.value, {
    file,
    baseDir: path.dirname(path.resolve(file)),
    env,
    lines: linesOf(text, parsed.tree)
  })
})

export interface Origin {
  /** What the mistakes are attributed to. */
  readonly file: string
  /** Absolute; where relative paths begin. */
  readonly baseDir: string
  readonly env: Environment
  /** The line of a place, where there is a file. */
  readonly lines?: (at: string) => number | undefined
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
  ].map((mistake) => withSource(mistake, sources, origin))
  if (Result.isFailure(decoded) || mistakes.length > 0) {
    return yield* new ConfigInvalid({ file: origin.file, mistakes: unique(mistakes) })
  }
  return yield* finish(decoded.success, origin, found.secrets)
})

/** One sentence for a place. */
const unique = (mistakes: ReadonlyArray<Mistake>) => [
  ...new Map(mistakes.map((each) => [`${each.at} ${each.expected}`, each])).values()
]

/** A mistake in a value that a variable has set is the variable's. */
const withSource = (mistake: Mistake, sources: ReadonlyMap<string, string>, { lines }: Origin): Mistake => {
  const variable = sources.get(mistake.at)
  if (variable !== undefined) return { ...mistake, at: `${variable} (${mistake.at})` }
  const line = lines?.(mistake.at)
  return line === undefined ? mistake : { ...mistake, line }
}

const read = Effect.fnUntraced(function* (file: string) {
  const fs = yield* FileSystem.FileSystem
  const unreadable = (reason: string) => new ConfigUnreadable({ file, reason })
  const info = yield* Effect.mapError(fs.stat(file), ({ reason }) =>
    unreadable(
      reason._tag === "NotFound"
        ? "there is no such file"
        : reason._tag === "PermissionDenied"
          ? "may not be read"
          : reason._tag
    )
  )
  if (info.type === "Directory") return yield* unreadable("is a directory")
  if (info.size > MAX_FILE) return yield* unreadable(`is larger than ${MAX_FILE / 1024 / 1024} MiB`)
  const bytes = yield* Effect.mapError(fs.readFile(file), ({ reason }) =>
    unreadable(reason._tag === "PermissionDenied" ? "may not be read" : reason._tag)
  )
  return yield* Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    catch: () => unreadable("is not UTF-8 text")
  })
})

type Parsed = { readonly value: unknown; readonly tree: Node } | { readonly mistakes: ReadonlyArray<Mistake> }

/** Strict JSON. A syntax error is told with its line and column, and so is a key that stands twice. */
const parse = (text: string): Parsed => {
  const errors: Array<ParseError> = []
  const tree = parseTree(text, errors, { disallowComments: true, allowTrailingComma: false, allowEmptyContent: false })
  const place = (offset: number) => {
    const before = text.slice(0, offset).split("\n")
    return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }
  }
  if (errors.length > 0 || tree === undefined) {
    const [first] = errors
    const at = place(first?.offset ?? 0)
    const what =
      first === undefined
        ? "nothing"
        : printParseErrorCode(first.error)
            .replace(/([a-z])([A-Z])/g, "$1 $2")
            .toLowerCase()
    return { mistakes: [{ at: `line ${at.line}, column ${at.column}`, expected: `expected JSON (${what})`, ...at }] }
  }
  const twice = [...doubles(tree, [])].map(({ node, path }) => ({
    at: placeOf(path),
    expected: "this key stands twice",
    ...place(node.offset)
  }))
  return twice.length > 0 ? { mistakes: twice } : { value: JSON.parse(text.replace(/^\uFEFF/, "")) as unknown, tree }
}

function* doubles(
  node: Node,
  path: ReadonlyArray<string | number>
): Iterable<{ readonly node: Node; readonly path: ReadonlyArray<string | number> }> {
  const keys = new Set<unknown>()
  for (const [index, child] of (node.children ?? []).entries()) {
    if (node.type === "array") yield* doubles(child, [...path, index])
    const [key, value] = child.children ?? []
    if (node.type !== "object" || key === undefined) continue
    const here = [...path, String(key.value)]
    if (keys.has(key.value)) yield { node: key, path: here }
    keys.add(key.value)
    if (value !== undefined) yield* doubles(value, here)
  }
}

/** The line of a place that is in the file. */
const linesOf = (text: string, tree: Node) => (at: string) => {
  const steps = at
    .split(/[.[\]]+/)
    .filter((step) => step !== "")
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step))
  const node = findNodeAtLocation(tree, steps)
  return node === undefined ? undefined : text.slice(0, node.offset).split("\n").length
}

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
    if (typeof workspace !== "string" || workspace === "" || (yield* kindOf(workspace, origin)) === "Directory")
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
    if (kind !== undefined && kind !== "Directory")
      mistakes.push({ at: "dataDir", expected: "expected a directory", found: JSON.stringify(dataDir) })
  }
  return { mistakes, secrets }
})

const kindOf = Effect.fnUntraced(function* (path: string, { baseDir }: Origin) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  return yield* fs.stat(paths.resolve(baseDir, path)).pipe(
    Effect.map(({ type }) => type),
    Effect.orElseSucceed(() => undefined)
  )
})

/** The secret behind a text or a reference; undefined for what is neither, of which the schema tells. */
const lookUp = Effect.fnUntraced(function* (value: unknown, at: string, { baseDir, env }: Origin) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
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
    const text = yield* Effect.orElseSucceed(fs.readFileString(paths.resolve(baseDir, file)), () => undefined)
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

const finish = Effect.fnUntraced(function* (
  file: ConfigFile,
  { baseDir }: Origin,
  secrets: Record<string, Redacted.Redacted>
) {
  const path = yield* Path.Path
  const config: Config = {
    ...file,
    baseDir,
    dataDir: path.resolve(baseDir, file.dataDir),
    claude: { ...file.claude, env: secrets },
    agents: file.agents.map((agent) =>
      agent.workspace === undefined ? agent : { ...agent, workspace: path.resolve(baseDir, agent.workspace) }
    ),
    tasks: file.tasks.map((task, index) =>
      task.id === undefined ? { ...task, id: TaskId.make(`task-${index + 1}`) } : task
    )
  }
  return config
})
