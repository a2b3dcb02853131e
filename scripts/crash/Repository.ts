/**
 * The git repository that the worktrees of a crash run are made from, and a person who works with it meanwhile: has a
 * worktree, a branch and files of their own beside the data directory, and merges now and then what the agents have done.
 */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Random } from "./Random.ts"

/** What tasks begin from, and what their work is merged into. It is not checked out anywhere. */
export const BASE = "trunk"
/** Of each task, in front of its id. */
export const PREFIX = "mister-smith/"
/** A person's own, under the name that the runtime gives its branches. */
const BY_HAND = `${PREFIX}by-hand`
/** Of a branch that is open it is merged in one round. */
const MERGED = 0.3
/** In one round, at most. */
const MERGES = 3

export interface Repository {
  readonly path: string
  /** Where the person works. */
  readonly outside: string
  /** All that is the person's, as it was at first. */
  readonly before: ReadonlyMap<string, string>
}

export const git = (
  cwd: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {},
  input = ""
): string =>
  execFileSync("git", ["-c", "user.name=P", "-c", "user.email=p@localhost", "-c", "gc.auto=0", ...args], {
    cwd,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: "/", LC_ALL: "C", ...env },
    input,
    stdio: ["pipe", "pipe", "pipe"]
  }).trim()

/** Undefined where git says no. */
export const maybe = (cwd: string, ...args: ReadonlyArray<string>): string | undefined => {
  try {
    return git(cwd, args)
  } catch {
    return undefined
  }
}

export const linesOf = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

export const make = (dir: string): Repository => {
  const path = join(dir, "repository")
  const outside = join(dir, "outside")
  mkdirSync(join(path, "src"), { recursive: true })
  mkdirSync(join(outside, "empty"), { recursive: true })
  git(path, ["-c", "init.defaultBranch=main", "init", "--quiet"])
  writeFileSync(join(path, "README"), "first\n")
  for (let file = 0; file < 20; file++) writeFileSync(join(path, "src", `part${file}`), `${file}\n`.repeat(100))
  git(path, ["add", "--all"])
  git(path, ["commit", "--quiet", "-m", "first"])
  git(path, ["branch", BASE])
  git(path, ["branch", BY_HAND])
  git(path, ["tag", "v1"])
  writeFileSync(join(path, "notes"), "not committed\n")
  writeFileSync(join(outside, "notes"), "in no repository\n")
  const mine = join(outside, "mine")
  git(path, ["worktree", "add", "--quiet", "-b", "mine", mine])
  writeFileSync(join(mine, "mine"), "committed\n")
  git(mine, ["add", "--all"])
  git(mine, ["commit", "--quiet", "-m", "mine"])
  writeFileSync(join(mine, "mine"), "and changed\n")
  rmSync(join(mine, "src", "part0"))
  return { path, outside, before: theirs(path, outside) }
}

/** All files and refs of the person, with what is in them. */
export const theirs = (path: string, outside: string): ReadonlyMap<string, string> => {
  const found = new Map<string, string>()
  const walk = (here: string) => {
    for (const name of readdirSync(here)) {
      const each = join(here, name)
      if (each === join(path, ".git")) continue
      if (lstatSync(each).isDirectory()) {
        found.set(`${each}/`, "")
        walk(each)
      } else found.set(each, createHash("sha256").update(readFileSync(each)).digest("hex"))
    }
  }
  walk(path)
  walk(outside)
  for (const ref of ["HEAD", "refs/heads/main", "refs/heads/mine", `refs/heads/${BY_HAND}`, "refs/tags/v1"])
    found.set(ref, maybe(path, "rev-parse", "--verify", "--quiet", ref) ?? "gone")
  found.set("worktree of mine", maybe(join(outside, "mine"), "status", "--porcelain", "--branch") ?? "gone")
  return found
}

/** Merges some of what is there into the base, as a forge does: without a worktree. */
export const mergeSome = ({ path }: Repository, dir: string, random: Random): void => {
  const refs = linesOf(
    git(path, ["for-each-ref", `--no-merged=${BASE}`, "--format=%(objectname)", `refs/heads/${PREFIX}`])
  )
  const index = join(dir, "merge.index")
  for (const branch of refs.filter(() => random.chance(MERGED)).slice(0, MERGES)) {
    const trunk = git(path, ["rev-parse", BASE])
    const common = git(path, ["merge-base", trunk, branch])
    rmSync(index, { force: true })
    git(path, ["read-tree", "-i", "-m", "--aggressive", common, trunk, branch], { GIT_INDEX_FILE: index })
    const tree = git(path, ["write-tree"], { GIT_INDEX_FILE: index })
    const commit = git(path, ["commit-tree", tree, "-p", trunk, "-p", branch, "-m", "merge"])
    git(path, ["update-ref", `refs/heads/${BASE}`, commit, trunk])
  }
}
