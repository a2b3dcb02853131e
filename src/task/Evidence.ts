/**
 * Proof of completion: what a task has declared as its evidence is looked at by the runtime itself, after the turn, in the
 * workspace of the agent that performed it.
 *
 * Promises: every proof is looked at, none is taken from what the agent says; a command is an argv, never a shell line,
 * has the agent's environment without its secrets, and nothing of it is alive afterwards; no file outside of the workspace
 * is read, whatever a link says; what is found is bounded. What follows from it is left to Dispatcher.ts.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync } from "node:fs"
import { join, sep } from "node:path"
import { Duration, Effect, Fiber, Option, Redacted, Schema, Stream } from "effect"
import { CREDENTIALS } from "../claude/ClaudeCommand.ts"
import { PositiveDurationFromString } from "../domain/Quantity.ts"
import { brief } from "../event/Event.ts"
import { ProcessTree } from "../process/ProcessTree.ts"
import { nameOf, type Proof } from "./EvidenceSpec.ts"

/** Where a task was performed. */
export interface Place {
  readonly workspace: string
  /** The agent's. */
  readonly env: Readonly<Record<string, string | Redacted.Redacted>>
  /** Tools that were denied in the turn. */
  readonly denied: ReadonlyArray<string>
}

/** A proof that does not hold, and what was found in its stead. */
export interface Missing {
  readonly proof: string
  readonly found: string
  /** The end of what a command has printed. */
  readonly output?: string
}

/** Those that do not hold, in the order in which they were declared. */
export const verify = Effect.fn("Evidence.verify")(function* (proofs: ReadonlyArray<Proof>, place: Place) {
  const missing: Array<Missing> = []
  // One after the other: a command may make what the next proof looks at.
  for (const proof of proofs) {
    const found = yield* look(proof, place)
    if (found !== undefined) missing.push({ proof: nameOf(proof), ...found })
  }
  return missing
})

/** What an agent is told whose work is not proven. */
export const followUp = (missing: ReadonlyArray<Missing>): string =>
  [
    "Your work on the task above was checked, and it is not complete. This was found:",
    ...missing.map(({ found, output, proof }) =>
      output === undefined ? `- ${proof}: ${found}` : `- ${proof}: ${found}. The end of its output:\n${output}`
    ),
    "Put it right, so that each of these holds, and give your final answer again. It will be checked once more."
  ].join("\n\n")

/** Of what a command prints, of each of its two outputs, in bytes. */
const KEPT_OUTPUT = 2048
/** Larger files are not matched. */
const MAX_FILE = 4 * 1024 * 1024
const COMMAND_TIME = Duration.minutes(10)
const GIT_TIME = Duration.minutes(1)
/** What a command that has ended had still in its pipe; a program it left behind may hold the pipe for ever. */
const LAST_WORDS = "1 second"

type Found = Omit<Missing, "proof"> | undefined

const look = (proof: Proof, place: Place): Effect.Effect<Found, never, ProcessTree> => {
  if (proof.command !== undefined) return Effect.map(run(proof.command, limitOf(proof), place), succeeds)
  if (proof.file !== undefined) return Effect.sync(() => fileFound(place.workspace, proof.file ?? "", proof.matches))
  if (proof.git === "clean") {
    return Effect.map(
      run(["git", "status", "--porcelain"], GIT_TIME, place),
      (ran) =>
        succeeds(ran) ??
        (ran.printed === "" ? undefined : { found: "there are changes not committed", output: ran.printed })
    )
  }
  if (proof.git === "ahead") {
    return Effect.map(
      run(["git", "rev-list", "--count", `${proof.of}..HEAD`, "--"], GIT_TIME, place),
      (ran) =>
        succeeds(ran) ??
        (/^[1-9]/.test(ran.printed) ? undefined : { found: `HEAD has no commit that ${proof.of} has not` })
    )
  }
  return Effect.succeed(
    place.denied.length === 0 ? undefined : { found: brief(`denied were ${place.denied.join(", ")}`) }
  )
}

const limitOf = ({ timeLimit }: Proof) =>
  timeLimit === undefined ? COMMAND_TIME : Schema.decodeSync(PositiveDurationFromString)(timeLimit)

