/**
 * The runtime dies at each point of what it does with a workspace, and begins again. Whatever was committed, and whatever
 * was in a file and is not ignored, is afterwards in a branch, under a ref, or still on the disk.
 */
import { createHash } from "node:crypto"
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, type Exit } from "effect"
import { tempDir } from "../utils/Binary.ts"
import { generator } from "../utils/Zoo.ts"
import {
  attempt,
  commit,
  git,
  hasGit,
  type Life,
  life,
  over,
  put,
  recordFile,
  repository,
  revOf,
  textOf,
  worktree
} from "./Places.ts"

const TIME = 240_000

/** Where the runtime dies. */
class Died extends Data.TaggedError("Died")<{ readonly at: string }> {}

/** Dies at the step of this number, and at every step after it: the dead do nothing. */
const dying = (at: number) => {
  let count = 0
  return {
    count: () => count,
    step: (what: string) => Effect.suspend(() => (++count >= at ? Effect.die(new Died({ at: what })) : Effect.void))
  }
}

/** Runs a life that may die in the middle of it. */
const until = (dataDir: string, at: number, script: (node: Life) => Effect.Effect<unknown, unknown>, kept = 50) => {
  const death = dying(at)
  return Effect.scoped(Effect.flatMap(life(dataDir, { step: death.step, settings: { kept } }), script)).pipe(
    Effect.exit,
    Effect.map((exit) => ({ exit, steps: death.count() }))
  )
}

/** Every text that can still be had: from the disk, and from git, by every ref, and every worktree's HEAD and index. */
const texts = (repo: string, data: string): ReadonlySet<string> => {
  const found = new Set<string>()
  const walk = (dir: string) => {
    for (const name of readdirSync(dir)) {
      const path = join(dir, name)
      const stat = lstatSync(path)
      if (stat.isDirectory()) {
        if (name !== ".git" && name !== ".records") walk(path)
      } else if (stat.isFile()) found.add(readFileSync(path, "utf8").trim())
    }
  }
  if (existsSync(join(data, "workspaces"))) walk(join(data, "workspaces"))
  walk(repo)
  const listing = git(repo, "rev-list", "--objects", "--all", "--indexed-objects")
  const blobs = new Set(listing.split("\n").flatMap((line) => (line.includes(" ") ? [line.split(" ")[0] ?? ""] : [])))
  for (const chunk of git(repo, "cat-file", "--batch-check", "--batch-all-objects").split("\n")) {
    const [id = "", type] = chunk.split(" ")
    if (type === "blob" && blobs.has(id)) found.add(git(repo, "cat-file", "blob", id))
  }
  return found
}

/** Leaves what else is staged as it is. */
const commitOnly = (path: string, name: string, text: string) => {
  put(path, name, text)
  git(path, "add", name)
  git(path, "commit", "--quiet", "-m", name, "--", name)
}

/** Nothing is half done, and git and the records agree. */
const consistent = (repo: string, data: string) => {
  const records = readdirSync(join(data, "workspaces", ".records"))
  for (const name of records.filter((each) => each.endsWith(".json"))) {
    const record = JSON.parse(readFileSync(join(data, "workspaces", ".records", name), "utf8"))
    assert.include(["ready", "away"], record.state, name)
    assert.strictEqual(existsSync(record.path), record.state === "ready", `${name} ${record.state}`)
  }
  const listed = git(repo, "worktree", "list", "--porcelain")
  assert.notInclude(listed, "prunable")
  assert.notInclude(listed, "locked")
  const dirs = readdirSync(join(data, "workspaces")).filter((name) => name !== ".records")
  for (const name of dirs) assert.include(records, `${name}.json`, "a directory without a record")
}

interface Ground {
  readonly data: string
  readonly repo: string
}
const ground = <A>(test: (at: Ground) => Effect.Effect<A, unknown>) =>
  Effect.suspend(() => {
    const dir = tempDir()
    mkdirSync(join(dir.path, "data/workspaces/.records"), { recursive: true })
    return test({ data: join(dir.path, "data"), repo: repository(join(dir.path, "repo")) }).pipe(
      Effect.ensuring(Effect.sync(() => dir[Symbol.dispose]()))
    )
  })

