/**
 * git, as a program: an argv and never a shell line, in a process tree of its own that is proven gone, with an
 * environment that holds no secret and nothing that could point it at another repository. Says why it failed as a type.
 */
import { realpathSync } from "node:fs"
import { dirname } from "node:path"
import { Context, Duration, Effect, Fiber, Option, Stream } from "effect"
import { brief } from "../event/Event.ts"
import type { ProcessTree } from "../process/ProcessTree.ts"
import { GitFailed, GitMissing, NoRoom, RepositoryLocked, RepositoryUnusable } from "./WorkspaceError.ts"

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

export type GitError = GitMissing | GitFailed | NoRoom | RepositoryLocked | RepositoryUnusable

export interface Git {
  /** What it printed, whatever its exit code. */
  run(cwd: string, args: ReadonlyArray<string>, env?: Readonly<Record<string, string>>): Effect.Effect<Ran, GitError>
  /** What it printed, without the last newline. Fails where its exit code is not 0. */
  line(
    cwd: string,
    args: ReadonlyArray<string>,
    env?: Readonly<Record<string, string>>
  ): Effect.Effect<string, GitError>
  /** The same, or undefined where its exit code is not 0. */
  maybe(cwd: string, args: ReadonlyArray<string>): Effect.Effect<string | undefined, GitError>
}

/** Told before each step that changes something, and after it. Replaced in tests, which end the runtime there. */
export const Steps = Context.Reference<{ readonly step: (what: string) => Effect.Effect<void> }>(
  "mister-smith/agent/Git/Steps",
  { defaultValue: () => ({ step: () => Effect.void }) }
)

/** A checkout of a large repository takes minutes; more is a hang. */
const TIME = Duration.minutes(10)
/** Of what it prints, in characters. More is not an answer to any question that is asked here. */
const MAX_OUTPUT = 32 * 1024 * 1024
/** What one that has ended had still in its pipe; a hook it left behind may hold the pipe for ever. */
const LAST_WORDS = "5 seconds"

const INHERITED = ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME"]

/** In any repository, whatever its settings: nothing in the background, no daemon, and a commit that is on the disk when it is made. */
const ALWAYS = [
  "gc.auto=0",
  "maintenance.auto=false",
  "core.fsmonitor=false",
  "status.showUntrackedFiles=all",
  "core.fsync=all",
  "core.quotePath=false",
  "advice.detachedHead=false"
].flatMap((setting) => ["-c", setting])

const environmentOf = (host: Readonly<Record<string, string | undefined>>): Record<string, string> => ({
  ...Object.fromEntries(INHERITED.flatMap((name) => (host[name] === undefined ? [] : [[name, host[name]]]))),
  LC_ALL: "C",
  // Nobody is there to answer.
  GIT_TERMINAL_PROMPT: "0",
  GIT_AUTHOR_NAME: "MisterSmith",
  GIT_AUTHOR_EMAIL: "mister-smith@localhost",
  GIT_COMMITTER_NAME: "MisterSmith",
  GIT_COMMITTER_EMAIL: "mister-smith@localhost"
})

export const make = (
  trees: ProcessTree["Service"],
  host: Readonly<Record<string, string | undefined>>,
  step: (what: string) => Effect.Effect<void> = () => Effect.void
): Git => {
  const env = environmentOf(host)
  const run: Git["run"] = (cwd, args, more = {}) =>
    Effect.gen(function* () {
      const [name = ""] = args
      if (!READS.has(name)) yield* step(`before git ${args.slice(0, 2).join(" ")}`)
      const own = { ...env, GIT_CEILING_DIRECTORIES: above(cwd), ...more }
      const process = yield* trees.spawn({ command: "git", args: [...ALWAYS, ...args], cwd, env: own })
      yield* process.closeInput
      const out = { text: "" }
      const err = { text: "" }
      const reading = yield* Effect.forkScoped(
        Effect.all([gather(process.stdout, out), gather(process.stderr, err)], { concurrency: "unbounded" })
      )
      const exit = yield* Effect.timeoutOption(process.exit, TIME)
      if (Option.isNone(exit)) {
        return yield* failed(args, `it took longer than ${Duration.format(TIME)}`)
      }
      yield* Effect.timeoutOption(Fiber.await(reading), LAST_WORDS)
      if (out.text.length > MAX_OUTPUT) return yield* failed(args, "it printed more than can be looked through")
      if (!READS.has(name)) yield* step(`after git ${args.slice(0, 2).join(" ")}`)
      return { code: exit.value.code ?? -1, out: out.text, err: err.text }
    }).pipe(
      Effect.scoped,
      Effect.catchTags({
        CommandNotFound: ({ message }) => Effect.fail(new GitMissing({ reason: message })),
        CommandNotExecutable: ({ message }) => Effect.fail(new GitMissing({ reason: message })),
        WorkingDirectoryMissing: () =>
          Effect.fail(
            new RepositoryUnusable({ repository: cwd, problem: "missing", reason: "there is no such directory" })
          ),
        OutOfResources: ({ message }) => failed(args, message),
        SpawnFailed: ({ message }) => failed(args, message),
        LimitUnenforceable: ({ message }) => failed(args, message)
      }),
      Effect.withSpan("Git.run", { attributes: { command: args[0] } })
    )
  const line: Git["line"] = (cwd, args, more) =>
    Effect.flatMap(run(cwd, args, more), (ran) =>
      ran.code === 0 ? Effect.succeed(ran.out.replace(/\n$/, "")) : Effect.fail(faultOf(cwd, args, ran))
    )
  return {
    run,
    line,
    maybe: (cwd, args) =>
      Effect.map(run(cwd, args), ({ code, out }) => (code === 0 ? out.replace(/\n$/, "") : undefined))
  }
}

/** What only looks is no step. */
const READS = new Set([
  "rev-parse",
  "for-each-ref",
  "merge-base",
  "status",
  "ls-files",
  "diff-tree",
  "check-ref-format",
  "cat-file"
])

/** Where it must not look for a repository: one around a directory that has lost its own is not meant. */
const above = (cwd: string): string => {
  try {
    return dirname(realpathSync(cwd))
  } catch {
    return dirname(cwd)
  }
}

const gather = (output: Stream.Stream<Uint8Array>, into: { text: string }) =>
  Stream.runForEach(Stream.decodeText(output), (text) =>
    Effect.sync(() => {
      if (into.text.length <= MAX_OUTPUT) into.text += text
    })
  )

const nameOf = (args: ReadonlyArray<string>) => brief(`git ${args.join(" ")}`)
const failed = (args: ReadonlyArray<string>, reason: string) =>
  Effect.fail(new GitFailed({ command: nameOf(args), reason: brief(reason) }))

/** What its last words mean. */
export const faultOf = (cwd: string, args: ReadonlyArray<string>, { code, err }: Ran): GitError => {
  const reason = brief(err.replace(/^(?:fatal|error): /gm, "")) || `it exited with ${code}`
  if (/No space left on device|Disk quota exceeded|file too large/i.test(err)) return new NoRoom({ path: cwd, reason })
  if (/dubious ownership|unsafe repository/.test(err)) {
    return new RepositoryUnusable({ repository: cwd, problem: "untrusted", reason: "git does not trust its owner" })
  }
  if (/not a git repository/.test(err)) {
    return new RepositoryUnusable({ repository: cwd, problem: "not_git", reason: "it is no git repository" })
  }
  if (/\.lock': File exists|could not lock|another git process/i.test(err)) {
    return new RepositoryLocked({ repository: cwd, reason })
  }
  return new GitFailed({ command: nameOf(args), reason })
}