interface Ran {
  /** Undefined where it has exited with 0. */
  readonly failed: string | undefined
  /** The end of its stdout, and of its stderr. */
  readonly printed: string
  readonly errors: string
}

const succeeds = ({ errors, failed, printed }: Ran): Found => {
  if (failed === undefined) return undefined
  const output = [printed, errors].filter((text) => text !== "").join("\n")
  return output === "" ? { found: failed } : { found: failed, output }
}

const drain = (output: Stream.Stream<Uint8Array>, tail: Tail) =>
  Stream.runForEach(output, (chunk) => Effect.sync(() => tail.push(chunk)))

const run = ([command = "", ...args]: ReadonlyArray<string>, limit: Duration.Duration, place: Place) =>
  Effect.gen(function* () {
    const trees = yield* ProcessTree
    const process = yield* trees.spawn({ command, args, cwd: place.workspace, env: withoutSecrets(place.env) })
    yield* process.closeInput
    const out = new Tail()
    const err = new Tail()
    const reading = yield* Effect.forkScoped(
      Effect.all([drain(process.stdout, out), drain(process.stderr, err)], { concurrency: "unbounded" })
    )
    const exit = yield* Effect.timeoutOption(process.exit, limit)
    if (Option.isSome(exit)) yield* Effect.timeoutOption(Fiber.await(reading), LAST_WORDS)
    return { failed: failureOf(exit, limit), printed: out.text(), errors: err.text() }
  }).pipe(
    Effect.scoped,
    Effect.catch((error) => Effect.succeed({ failed: brief(error.message), printed: "", errors: "" }))
  )

const failureOf = (
  exit: Option.Option<{ readonly code: number | null; readonly signal: string | null }>,
  limit: Duration.Duration
): string | undefined => {
  if (Option.isNone(exit)) return `it took longer than ${Duration.format(limit)}`
  const { code, signal } = exit.value
  return code === 0 ? undefined : code === null ? `it was ended by ${signal}` : `it exited with ${code}`
}

/** Not the agent's own credentials, nor any value that is kept secret, nor where the CLI has its own. */
const WITHHELD: ReadonlyArray<string> = [...CREDENTIALS, "ANTHROPIC_CUSTOM_HEADERS", "CLAUDE_CONFIG_DIR"]

const withoutSecrets = (env: Place["env"]): Record<string, string> => ({
  ...Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      Redacted.isRedacted(value) || WITHHELD.includes(name) ? [] : [[name, value] as const]
    )
  ),
  // Nobody is there to answer, and to look is not to write.
  GIT_TERMINAL_PROMPT: "0",
  GIT_OPTIONAL_LOCKS: "0"
})

/** The last bytes of an output, however long it is. */
class Tail {
  private kept: Buffer = Buffer.alloc(0)
  private cut = false

  push(chunk: Uint8Array): void {
    const all = Buffer.concat([this.kept, chunk])
    this.cut ||= all.length > KEPT_OUTPUT
    // A copy, so that a large chunk is not held for the sake of its end.
    this.kept = Buffer.from(all.subarray(Math.max(0, all.length - KEPT_OUTPUT)))
  }

  text(): string {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours and what else a terminal is told
    const text = this.kept.toString("utf8").replace(/\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]/g, "")
    return `${this.cut ? "…" : ""}${text.trim()}`
  }
}

const fileFound = (workspace: string, path: string, pattern: string | undefined): Found => {
  let file: number | undefined
  try {
    const root = realpathSync(workspace)
    const real = realpathSync(join(root, path))
    if (real !== root && !real.startsWith(root === sep ? root : `${root}${sep}`))
      return { found: "it is a link that leads out of the workspace" }
    // A pipe would be waited for.
    file = openSync(real, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = fstatSync(file)
    if (!stat.isFile()) return { found: "it is not a file" }
    if (pattern === undefined) return undefined
    if (stat.size > MAX_FILE) return { found: `it has ${stat.size} bytes, and at most ${MAX_FILE} are matched` }
    return new RegExp(pattern, "mu").test(readFileSync(file, "utf8")) ? undefined : { found: "its text does not match" }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error)
    return { found: code === "ENOENT" || code === "ENOTDIR" ? "there is no such file" : `it cannot be read (${code})` }
  } finally {
    if (file !== undefined) closeSync(file)
  }
}
