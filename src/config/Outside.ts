/** What a config refers to outside of itself and must be there: secrets, workspaces, the place of the data directory. */
import { dirname, isAbsolute, resolve } from "node:path"
import { Effect, Redacted, Result } from "effect"
import { seed as readSeed } from "../message/NKey.ts"
import { SECRETS } from "../transport/TransportSettings.ts"
import { DATA_DIR } from "./Config.ts"
import { Files } from "./Files.ts"
import { type Finding, keyOf, shown } from "./Finding.ts"
import { type Path, valueAt } from "./Place.ts"

/** The system takes no longer variable. */
const MAX_SECRET = 128 * 1024 - 1024

export interface Surroundings {
  /** Absolute; where relative paths begin. */
  readonly baseDir: string
  readonly env: Readonly<Record<string, string | undefined>>
}

export interface Outside {
  readonly findings: ReadonlyArray<Finding>
  /** Of `claude.env`. */
  readonly secrets: Readonly<Record<string, Redacted.Redacted>>
  /** Of `transport`, by place. */
  readonly transport: ReadonlyMap<string, Redacted.Redacted>
  /** Of `fleet.signing`. */
  readonly seed: Redacted.Redacted | undefined
}

/** Looks up all that is readable in `root`, whatever else is wrong with it. */
export const lookAround = Effect.fnUntraced(function* (root: unknown, around: Surroundings): Effect.fn.Return<Outside> {
  const findings: Array<Finding> = []
  const secrets: Array<readonly [string, Redacted.Redacted]> = []
  const env = valueAt(root, ["claude", "env"])
  for (const [name, value] of Object.entries(typeof env === "object" && env !== null ? env : {})) {
    const path = ["claude", "env", name]
    if (name === "" || /[=\0]/.test(name)) {
      // Most likely a whole NAME=value, so not even the name is shown.
      findings.push({
        path: ["claude", "env"],
        expected: 'expected names of variables: not empty, without "=" and NUL'
      })
      continue
    }
    const secret = yield* secretOf(value, path, around)
    if ("path" in secret) findings.push(secret)
    else if (secret.text?.includes("\0")) findings.push({ path, expected: "expected text without the character NUL" })
    else if (secret.text !== undefined && Buffer.byteLength(secret.text) > MAX_SECRET)
      findings.push({ path, expected: `expected at most ${MAX_SECRET / 1024} KiB` })
    else if (secret.text !== undefined) secrets.push([name, Redacted.make(secret.text)])
  }
  const transport = new Map<string, Redacted.Redacted>()
  for (const steps of SECRETS) {
    const path = ["transport", ...steps]
    const secret = yield* secretOf(valueAt(root, path), path, around)
    if ("path" in secret) findings.push(secret)
    else if (secret.text !== undefined) transport.set(keyOf(path), Redacted.make(secret.text))
  }
  const seed = yield* seedOf(root, around)
  if (seed !== undefined && "path" in seed) findings.push(seed)
  const agents = valueAt(root, ["agents"])
  for (const [index, agent] of (Array.isArray(agents) ? agents : []).entries()) {
    for (const key of [[], ["path"], ["repository"]]) {
      const path = ["agents", index, "workspace", ...key]
      const workspace = valueAt(agent, ["workspace", ...key])
      if (typeof workspace !== "string" || workspace === "") continue
      const kind = yield* kindOf(resolve(around.baseDir, workspace))
      if (kind === "directory") continue
      findings.push(at(path, workspace, "expected a directory that exists"))
    }
  }
  const plugin = valueAt(root, ["routing", "plugin"])
  if (typeof plugin === "string" && plugin !== "" && (yield* kindOf(resolve(around.baseDir, plugin))) !== "file")
    findings.push(at(["routing", "plugin"], plugin, "expected a file that exists"))
  const dataDir = valueAt(root, ["dataDir"]) ?? DATA_DIR
  if (typeof dataDir === "string" && dataDir !== "") {
    const kind = yield* nearestKind(resolve(around.baseDir, dataDir))
    if (kind !== "directory") findings.push(at(["dataDir"], dataDir, "expected a directory, or where one can be made"))
  }
  return {
    findings,
    secrets: Object.fromEntries(secrets),
    transport,
    seed: seed !== undefined && !("path" in seed) ? seed : undefined
  }
})

/** The seed that messages are signed with; of one that is none, whatever it holds is not shown. */
const seedOf = Effect.fnUntraced(function* (root: unknown, around: Surroundings) {
  const path = ["fleet", "signing", "seed"]
  const value = valueAt(root, path)
  // Text in its place is the schema's business.
  if (typeof value !== "object") return undefined
  const secret = yield* secretOf(value, path, around)
  if ("path" in secret) return secret
  if (secret.text === undefined) return undefined
  const read = readSeed(secret.text.trim())
  return Result.isFailure(read)
    ? { path, expected: `expected the seed of an NKey (SU...): ${read.failure.problem}` }
    : Redacted.make(secret.text)
})

const at = (path: Path, value: string, expected: string): Finding => {
  const found = shown(value, path)
  return { path, expected, ...(found === undefined ? {} : { found }) }
}

const kindOf = Effect.fnUntraced(function* (path: string) {
  const files = yield* Files
  return yield* files.stat(path).pipe(
    Effect.map(({ kind }) => kind),
    Effect.orElseSucceed(() => undefined)
  )
})

/** Of the path, or of the nearest directory above it that is there. */
const nearestKind = Effect.fnUntraced(function* (path: string) {
  for (let here = path; ; here = dirname(here)) {
    const kind = yield* kindOf(here)
    if (kind !== undefined || here === dirname(here)) return kind
  }
})

/** The text behind a secret; none for what is no secret, of which the schema tells. */
const secretOf = Effect.fnUntraced(function* (
  value: unknown,
  path: Path,
  { baseDir, env }: Surroundings
): Effect.fn.Return<{ readonly text: string | undefined } | Finding> {
  if (typeof value === "string") return { text: value }
  const variable = valueAt(value, ["env"])
  const file = valueAt(value, ["file"])
  if (typeof variable === "string" && variable !== "" && file === undefined) {
    const text = Object.hasOwn(env, variable) ? env[variable] : undefined
    if (text !== undefined && text !== "") return { text }
    // Whoever puts the secret itself here should not find it in a log.
    const named = /^[A-Z][A-Z0-9_]{0,63}$/.test(variable) ? `variable ${variable}` : "variable that is named here"
    return { path: [...path, "env"], expected: `the environment ${named} is ${text === "" ? "empty" : "not set"}` }
  }
  if (typeof file !== "string" || file === "" || variable !== undefined) return { text: undefined }
  const files = yield* Files
  const bad = (why: string): Finding => ({
    path: [...path, "file"],
    expected: `expected a file that holds the secret (${why})`,
    ...(isAbsolute(file) ? {} : { suggestion: `its path begins at ${baseDir}` })
  })
  return yield* files.read(resolve(baseDir, file), MAX_SECRET).pipe(
    Effect.flatMap((bytes) => Effect.try({ try: () => utf8.decode(bytes), catch: () => "is not UTF-8 text" })),
    Effect.map((text) => text.replace(/\r?\n$/, "")),
    Effect.match({
      onFailure: bad,
      onSuccess: (text) => (text === "" ? bad("is empty") : { text })
    })
  )
})

const utf8 = new TextDecoder("utf-8", { fatal: true })
