/** Workspaces over real git, for tests: a repository, a data directory, and what is in them. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { Context, Duration, Effect, Layer, type Scope, Stream } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { AgentHost } from "../../src/agent/AgentHost.ts"
import { Steps } from "../../src/agent/Git.ts"
import { Workspaces } from "../../src/agent/Workspace.ts"
import type { OwnSpec, WorkspaceSettings } from "../../src/agent/WorkspaceSpec.ts"
import type { Event } from "../../src/event/Event.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { ProcessTree } from "../../src/process/ProcessTree.ts"

export const hasGit = (() => {
  try {
    execFileSync("git", ["--version"])
    return true
  } catch {
    return false
  }
})()

/** As a person or an agent would call it. */
export const git = (cwd: string, ...args: ReadonlyArray<string>): string =>
  execFileSync(
    "git",
    ["-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main", "-c", "gc.auto=0", ...args],
    { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }
  ).trim()

/** A repository with a first commit. */
export const repository = (path: string): string => {
  mkdirSync(path, { recursive: true })
  git(path, "init", "--quiet")
  put(path, "README", "first\n")
  put(path, "src/one", "1\n")
  put(path, ".gitignore", "ignored\n")
  git(path, "add", "--all")
  git(path, "commit", "--quiet", "-m", "first")
  return path
}

export const put = (dir: string, file: string, text: string): void => {
  mkdirSync(dirname(join(dir, file)), { recursive: true })
  writeFileSync(join(dir, file), text)
}

export const commit = (dir: string, file: string, text: string): string => {
  put(dir, file, text)
  git(dir, "add", "--all")
  git(dir, "commit", "--quiet", "-m", file)
  return git(dir, "rev-parse", "HEAD")
}

/** Undefined where there is no such thing. */
export const revOf = (dir: string, what: string): string | undefined => {
  try {
    return git(dir, "rev-parse", "--verify", "--quiet", what)
  } catch {
    return undefined
  }
}

export const worktree = (
  repository: string,
  more: Partial<Extract<OwnSpec, { readonly kind: "worktree" }>> = {}
): Extract<OwnSpec, { readonly kind: "worktree" }> => ({
  kind: "worktree",
  repository,
  branch: "mister-smith/{task}",
  keep: "unmerged",
  ...more
})

export interface Life {
  readonly workspaces: Workspaces["Service"]
  readonly events: Array<Event>
}

export interface LifeOptions {
  readonly settings?: Partial<WorkspaceSettings>
  /** Before and after each change. */
  readonly step?: (what: string) => Effect.Effect<void>
}

/** One life of the runtime on this data directory; over when the Scope closes. */
export const life = (
  dataDir: string,
  { settings, step = () => Effect.void }: LifeOptions = {}
): Effect.Effect<Life, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    mkdirSync(dataDir, { recursive: true })
    const host = AgentHost.layer({
      dataDir,
      baseDir: dataDir,
      env: {},
      startTimeout: Duration.seconds(1),
      maxLine: 1024,
      stopTime: Duration.seconds(5)
    })
    const base = ProcessTree.layerBare.pipe(
      Layer.provideMerge(host),
      Layer.provideMerge(EventBus.layer),
      Layer.provideMerge(SecureRandom.layerWebCrypto)
    )
    const around = yield* Layer.build(base)
    const events: Array<Event> = []
    const stream = yield* Context.get(around, EventBus).subscribe
    yield* Effect.forkScoped(Stream.runForEach(stream, (event) => Effect.sync(() => events.push(event))))
    const built = yield* Layer.build(
      Workspaces.layer({ kept: 50, size: 1024 ** 3, ...settings }).pipe(Layer.provide(Layer.succeedContext(around)))
    ).pipe(Effect.provideService(Steps, { step }))
    const workspaces = Context.get(built, Workspaces)
    yield* workspaces.recover
    return { workspaces, events }
  })

/** What an attempt does in its place. */
export const attempt = (
  { workspaces }: Life,
  task: string,
  spec: OwnSpec,
  work: (path: string) => void = () => {}
): Effect.Effect<string, unknown> =>
  Effect.scoped(Effect.tap(workspaces.acquire(task, "worker", spec), (path) => Effect.sync(() => work(path))))

/** These tasks are over. */
export const over =
  (...tasks: ReadonlyArray<string>) =>
  (task: string) =>
    Effect.succeed(tasks.length === 0 || tasks.includes(task))

export const textOf = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, "utf8") : undefined)

export const recordFile = (dataDir: string, name: string): string =>
  join(dataDir, "workspaces", ".records", `${name}.json`)