const again = (data: string, repo: string, seen: (path: string) => void = () => {}) =>
  Effect.scoped(
    Effect.gen(function* () {
      const node = yield* life(data)
      consistent(repo, data)
      return yield* attempt(node, "t", worktree(repo), (path) => {
        assert.strictEqual(textOf(join(path, "README")), "first\n")
        seen(path)
      })
    })
  )

/** Lives that die at the first step, the second and so on, each on ground of its own, until one gets to its end. */
const atEachStep = (
  atLeast: number,
  test: (at: number, ground: Ground) => Effect.Effect<{ readonly exit: Exit.Exit<unknown, unknown> }, unknown>
) =>
  Effect.gen(function* () {
    for (let at = 1; ; at++) {
      const { exit } = yield* ground((where) => test(at, where))
      if (exit._tag === "Failure") continue
      return assert.isAbove(at, atLeast)
    }
  })

/** A life that nothing ends. */
const whole = (dataDir: string, script: (node: Life) => Effect.Effect<unknown, unknown>, kept?: number) =>
  until(dataDir, Number.POSITIVE_INFINITY, script, kept)

/** As if its runtime had died in the midst of this. */
const mark = (file: string, state: "making" | "removing") =>
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), state }))

describe.skipIf(!hasGit)("the runtime dies", () => {
  it.live(
    "at each step of making a worktree: it is finished or undone, and the task gets one",
    () =>
      atEachStep(4, (at, { data, repo }) =>
        Effect.gen(function* () {
          const ended = yield* until(data, at, (node) => attempt(node, "t", worktree(repo)))
          if (ended.exit._tag === "Failure") yield* again(data, repo)
          return ended
        })
      ),
    TIME
  )

  it.live(
    "at each step of removing a merged worktree: it is gone, or there, and nothing of it is lost",
    () =>
      atEachStep(6, (at, { data, repo }) =>
        Effect.gen(function* () {
          yield* whole(data, (node) => attempt(node, "t", worktree(repo), (path) => commit(path, "work", "the work")))
          git(repo, "merge", "--quiet", "mister-smith/t")
          const ended = yield* until(data, at, (node) => node.workspaces.tidy(over()))
          assert.include([...texts(repo, data)], "the work")
          yield* Effect.scoped(
            Effect.gen(function* () {
              const node = yield* life(data)
              consistent(repo, data)
              yield* node.workspaces.tidy(over())
              assert.deepStrictEqual(readdirSync(join(data, "workspaces")), [".records"])
              assert.isUndefined(revOf(repo, "refs/heads/mister-smith/t"))
            })
          )
          return ended
        })
      ),
    TIME
  )

  it.live(
    "at each step of archiving a worktree: nothing of it is lost, and it comes back whole",
    () =>
      atEachStep(12, (at, { data, repo }) =>
        Effect.gen(function* () {
          yield* whole(data, (node) =>
            Effect.andThen(
              attempt(node, "t", worktree(repo), (path) => {
                commit(path, "work", "committed work")
                put(path, "new", "untracked work")
                rmSync(join(path, "src/one"))
              }),
              node.workspaces.tidy(over())
            )
          )
          const ended = yield* until(data, at, (node) => attempt(node, "next", worktree(repo)), 1)
          const left = texts(repo, data)
          assert.isTrue(left.has("committed work") && left.has("untracked work"), `step ${at}`)
          yield* Effect.scoped(
            Effect.gen(function* () {
              const node = yield* life(data)
              consistent(repo, data)
              yield* attempt(node, "t", worktree(repo), (path) => {
                const told = `step ${at}`
                assert.strictEqual(git(path, "rev-parse", "--abbrev-ref", "HEAD"), "mister-smith/t", told)
                assert.strictEqual(textOf(join(path, "work")), "committed work", told)
                assert.strictEqual(textOf(join(path, "new")), "untracked work", told)
                assert.isUndefined(textOf(join(path, "src/one")), told)
              })
            })
          )
          return ended
        })
      ),
    TIME
  )
})

