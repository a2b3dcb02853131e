/**
 * All that is in a worktree but what git ignores, as trees, and the ref that holds it when the worktree is to go: what is
 * not committed is put on a commit, which is read back before anything relies on it.
 */
import { copyFileSync, existsSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { crashPoint } from "../state/CrashPoint.ts"
import type { Git } from "./Git.ts"
import { GitFailed } from "./WorkspaceError.ts"
import type { Journal } from "./WorkspaceJournal.ts"
import { commitOf, gitDirOf, type WorktreeRecord } from "./WorktreeView.ts"

export const REFS = "refs/mister-smith/archive/"
/** A task's archives of one name. */
const MAX_ARCHIVES = 1_000
/** As trees, at one moment. */
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

/** Only what is missing differs: then nothing is in it that the commit has not. */
export const onlyLess = (git: Git, path: string, commit: string, tree: string) =>
  Effect.map(git.line(path, ["diff-tree", "-r", "--diff-filter=d", "--name-only", commit, tree]), (text) => text === "")
