/**
 * The locks that a git leaves when it is killed with the runtime, on what is a workspace's alone: its branch and its
 * archives, and, where it was just being made or removed, its index and its HEAD. With one of them left, the task would
 * never get its workspace, or the workspace never be cleared away.
 *
 * Promises: asked only at the start, when whatever earlier lives have started is proven gone and nobody works in a
 * workspace yet. The locks that a repository has for all (packed-refs, config) are left, for another git may hold them.
 */
import { existsSync, readdirSync, readFileSync, realpathSync, unlinkSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { Effect } from "effect"
import { holdersOf } from "../process/Holders.ts"
import type { Git } from "./Git.ts"
import { REFS } from "./WorktreeArchive.ts"
import type { WorktreeRecord } from "./WorktreeView.ts"

/** Removes them, and answers with their paths. What cannot be removed is named by git when it is met. */
export const drop = Effect.fn("StaleLocks.drop")(function* (git: Git, records: ReadonlyArray<WorktreeRecord>) {
  const dropped: Array<string> = []
  for (const [repository, own] of Map.groupBy(records, (record) => record.git.repository)) {
    if (!existsSync(repository)) continue
    const common = yield* git.maybe(repository, ["rev-parse", "--git-common-dir"])
    if (common === undefined) continue
    const dir = resolve(repository, common)
    const archives = namesIn(join(dir, REFS))
    for (const record of own) {
      for (const lock of [
        `refs/heads/${record.git.branch}.lock`,
        ...archivesOf(record, archives),
        ...inIt(dir, record)
      ])
        if (removed(join(dir, lock))) dropped.push(join(dir, lock))
    }
  }
  return dropped
})

const archivesOf = ({ name }: WorktreeRecord, names: ReadonlyArray<string>) =>
  names.flatMap((each) => {
    const rest = each.startsWith(name) ? each.slice(name.length) : ""
    return /^(?:\.\d+)?\.lock$/.test(rest) ? [REFS + each] : []
  })

/** Of one that is half made or half removed, unless somebody has gone into it. */
const inIt = (common: string, { path, state }: WorktreeRecord): ReadonlyArray<string> => {
  if (state !== "making" && state !== "removing") return []
  if (existsSync(path) && holdersOf(real(path)).length > 0) return []
  const files = [path, real(path), join(real(dirname(path)), basename(path))].map((each) => join(each, ".git"))
  const id = namesIn(join(common, "worktrees")).find((each) => files.includes(named(common, each)))
  return id === undefined ? [] : ["index.lock", "HEAD.lock"].map((lock) => join("worktrees", id, lock))
}

/** The file .git that a worktree of this id has. */
const named = (common: string, id: string): string => {
  try {
    return readFileSync(join(common, "worktrees", id, "gitdir"), "utf8").trim()
  } catch {
    return ""
  }
}

const real = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

const namesIn = (dir: string): ReadonlyArray<string> => {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

const removed = (file: string): boolean => {
  try {
    unlinkSync(file)
    return true
  } catch {
    return false
  }
}
