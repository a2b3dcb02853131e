/**
 * One git worktree: made, removed, and finished or undone where that was cut off.
 *
 * Promises: nothing is removed by force. A worktree goes only with `git worktree remove`, which itself looks whether
 * anything in it is not in the commit that it is on; one with work that is not committed is first made to be on a commit
 * that holds all of it, and a ref holds that commit (WorktreeArchive.ts), so that what comes in between is seen by git and
 * stays. What is not provably the worktree that the record speaks of (WorktreeView.ts) is not touched.
 */
import { existsSync, lstatSync, readdirSync, rmdirSync, rmSync, unlinkSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { brief } from "../event/Event.ts"
import { faultOf, type Git, type GitError } from "./Git.ts"
import { BaseUnknown, BranchTaken, RepositoryUnusable, WorkspaceBlocked } from "./WorkspaceError.ts"
import type { Journal } from "./WorkspaceJournal.ts"
import type { WorktreeSpec } from "./WorkspaceSpec.ts"
import { onlyLess, snapshot, standBack, standOn } from "./WorktreeArchive.ts"
import { commitOf, contains, gitDirOf, list, listed, real, untouchable, type WorktreeRecord } from "./WorktreeView.ts"

/** What git writes into a lock while it makes a worktree. */
const INITIALIZING = "initializing"

/** What a new worktree is to begin from. Fails where the settings are wrong, before anything is made. */
export const plan = Effect.fn("Worktree.plan")(function* (git: Git, spec: WorktreeSpec, branch: string) {
  const { repository } = spec
  const unusable = (problem: "missing" | "not_git" | "empty", reason: string) =>
    new RepositoryUnusable({ repository, problem, reason })
  if (!existsSync(repository)) return yield* unusable("missing", "there is no such directory")
  // Bare ones have no top.
  const top = yield* git.run(repository, ["rev-parse", "--show-toplevel"])
  const isBare = top.code !== 0 && (yield* git.maybe(repository, ["rev-parse", "--is-bare-repository"])) === "true"
  if (top.code !== 0 && !isBare) return yield* faultOf(repository, ["rev-parse", "--show-toplevel"], top)
  if (!isBare && real(top.out.trim()) !== real(repository)) {
    return yield* unusable("not_git", "it is a directory within a repository, not the repository")
  }
  const start = yield* commitOf(git, repository, spec.base ?? "HEAD")
  if (start === undefined) {
    return yield* spec.base === undefined
      ? unusable("empty", "it has no commit yet")
      : new BaseUnknown({ repository, base: spec.base })
  }
  const name = yield* git.maybe(repository, ["rev-parse", "--symbolic-full-name", spec.base ?? "HEAD"])
  if ((yield* git.run(repository, ["check-ref-format", `refs/heads/${branch}`])).code !== 0) {
    return yield* new BranchTaken({ repository, branch, reason: "git does not take such a name" })
  }
  if ((yield* commitOf(git, repository, `refs/heads/${branch}`)) !== undefined) {
    return yield* new BranchTaken({
      repository,
      branch,
      reason: "it is there already, and no workspace is recorded for it"
    })
  }
  return { repository, branch, base: name?.startsWith("refs/") ? name : start, start, keep: spec.keep }
})

/** Asks git for it. The record says that it is being made. */
export const add = Effect.fn("Worktree.add")(function* (git: Git, record: WorktreeRecord) {
  const { archive, branch, commit, repository, start } = record.git
  if (!existsSync(repository)) {
    return yield* new RepositoryUnusable({ repository, problem: "missing", reason: "there is no such directory" })
  }
  // One whose directory somebody has removed.
  if (!existsSync(record.path) && (yield* listed(git, record)) !== undefined) yield* remove(git, record)
  const is = yield* commitOf(git, repository, `refs/heads/${branch}`)
  const args =
    is === undefined
      ? ["worktree", "add", "--quiet", "-b", branch, record.path, commit ?? start]
      : ["worktree", "add", "--quiet", record.path, branch]
  const ran = yield* git.run(repository, args)
  if (ran.code !== 0) {
    const reason = brief(ran.err.replace(/^(?:fatal|error): /gm, ""))
    if (/already (?:checked out|used by|exists)|exists; cannot create|cannot create '?refs/.test(ran.err)) {
      return yield* /^fatal: '.*' already exists$/m.test(ran.err)
        ? new WorkspaceBlocked({ path: record.path, reason })
        : new BranchTaken({ repository, branch, reason })
    }
    return yield* faultOf(repository, args, ran)
  }
  if (archive !== undefined) yield* restore(git, record, archive)
})

/** What was not committed when it was archived, where it still goes with what the branch is at. */
const restore = Effect.fnUntraced(function* (git: Git, { git: { commit }, path }: WorktreeRecord, archive: string) {
  if ((yield* commitOf(git, path, "HEAD")) !== commit || (yield* commitOf(git, path, archive)) === undefined) return
  yield* git.line(path, ["restore", `--source=${archive}`, "--worktree", "--", ":/"])
})

/** Are its commits where they belong: in the base, or in what it was pushed to? */
export const settled = Effect.fnUntraced(function* (git: Git, record: WorktreeRecord) {
  const { path } = record
  const { base, repository } = record.git
  if ((yield* commitOf(git, repository, base)) !== undefined && (yield* contains(git, path, base, "HEAD"))) {
    return "merged" as const
  }
  const upstream = yield* git.maybe(path, ["rev-parse", "--symbolic-full-name", "@{upstream}"])
  if (upstream?.startsWith("refs/remotes/") && (yield* contains(git, path, upstream, "HEAD"))) return "pushed" as const
  return undefined
})

/** git removes it, or says why not; where the directory is gone, only what the repository knows of it. */
export const remove = (git: Git, { git: { repository }, path }: WorktreeRecord) =>
  git.line(repository, ["worktree", "remove", path])

/** Deletes the branch where all of it is in the base. What git would not delete is left. Is it gone? */
export const dropBranch = Effect.fnUntraced(function* (
  git: Git,
  { git: { base, branch, repository } }: WorktreeRecord
) {
  const ref = `refs/heads/${branch}`
  const at = yield* commitOf(git, repository, ref)
  if (at === undefined) return true
  if ((yield* commitOf(git, repository, base)) === undefined) return false
  if (!(yield* contains(git, repository, base, at))) return false
  if ((yield* git.run(repository, ["branch", "--quiet", "-d", branch])).code === 0) return true
  // git asks whether it is in what the repository stands on, which need not be the base. Where somebody works on it, it is left.
  if ((yield* list(git, repository)).some((worktree) => worktree.branch === ref)) return false
  return (yield* git.run(repository, ["update-ref", "-d", ref, at])).code === 0
})

/** The branch of a worktree that was never worked in. */
const dropUnused = Effect.fnUntraced(function* (
  git: Git,
  { git: { base, branch, repository, start } }: WorktreeRecord
) {
  const ref = `refs/heads/${branch}`
  if ((yield* commitOf(git, repository, ref)) !== start || !(yield* contains(git, repository, base, start))) return
  yield* git.line(repository, ["update-ref", "-d", ref, start])
})

export type Resumed =
  /** It is whole, and can be worked in. */
  | { readonly _tag: "Ready" }
  /** Nothing is left of it. */
  | { readonly _tag: "Gone" }

/**
 * Finishes or undoes what was cut off, from what is there. Nobody has worked in one that was being made; one that was
 * being removed had nothing in it that is not in a commit. Where more is found than that, it is left, to be worked in.
 */
export const resume = Effect.fn("Worktree.resume")(function* (
  git: Git,
  journal: Journal,
  record: WorktreeRecord
): Effect.fn.Return<Resumed, GitError | WorkspaceBlocked> {
  const { path } = record
  const making = record.state === "making"
  const { archive, head, repository } = record.git
  if (!existsSync(repository)) {
    return yield* new RepositoryUnusable({ repository, problem: "missing", reason: "there is no such directory" })
  }
  const known = yield* listed(git, record)
  if (known?.locked === INITIALIZING) yield* git.line(repository, ["worktree", "unlock", known.path])
  const emptied = making ? yield* dropEmpty(path) : false
  if (!existsSync(path)) {
    if (known !== undefined) yield* remove(git, record)
    // One that was being made again has a past.
    if (making && archive === undefined && record.git.commit === undefined) yield* dropUnused(git, record)
    return { _tag: "Gone" }
  }
  if (emptied) return yield* new WorkspaceBlocked({ path, reason: "it cannot be removed" })
  // git may take this file away first. It writes it again, and complains that it was not there.
  if (known !== undefined && !existsSync(join(path, ".git"))) yield* git.run(repository, ["worktree", "repair"])
  // git writes the index last. Without it a commit would take all away that is there; the lock may be gone since an earlier try.
  const own = making && known !== undefined ? yield* gitDirOf(git, path) : undefined
  const isCut = own !== undefined && (known?.locked === INITIALIZING || !existsSync(join(own, "index")))
  // Of the git that was making it, in a place where no other has been.
  if (isCut) rmSync(join(own, "index.lock"), { force: true })
  const why = yield* untouchable(git, record)
  if (why !== undefined) return yield* new WorkspaceBlocked({ path, reason: why })
  if (making && !isCut) {
    if (archive !== undefined) yield* restore(git, record, archive)
    return { _tag: "Ready" }
  }
  const taken = yield* snapshot(git, journal, record)
  const isSaved =
    making ||
    (archive === undefined ? (yield* settled(git, record)) !== undefined : yield* contains(git, path, archive, "HEAD"))
  if (isSaved && (taken.clean || (yield* onlyLess(git, path, taken.head, taken.tree)))) {
    if (!taken.clean) {
      yield* standOn(git, path, yield* git.line(path, ["commit-tree", taken.tree, "-p", taken.head, "-m", "cut off"]))
    }
    yield* remove(git, record)
    if (making && archive === undefined && record.git.commit === undefined) yield* dropUnused(git, record)
    return { _tag: "Gone" }
  }
  // Something has come in between: it is worked with as before.
  if (archive !== undefined && head !== undefined && taken.head === (yield* commitOf(git, path, archive))) {
    if (taken.on !== head) yield* standBack(git, path, head)
  }
  return { _tag: "Ready" }
})

/** Where git had only begun: nothing in it, or nothing but the file that names the repository. */
const dropEmpty = (path: string) =>
  Effect.try({
    try: () => {
      if (!existsSync(path) || !lstatSync(path).isDirectory()) return false
      const names = readdirSync(path)
      if (names.length > 1 || (names.length === 1 && names[0] !== ".git")) return false
      if (names.length === 1) {
        if (!lstatSync(join(path, ".git")).isFile()) return false
        unlinkSync(join(path, ".git"))
      }
      rmdirSync(path)
      return true
    },
    catch: (error) => new WorkspaceBlocked({ path, reason: brief(String(error)) })
  })

/** Where work stands in it. */
export const factsOf = Effect.fnUntraced(function* (git: Git, path: string) {
  const head = yield* git.maybe(path, ["rev-parse", "--verify", "--quiet", "HEAD"])
  const branch = yield* git.maybe(path, ["symbolic-ref", "--quiet", "--short", "HEAD"])
  return { path, ...(branch === undefined ? {} : { branch }), ...(head === undefined ? {} : { head }) }
})