describe.skipIf(!hasGit)("what a git that was killed leaves", () => {
  const states: ReadonlyArray<readonly [string, (path: string, repo: string) => void]> = [
    [
      "only the branch",
      (path, repo) => {
        git(repo, "worktree", "remove", path)
      }
    ],
    [
      "only the branch and an empty directory",
      (path, repo) => {
        git(repo, "worktree", "remove", path)
        mkdirSync(path)
      }
    ],
    [
      "a worktree half checked out, locked as git locks it, with the lock of its index",
      (path, repo) => {
        const own = git(path, "rev-parse", "--absolute-git-dir")
        git(repo, "worktree", "lock", "--reason", "initializing", path)
        rmSync(join(path, "src"), { recursive: true })
        rmSync(join(own, "index"))
        writeFileSync(join(own, "index.lock"), "")
      }
    ],
    [
      "a worktree half checked out, without an index, unlocked by a life that was killed then",
      (path) => {
        const own = git(path, "rev-parse", "--absolute-git-dir")
        rmSync(join(path, "src"), { recursive: true })
        rmSync(join(own, "index"))
      }
    ],
    [
      "the file .git and no more",
      (path, repo) => {
        git(repo, "worktree", "lock", "--reason", "initializing", path)
        for (const name of readdirSync(path)) if (name !== ".git") rmSync(join(path, name), { recursive: true })
      }
    ],
    [
      "what the repository knows of it, and no directory",
      (path, repo) => {
        git(repo, "worktree", "lock", "--reason", "initializing", path)
        rmSync(path, { recursive: true })
      }
    ],
    ["a whole worktree, and no word of it", () => {}]
  ]
  for (const [what, leave] of states) {
    it.live(
      `while it made a worktree is finished or undone: ${what}`,
      () =>
        ground(({ data, repo }) =>
          Effect.gen(function* () {
            yield* whole(data, (node) => attempt(node, "t", worktree(repo)))
            mark(recordFile(data, "t"), "making")
            leave(join(data, "workspaces/t"), repo)
            // Nothing is staged that nobody has done.
            yield* again(data, repo, (path) => assert.strictEqual(git(path, "status", "--porcelain"), ""))
          })
        ),
      TIME
    )
  }

  it.live(
    "on the task's own branch does not keep the task from its workspace",
    () =>
      ground(({ data, repo }) =>
        Effect.gen(function* () {
          yield* whole(data, (node) => attempt(node, "t", worktree(repo)))
          mark(recordFile(data, "t"), "making")
          git(repo, "worktree", "remove", join(data, "workspaces/t"))
          const heads = join(repo, ".git/refs/heads")
          writeFileSync(join(heads, "mister-smith/t.lock"), "")
          // Of others, who may be at work.
          writeFileSync(join(heads, "main.lock"), "")
          writeFileSync(join(repo, ".git/packed-refs.lock"), "")
          const left = () => [existsSync(join(heads, "main.lock")), existsSync(join(repo, ".git/packed-refs.lock"))]
          yield* Effect.scoped(life(data))
          assert.isFalse(existsSync(join(heads, "mister-smith/t.lock")))
          assert.deepStrictEqual(left(), [true, true])
          rmSync(join(repo, ".git/packed-refs.lock"))
          yield* again(data, repo)
        })
      ),
    TIME
  )

  it.live(
    "on its archive, and on its index while it was removed, does not keep it from being cleared away",
    () =>
      ground(({ data, repo }) =>
        Effect.gen(function* () {
          yield* whole(data, (node) =>
            Effect.andThen(
              attempt(node, "t", worktree(repo), (path) => put(path, "new", "untracked work")),
              node.workspaces.tidy(over())
            )
          )
          const own = git(join(data, "workspaces/t"), "rev-parse", "--absolute-git-dir")
          const lock = join(repo, ".git/refs/mister-smith/archive/t.lock")
          put(join(lock, ".."), "t.lock", "")
          writeFileSync(join(own, "index.lock"), "")
          yield* Effect.scoped(life(data))
          // One that is whole may have it of its agent, or of a person.
          assert.deepStrictEqual([existsSync(lock), existsSync(join(own, "index.lock"))], [false, true])
          mark(recordFile(data, "t"), "removing")
          yield* Effect.scoped(life(data))
          assert.isFalse(existsSync(join(own, "index.lock")))
          yield* whole(data, (node) => attempt(node, "next", worktree(repo)), 1)
          consistent(repo, data)
          assert.include([...texts(repo, data)], "untracked work")
        })
      ),
    TIME
  )

  it.live(
    "while it removed one is finished: half of the files are gone, the file .git too",
    () =>
      Effect.forEach([[], [".git"], [".git", "README"], ["README"]], (lost) =>
        ground(({ data, repo }) =>
          Effect.gen(function* () {
            yield* whole(data, (node) => attempt(node, "t", worktree(repo)))
            mark(recordFile(data, "t"), "removing")
            for (const name of lost) rmSync(join(data, "workspaces/t", name))
            yield* Effect.scoped(life(data))
            assert.deepStrictEqual(readdirSync(join(data, "workspaces")), [".records"], lost.join())
            consistent(repo, data)
          })
        )
      ),
    TIME
  )

  it.live(
    "with more in it than can be, is left: a file that nobody knows of, where one was being removed",
    () =>
      ground(({ data, repo }) =>
        Effect.gen(function* () {
          yield* whole(data, (node) => attempt(node, "t", worktree(repo)))
          mark(recordFile(data, "t"), "removing")
          put(join(data, "workspaces/t"), "new", "precious")
          yield* Effect.scoped(life(data))
          assert.strictEqual(textOf(join(data, "workspaces/t/new")), "precious")
        })
      ),
    TIME
  )
})

