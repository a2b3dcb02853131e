/** What git and the disk say of the worktrees of a repository. Changes nothing. */
import { existsSync, lstatSync, realpathSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { Effect } from "effect"
import { brief } from "../event/Event.ts"
import { holdersOf } from "../process/Holders.ts"
import type { Git } from "./Git.ts"
import type { GitRecord, WorkspaceRecord } from "./WorkspaceJournal.ts"
import * as WorkspaceRoom from "./WorkspaceRoom.ts"

export type WorktreeRecord = WorkspaceRecord & { readonly git: GitRecord }

/** A line of `git worktree list`. */
export interface Listed {
  readonly path: string
  readonly head: string | undefined
  readonly branch: string | undefined
  /** Why; empty where it is not said. */
  readonly locked: string | undefined
  readonly prunable: string | undefined
}

export const real = (path: string): string | undefined => {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

/** All worktrees of a repository, the main one first. */
export const list = Effect.fnUntraced(function* (git: Git, repository: string) {
  const text = yield* git.line(repository, ["worktree", "list", "--porcelain"])
  return text.split(/\n\n+/).flatMap((block): ReadonlyArray<Listed> => {
    const of = (key: string) =>
      new RegExp(`^${key}(?: (.*))?$`, "m").exec(block)?.[1] ??
      (new RegExp(`^${key}$`, "m").test(block) ? "" : undefined)
    const path = of("worktree")
    return path === undefined || path === ""
      ? []
      : [{ path, head: of("HEAD"), branch: of("branch"), locked: of("locked"), prunable: of("prunable") }]
  })
})

/** Git names its worktrees without links. */
export const listed = Effect.fnUntraced(function* (git: Git, { git: { repository }, path }: WorktreeRecord) {
  const wanted = [path, real(path), join(real(dirname(path)) ?? dirname(path), basename(path))]
  return (yield* list(git, repository)).find((each) => wanted.includes(each.path))
})

export const commitOf = (git: Git, cwd: string, what: string) =>
  git.maybe(cwd, ["rev-parse", "--verify", "--quiet", `${what}^{commit}`])

export const contains = (git: Git, cwd: string, whole: string, part: string) =>
  Effect.map(git.run(cwd, ["merge-base", "--is-ancestor", part, whole]), ({ code }) => code === 0)

/** Where git keeps what is this worktree's own. */
export const gitDirOf = (git: Git, path: string) =>
  Effect.map(git.line(path, ["rev-parse", "--git-dir"]), (dir) => resolve(path, dir))

/** Of an operation that is not through. */
const UNDER_WAY = [
  "MERGE_HEAD",
  "CHERRY_PICK_HEAD",
  "REVERT_HEAD",
  "BISECT_LOG",
  "rebase-merge",
  "rebase-apply",
  "sequencer"
]

/** Why it must be left as it is; undefined where it is the worktree of the record and nothing is under way in it. */
export const untouchable = Effect.fnUntraced(function* (git: Git, record: WorktreeRecord) {
  const { path } = record
  const { repository } = record.git
  if (!lstatSync(path).isDirectory()) return "it is not a directory any more"
  const here = real(path)
  if (here === undefined || here !== join(real(dirname(path)) ?? "", basename(path))) return "it leads elsewhere"
  if (!existsSync(repository)) return "its repository is gone"
  const common = yield* git.maybe(path, ["rev-parse", "--git-common-dir"])
  if (common === undefined) return "git does not know it as a worktree"
  const own = yield* git.line(repository, ["rev-parse", "--git-common-dir"])
  if (real(resolve(path, common)) !== real(resolve(repository, own))) return "it belongs to another repository"
  if (real(yield* git.line(path, ["rev-parse", "--show-toplevel"])) !== here)
    return "git does not know it as a worktree"
  const known = yield* listed(git, record)
  if (known === undefined) return "its repository does not know it"
  if (known.locked !== undefined) return known.locked === "" ? "it is locked" : brief(`it is locked: ${known.locked}`)
  const gitDir = yield* gitDirOf(git, path)
  const underWay = UNDER_WAY.find((name) => existsSync(join(gitDir, name)))
  if (underWay !== undefined) return `an operation of git is not through (${underWay})`
  if (existsSync(join(gitDir, "index.lock"))) return "a git that was killed has left its lock (index.lock)"
  const [holder] = holdersOf(here)
  if (holder !== undefined) return `the process ${holder} works in it`
  const { cut, nested } = yield* WorkspaceRoom.look(path)
  if (nested !== undefined) return brief(`there is a repository within it: ${nested}`)
  if (cut) return "it is too large to be looked through"
  return undefined
})
