/**
 * One git worktree: made, looked at, archived and removed.
 *
 * Promises: nothing is removed by force. A worktree goes only with `git worktree remove`, which itself looks whether
 * anything in it is not in the commit that it is on; one with work that is not committed is first made to be on a commit
 * that holds all of it, and a ref holds that commit, so that what comes in between is seen by git and stays. What is not
 * provably the worktree that the record speaks of is not touched.
 */
import { copyFileSync, existsSync, lstatSync, readdirSync, realpathSync, rmdirSync, rmSync, unlinkSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { Effect } from "effect"
import { brief } from "../event/Event.ts"
import { holdersOf } from "../process/Holders.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import { faultOf, type Git, type GitError } from "./Git.ts"
import { BaseUnknown, BranchTaken, GitFailed, RepositoryUnusable, WorkspaceBlocked } from "./WorkspaceError.ts"
import type { GitRecord, Journal, WorkspaceRecord } from "./WorkspaceJournal.ts"
import * as WorkspaceRoom from "./WorkspaceRoom.ts"
import type { WorktreeSpec } from "./WorkspaceSpec.ts"

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

export const REFS = "refs/mister-smith/archive/"
/** A task's archives of one name. */
const MAX_ARCHIVES = 1_000
/** What git writes into a lock while it makes a worktree. */
const INITIALIZING = "initializing"

const real = (path: string): string | undefined => {
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
const listed = Effect.fnUntraced(function* (git: Git, { git: { repository }, path }: WorktreeRecord) {
  const wanted = [path, real(path), join(real(dirname(path)) ?? dirname(path), basename(path))]
  return (yield* list(git, repository)).find((each) => wanted.includes(each.path))
})

const commitOf = (git: Git, cwd: string, what: string) =>
  git.maybe(cwd, ["rev-parse", "--verify", "--quiet", `${what}^{commit}`])

const contains = (git: Git, cwd: string, whole: string, part: string) =>
  Effect.map(git.run(cwd, ["merge-base", "--is-ancestor", part, whole]), ({ code }) => code === 0)

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

/** Where git keeps what is this worktree's own. */
const gitDirOf = (git: Git, path: string) =>
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

/** All that is in a worktree but what git ignores, as trees. */
export interface Snapshot {
  readonly head: string
  /** The ref that HEAD stands for, or the commit. */
  readonly on: string
  readonly headTree: string
  readonly tree: string
  /** Of what is staged. */
  readonly index: string
  readonly clean: boolean
}

/** Fails where git cannot say, or where it is not all in trees: submodules, conflicts. */
export const snapshot = Effect.fn("Worktree.snapshot")(function* (git: Git, journal: Journal, record: WorktreeRecord) {
  const { name, path } = record
  const [index, staged] = [journal.scratch(name, "index"), journal.scratch(name, "staged")]
  const env = { GIT_INDEX_FILE: index }
  const forget = Effect.sync(() => {
    for (const file of [index, `${index}.lock`, staged, `${staged}.lock`]) rmSync(file, { force: true })
  })
  return yield* Effect.gen(function* () {
    yield* forget
    const head = yield* git.line(path, ["rev-parse", "--verify", "HEAD^{commit}"])
    const headTree = yield* git.line(path, ["rev-parse", "HEAD^{tree}"])
    const on = (yield* git.maybe(path, ["symbolic-ref", "--quiet", "HEAD"])) ?? head
    // An index of its own, from nothing: no flag in the worktree's own can hide a change.
    yield* git.line(path, ["read-tree", "HEAD"], env)
    yield* git.line(path, ["add", "--all"], env)
    const { out } = yield* git.run(path, ["ls-files", "--stage"], env)
    if (/^160000 /m.test(out)) return yield* unsaved("it has a submodule, or a repository within it")
    const tree = yield* git.line(path, ["write-tree"], env)
    const own = join(yield* gitDirOf(git, path), "index")
    if (existsSync(own)) copyFileSync(own, staged)
    const indexTree = existsSync(own) ? yield* git.line(path, ["write-tree"], { GIT_INDEX_FILE: staged }) : headTree
    const found: Snapshot = {
      head,
      on,
      headTree,
      tree,
      index: indexTree,
      clean: tree === headTree && indexTree === tree
    }
    return found
  }).pipe(Effect.ensuring(forget))
})

const unsaved = (reason: string) => Effect.fail(new GitFailed({ command: "git add --all", reason }))

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

/** A ref that holds this snapshot, made where there is none; it has been read back. */
export const archive = Effect.fn("Worktree.archive")(function* (git: Git, record: WorktreeRecord, taken: Snapshot) {
  const { name, path, task } = record
  crashPoint("workspace.archive.before")
  const parents = ["-p", taken.head]
  if (taken.index !== taken.headTree && taken.index !== taken.tree) {
    const message = `What was staged for task ${task}`
    parents.push("-p", yield* git.line(path, ["commit-tree", taken.index, "-p", taken.head, "-m", message]))
  }
  const commit = taken.clean
    ? taken.head
    : yield* git.line(path, ["commit-tree", taken.tree, ...parents, "-m", `What task ${task} had not committed`])
  for (let number = 1; number <= MAX_ARCHIVES; number++) {
    const ref = `${REFS}${name}${number === 1 ? "" : `.${number}`}`
    if ((yield* commitOf(git, path, ref)) !== undefined) continue
    // Only where it is not there.
    yield* git.line(path, ["update-ref", ref, commit, "0".repeat(commit.length)])
    crashPoint("workspace.archive.after")
    const [is, tree] = [yield* commitOf(git, path, ref), yield* git.maybe(path, ["rev-parse", `${ref}^{tree}`])]
    if (is !== commit || tree !== taken.tree) return yield* unsaved(`${ref} does not hold what was put into it`)
    return { ref, commit }
  }
  return yield* unsaved(`there are ${MAX_ARCHIVES} archives of this name`)
})

/** Puts it on a commit with all that is in it, so that git finds it clean if nothing is changed any more. */
export const standOn = Effect.fnUntraced(function* (git: Git, path: string, commit: string) {
  yield* git.line(path, ["update-ref", "--no-deref", "HEAD", commit])
  crashPoint("workspace.stand.within")
  yield* git.line(path, ["read-tree", commit])
  crashPoint("workspace.stand.after")
})

/** Back to where it was. What is in it is left as it is. */
export const standBack = Effect.fnUntraced(function* (git: Git, path: string, on: string) {
  yield* on.startsWith("refs/")
    ? git.line(path, ["symbolic-ref", "HEAD", on])
    : git.line(path, ["update-ref", "--no-deref", "HEAD", on])
  yield* git.line(path, ["read-tree", "HEAD"])
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

/** Only what is missing differs: then nothing is in it that the commit has not. */
const onlyLess = (git: Git, path: string, commit: string, tree: string) =>
  Effect.map(git.line(path, ["diff-tree", "-r", "--diff-filter=d", "--name-only", commit, tree]), (text) => text === "")

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
  if (making && known?.locked === INITIALIZING) {
    // Of the git that was making it, in a place where no other has been.
    rmSync(join(yield* gitDirOf(git, path), "index.lock"), { force: true })
  }
  const why = yield* untouchable(git, record)
  if (why !== undefined) return yield* new WorkspaceBlocked({ path, reason: why })
  if (making && known?.locked !== INITIALIZING) {
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