const SEEDS =
  process.env["SEED"] === undefined
    ? [1, 2, 3, 4, 5, 6].map((n) => (Date.now() % 1e9) + n)
    : [Number(process.env["SEED"])]

describe.skipIf(!hasGit)("whatever is done, and wherever the runtime dies", () => {
  for (const seed of SEEDS) {
    it.live(
      `no commit and no file is lost (SEED=${seed})`,
      () =>
        ground(({ data, repo }) =>
          Effect.gen(function* () {
            const random = generator(seed)
            const written = new Set<string>()
            const tasks = ["a", "b", "c", "d"]
            const unique = () => {
              const text = createHash("sha1").update(`${seed} ${written.size}`).digest("hex")
              written.add(text)
              return text
            }
            /** What agents do, and what must not be lost by it. Files are never written over. */
            const work = (path: string) => {
              for (let count = random(3); count >= 0; count--) {
                const name = `f${written.size}`
                const text = unique()
                const kind = random(6)
                if (kind === 0) commitOnly(path, name, text)
                else if (kind === 1) {
                  put(path, name, text)
                  git(path, "add", name)
                  // Both what is staged and what is in the file.
                  put(path, name, unique())
                } else if (kind === 2) {
                  git(path, "checkout", "--quiet", "--detach")
                  commitOnly(path, name, text)
                } else if (kind === 3 && existsSync(join(path, "README"))) {
                  rmSync(join(path, "README"))
                  put(path, name, text)
                } else put(path, `dir/${name}`, text)
              }
            }
            for (let round = 0; round < 5; round++) {
              const mayMerge = () => {
                for (const task of tasks) {
                  if (random(3) > 0 || revOf(repo, `refs/heads/mister-smith/${task}`) === undefined) continue
                  try {
                    git(repo, "merge", "--quiet", "--no-edit", `mister-smith/${task}`)
                  } catch {
                    git(repo, "merge", "--abort")
                  }
                }
              }
              const script = (node: Life) =>
                Effect.gen(function* () {
                  for (let op = 0; op < 4; op++) {
                    const task = tasks[random(tasks.length)] ?? "a"
                    const what = random(4)
                    if (what < 2) yield* Effect.ignore(attempt(node, task, worktree(repo), work))
                    else if (what === 2) mayMerge()
                    yield* node.workspaces.tidy(over(...tasks.filter(() => random(2) === 0), "none"))
                  }
                })
              yield* until(data, 1 + random(160), script, 1 + random(2))
              const left = texts(repo, data)
              const lost = [...written].filter((text) => !left.has(text))
              assert.deepStrictEqual(lost, [], `SEED=${seed}, round ${round}`)
            }
            yield* Effect.scoped(life(data))
            consistent(repo, data)
          })
        ),
      TIME
    )
  }
})
