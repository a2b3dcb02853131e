import { spawn } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { tempDir } from "../utils/Binary.ts"
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

const TIME = 60_000

interface Ground {
  readonly data: string
  readonly repo: string
}

/** A repository and a data directory of the test's own. */
const on = <A>(name: string, test: (ground: Ground) => Effect.Effect<A, unknown, never>) =>
  it.live(
    name,
    () =>
      Effect.suspend(() => {
        const dir = tempDir()
        return test({ data: join(dir.path, "data"), repo: repository(join(dir.path, "repo")) }).pipe(
          Effect.ensuring(Effect.sync(() => dir[Symbol.dispose]()))
        )
      }),
    TIME
  )

const keptWhy = ({ events }: Life, task: string) =>
  events.flatMap((event) => (event.type === "workspace.kept" && event.task === task ? [event.why] : [])).at(-1)

describe.skipIf(!hasGit)("a worktree", () => {
  on("is the task's own, on a branch of its own, and the same at each attempt", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const node = yield* life(data)
        const one = yield* attempt(node, "one", worktree(repo), (path) => put(path, "draft", "half"))
        const two = yield* attempt(node, "two", worktree(repo), (path) =>
          assert.isUndefined(textOf(join(path, "draft")))
        )
        assert.notStrictEqual(one, two)
        assert.strictEqual(git(one, "rev-parse", "--abbrev-ref", "HEAD"), "mister-smith/one")
        yield* node.workspaces.tidy(() => Effect.succeed(false))
        const again = yield* attempt(node, "one", worktree(repo), (path) =>
          assert.strictEqual(textOf(join(path, "draft")), "half")
        )
        assert.strictEqual(again, one)
        // The repository's own tree is left alone.
        assert.strictEqual(git(repo, "status", "--porcelain"), "")
      })
    )
  )

  on(
    "is removed with its branch when its task is over, it is clean, and its commits are in the base",
    ({ data, repo }) =>
      Effect.scoped(
        Effect.gen(function* () {
          const node = yield* life(data)
          const path = yield* attempt(node, "t", worktree(repo), (path) => commit(path, "work", "done"))
          const head = git(path, "rev-parse", "HEAD")
          assert.deepStrictEqual(yield* node.workspaces.facts(path, worktree(repo)), {
            path,
            branch: "mister-smith/t",
            head
          })
          git(repo, "merge", "--quiet", "mister-smith/t")
          yield* node.workspaces.tidy(over())
          assert.isUndefined(textOf(join(path, "work")))
          assert.isUndefined(revOf(repo, "refs/heads/mister-smith/t"))
          assert.deepStrictEqual(readdirSync(join(data, "workspaces", ".records")), [])
          assert.deepInclude(node.events.at(-1), { type: "workspace.removed", task: "t", branch: undefined })
          assert.lengthOf(git(repo, "worktree", "list").split("\n"), 1)
        })
      )
  )

  on("is removed where its commits are pushed to its upstream, and the branch is kept", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const remote = join(repo, "..", "remote.git")
        git(repo, "init", "--quiet", "--bare", remote)
        git(repo, "remote", "add", "origin", remote)
        const node = yield* life(data)
        const path = yield* attempt(node, "t", worktree(repo), (path) => {
          commit(path, "work", "done")
          git(path, "push", "--quiet", "-u", "origin", "HEAD")
        })
        yield* node.workspaces.tidy(over())
        assert.isUndefined(textOf(join(path, "README")))
        assert.isString(revOf(repo, "refs/heads/mister-smith/t"))
        // Asked for once more, it is there again with its commits.
        const again = yield* attempt(node, "t", worktree(repo))
        assert.strictEqual(textOf(join(again, "work")), "done")
      })
    )
  )

  const kept: ReadonlyArray<readonly [string, RegExp, (path: string, repo: string) => void]> = [
    [
      "has commits that are nowhere else",
      /neither in refs\/heads\/main nor pushed/,
      (path) => void commit(path, "a", "1")
    ],
    [
      "has a commit on no branch",
      /neither in/,
      (path) => {
        git(path, "checkout", "--quiet", "--detach")
        commit(path, "a", "1")
      }
    ],
    ["has a new file", /not committed/, (path) => put(path, "new", "1")],
    ["has a changed file", /not committed/, (path) => put(path, "README", "changed")],
    [
      "has a change that its index is told not to see",
      /not committed/,
      (path) => {
        git(path, "update-index", "--assume-unchanged", "README")
        put(path, "README", "changed")
      }
    ],
    [
      "has a new file that status is told not to show",
      /not committed/,
      (path) => {
        git(path, "config", "status.showUntrackedFiles", "no")
        put(path, "new", "1")
      }
    ],
    [
      "has something staged that is not in its files",
      /not committed/,
      (path) => {
        put(path, "README", "staged")
        git(path, "add", "--all")
        put(path, "README", "first\n")
      }
    ],
    ["is locked", /locked: mine/, (path) => void git(path, "worktree", "lock", "--reason", "mine", path)],
    [
      "is in the middle of a merge",
      /not through/,
      (path) => {
        git(path, "checkout", "--quiet", "-b", "side")
        commit(path, "README", "side")
        git(path, "checkout", "--quiet", "mister-smith/t")
        try {
          git(path, "merge", "--quiet", "--no-commit", "--no-ff", "side")
        } catch {}
      }
    ],
    [
      "has a repository within it, even an ignored one",
      /repository within it/,
      (path) => {
        put(path, "ignored/x", "1")
        git(join(path, "ignored"), "init", "--quiet")
      }
    ],
    [
      "was left locked by a git that was killed",
      /index\.lock/,
      (path) => put(git(path, "rev-parse", "--absolute-git-dir"), "index.lock", "")
    ],
    ["has lost its .git", /git does not know it/, (path) => rmSync(join(path, ".git"))],
    [
      "has become a repository of its own",
      /belongs to another repository/,
      (path) => {
        rmSync(join(path, ".git"))
        git(path, "init", "--quiet")
        git(path, "commit", "--quiet", "--allow-empty", "-m", "other")
        git(path, "update-ref", "refs/heads/main", "HEAD")
      }
    ],
    [
      "is a link to somewhere else",
      /not a directory|leads elsewhere/,
      (path, repo) => {
        renameSync(path, `${repo}.moved`)
        symlinkSync(`${repo}.moved`, path)
      }
    ],
    ["has lost its repository", /./, (_path, repo) => renameSync(repo, `${repo}.away`)]
  ]
  for (const [what, why, spoil] of kept) {
    on(`is kept, and said to be, where it ${what}`, ({ data, repo }) =>
      Effect.scoped(
        Effect.gen(function* () {
          const node = yield* life(data)
          const path = yield* attempt(node, "t", worktree(repo), (path) => spoil(path, repo))
          yield* node.workspaces.tidy(over())
          assert.isTrue(readdirSync(join(data, "workspaces")).includes("t"), "it is gone")
          assert.isDefined(readdirSync(path).find((name) => name === "src"))
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
          assert.match(String(keptWhy(node, "t")), why)
        })
      )
    )
  }

  on("is kept as long as any process works in it, and removed when none does", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const node = yield* life(data)
        const path = yield* attempt(node, "t", worktree(repo))
        const child = spawn("sleep", ["1017"], { cwd: join(path, "src"), stdio: "ignore" })
        yield* Effect.promise(() => new Promise((resolve) => child.once("spawn", resolve)))
        yield* node.workspaces.tidy(over())
        assert.isString(textOf(join(path, "README")))
        assert.match(String(keptWhy(node, "t")), new RegExp(`process ${child.pid} works in it`))
        const ended = new Promise((resolve) => child.once("exit", resolve))
        child.kill("SIGKILL")
        yield* Effect.promise(() => ended)
        // Looked at once more in the next run.
        const next = yield* life(data)
        yield* next.workspaces.tidy(over())
        assert.isUndefined(textOf(join(path, "README")))
      })
    )
  )

  on("is not removed while an attempt holds it, however its task stands", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const node = yield* life(data)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const path = yield* node.workspaces.acquire("t", "worker", worktree(repo))
            yield* node.workspaces.tidy(over())
            assert.isString(textOf(join(path, "README")))
          })
        )
        yield* node.workspaces.tidy(over())
        assert.notInclude(readdirSync(join(data, "workspaces")), "t")
      })
    )
  )

  on("goes with its branch where the base it is merged into is not what the repository stands on", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const node = yield* life(data)
        git(repo, "branch", "stable")
        for (const task of ["t", "looked-at"])
          yield* attempt(node, task, worktree(repo, { base: "stable" }), (path) => void commit(path, task, "w"))
        const merging = join(data, "merging")
        git(repo, "worktree", "add", "--quiet", merging, "stable")
        git(merging, "merge", "--quiet", "mister-smith/t")
        git(merging, "merge", "--quiet", "-m", "both", "mister-smith/looked-at")
        // Somebody looks at the other: git lets nobody else have it, so it is looked at with force.
        git(repo, "worktree", "add", "--quiet", "--force", join(data, "looking"), "mister-smith/looked-at")
        yield* node.workspaces.tidy(over())
        assert.strictEqual(git(repo, "branch", "--list", "mister-smith/t"), "")
        assert.match(git(repo, "branch", "--list", "mister-smith/looked-at"), /looked-at/)
        assert.strictEqual(git(repo, "show", "stable:t"), "w")
      })
    )
  )

  on("is kept always where the agent says so", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const node = yield* life(data)
        const path = yield* attempt(node, "t", worktree(repo, { keep: "always" }))
        yield* node.workspaces.tidy(over())
        assert.isString(textOf(join(path, "README")))
      })
    )
  )
})

describe.skipIf(!hasGit)("what comes at the last moment", () => {
  /** Just before git removes it, so many times. */
  const late = (data: string, times: number) => {
    let done = 0
    return (what: string) =>
      Effect.sync(() => {
        if (done === times || !what.startsWith("before git worktree remove")) return
        put(join(data, "workspaces/t"), `late${++done}`, "precious")
      })
  }

  on("keeps a worktree that was found to be clean and merged", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const node = yield* life(data, { step: late(data, 1) })
        const path = yield* attempt(node, "t", worktree(repo))
        yield* node.workspaces.tidy(over())
        assert.strictEqual(textOf(join(path, "late1")), "precious")
        assert.strictEqual(git(path, "rev-parse", "--abbrev-ref", "HEAD"), "mister-smith/t")
      })
    )
  )

  on("keeps a worktree that was archived, and it is again as it was", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const node = yield* life(data, { step: late(data, 2), settings: { kept: 1 } })
        const path = yield* attempt(node, "t", worktree(repo), (path) => {
          commit(path, "work", "w")
          put(path, "new", "n")
        })
        yield* node.workspaces.tidy(over())
        // Tried twice before it is refused.
        assert.deepInclude(yield* Effect.flip(attempt(node, "next", worktree(repo))), { _tag: "WorkspacesFull" })
        assert.strictEqual(textOf(join(path, "late2")), "precious")
        assert.strictEqual(git(path, "rev-parse", "--abbrev-ref", "HEAD"), "mister-smith/t")
        assert.strictEqual(git(path, "status", "--porcelain"), "?? late1\n?? late2\n?? new")
        // The next time all of it goes, and all of it is there.
        yield* attempt(node, "next", worktree(repo))
        const ref = "refs/mister-smith/archive/t.3"
        assert.deepStrictEqual(
          ["work", "new", "late1", "late2"].map((file) => git(repo, "show", `${ref}:${file}`)),
          ["w", "n", "precious", "precious"]
        )
      })
    )
  )
})

describe.skipIf(!hasGit)("over a limit", () => {
  on(
    "the oldest worktree is archived to a ref with all that was not committed, and comes back as it was",
    ({ data, repo }) =>
      Effect.scoped(
        Effect.gen(function* () {
          const node = yield* life(data, { settings: { kept: 1 } })
          const spoil = (path: string) => {
            commit(path, "committed", "c")
            put(path, "untracked", "u")
            put(path, "README", "changed")
            rmSync(join(path, "src/one"))
            put(path, "ignored", "i")
            put(path, "staged", "one")
            git(path, "add", "staged")
            put(path, "staged", "two")
          }
          const old = yield* attempt(node, "old", worktree(repo), spoil)
          yield* node.workspaces.tidy(over())
          yield* attempt(node, "young", worktree(repo), (path) => void commit(path, "y", "y"))
          yield* node.workspaces.tidy(over())
          assert.notInclude(readdirSync(join(data, "workspaces")), "old")
          assert.include(readdirSync(join(data, "workspaces")), "young")
          const ref = "refs/mister-smith/archive/old"
          const show = (file: string) => git(repo, "show", `${ref}:${file}`)
          assert.deepStrictEqual(
            [show("committed"), show("untracked"), show("README"), show("staged")],
            ["c", "u", "changed", "two"]
          )
          assert.isUndefined(revOf(repo, `${ref}:src/one`))
          assert.isUndefined(revOf(repo, `${ref}:ignored`))
          // What was staged and then changed again is a parent of it.
          assert.strictEqual(git(repo, "show", `${ref}^2:staged`), "one")
          assert.strictEqual(revOf(repo, `${ref}^1`), revOf(repo, "refs/heads/mister-smith/old"))
          assert.deepInclude(
            node.events.find(({ type }) => type === "workspace.removed"),
            { task: "old", archive: ref, branch: "mister-smith/old" }
          )
          const again = yield* attempt(node, "old", worktree(repo))
          assert.strictEqual(again, old)
          assert.strictEqual(git(again, "rev-parse", "--abbrev-ref", "HEAD"), "mister-smith/old")
          assert.deepStrictEqual(
            ["committed", "untracked", "README", "staged", "src/one"].map((file) => textOf(join(again, file))),
            ["c", "u", "changed", "two", undefined]
          )
          // A second archive does not take the place of the first.
          const first = revOf(repo, ref)
          put(again, "untracked", "u2")
          yield* node.workspaces.tidy(over())
          yield* node.workspaces.tidy(over())
          assert.strictEqual(revOf(repo, ref), first)
        })
      )
  )

  on("a worktree that stands on a commit of no branch is archived with it", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const node = yield* life(data, { settings: { kept: 1 } })
        let head = ""
        yield* attempt(node, "old", worktree(repo), (path) => {
          git(path, "checkout", "--quiet", "--detach")
          head = commit(path, "a", "1")
        })
        yield* node.workspaces.tidy(over())
        yield* attempt(node, "young", worktree(repo))
        assert.strictEqual(revOf(repo, "refs/mister-smith/archive/old"), head)
        assert.notInclude(readdirSync(join(data, "workspaces")), "old")
      })
    )
  )

  on("what cannot be archived stays, and the next task is refused a place", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const node = yield* life(data, { settings: { kept: 1 } })
        yield* attempt(node, "old", worktree(repo), (path) => void git(path, "worktree", "lock", path))
        yield* node.workspaces.tidy(over())
        const refused = yield* Effect.flip(attempt(node, "young", worktree(repo)))
        assert.deepInclude(refused, { _tag: "WorkspacesFull", kept: 1 })
        assert.include(readdirSync(join(data, "workspaces")), "old")
        assert.isUndefined(revOf(repo, "refs/heads/mister-smith/young"))
      })
    )
  )

  on("what belongs to a task that is not over stays", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const node = yield* life(data, { settings: { kept: 1 } })
        yield* attempt(node, "parked", worktree(repo), (path) => put(path, "draft", "half"))
        yield* node.workspaces.tidy(() => Effect.succeed(false))
        assert.deepInclude(yield* Effect.flip(attempt(node, "next", worktree(repo))), { _tag: "WorkspacesFull" })
        assert.strictEqual(textOf(join(data, "workspaces/parked/draft")), "half")
      })
    )
  )

  on("by size, too", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const node = yield* life(data, { settings: { size: 64 * 1024 } })
        yield* attempt(node, "big", worktree(repo), (path) => put(path, "big", "x".repeat(256 * 1024)))
        yield* node.workspaces.tidy(over())
        assert.notInclude(readdirSync(join(data, "workspaces")), "big")
        assert.strictEqual(git(repo, "show", "refs/mister-smith/archive/big:big").length, 256 * 1024)
      })
    )
  )
})

describe.skipIf(!hasGit)("a fresh directory", () => {
  on("is the task's own, removed where it is empty, and never where it is not", ({ data }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const node = yield* life(data, { settings: { kept: 1 } })
        const empty = yield* attempt(node, "empty", { kind: "fresh" })
        yield* node.workspaces.tidy(over())
        const full = yield* attempt(node, "full", { kind: "fresh" }, (path) => put(path, "file", "text"))
        assert.notStrictEqual(empty, full)
        yield* node.workspaces.tidy(over())
        assert.deepStrictEqual(readdirSync(join(data, "workspaces")).sort(), [".records", "full"])
        assert.deepInclude(yield* Effect.flip(attempt(node, "next", { kind: "fresh" })), { _tag: "WorkspacesFull" })
        assert.strictEqual(textOf(join(full, "file")), "text")
        // Who has taken what they need removes it, and there is room again.
        rmSync(full, { recursive: true })
        yield* attempt(node, "next", { kind: "fresh" })
      })
    )
  )
})

describe.skipIf(!hasGit)("a wrong setting", () => {
  const wrong: ReadonlyArray<readonly [string, string, (ground: Ground) => Parameters<typeof worktree>]> = [
    ["a repository that is not there", "RepositoryUnusable", ({ repo }) => [`${repo}.nope`]],
    [
      "a directory that is no repository",
      "RepositoryUnusable",
      ({ repo }) => {
        mkdirSync(`${repo}.plain`)
        return [`${repo}.plain`]
      }
    ],
    ["a directory within a repository", "RepositoryUnusable", ({ repo }) => [join(repo, "src")]],
    [
      "a repository without a commit",
      "RepositoryUnusable",
      ({ repo }) => {
        mkdirSync(`${repo}.empty`)
        git(`${repo}.empty`, "init", "--quiet")
        return [`${repo}.empty`]
      }
    ],
    ["a base that is not there", "BaseUnknown", ({ repo }) => [repo, { base: "mian" }]],
    [
      "a branch that is there with other work",
      "BranchTaken",
      ({ repo }) => {
        git(repo, "branch", "mister-smith/t")
        return [repo]
      }
    ],
    [
      "a branch of whose name another is a part",
      "BranchTaken",
      ({ repo }) => {
        git(repo, "branch", "mister-smith")
        return [repo]
      }
    ]
  ]
  for (const [what, tag, settings] of wrong) {
    on(`is told as what it is, not tried again, and leaves nothing: ${what}`, (ground) =>
      Effect.scoped(
        Effect.gen(function* () {
          const spec = worktree(...settings(ground))
          const node = yield* life(ground.data)
          const fault = yield* Effect.flip(attempt(node, "t", spec))
          assert.deepInclude(fault, { _tag: tag })
          assert.isFalse((fault as { retriesTask: boolean }).retriesTask)
          assert.isString((fault as { hint?: string }).hint)
          assert.isUndefined(textOf(recordFile(ground.data, "t")))
          assert.lengthOf(git(ground.repo, "worktree", "list").split("\n"), 1)
        })
      )
    )
  }

  on("a directory that is in the way is not touched", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        put(join(data, "workspaces/t"), "mine", "precious")
        const node = yield* life(data)
        assert.deepInclude(yield* Effect.flip(attempt(node, "t", worktree(repo))), { _tag: "WorkspaceBlocked" })
        assert.strictEqual(textOf(join(data, "workspaces/t/mine")), "precious")
      })
    )
  )

  on("a record that cannot be read is not written over", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        mkdirSync(join(data, "workspaces/.records"), { recursive: true })
        writeFileSync(recordFile(data, "t"), "{ half")
        const node = yield* life(data)
        assert.deepInclude(yield* Effect.flip(attempt(node, "t", worktree(repo))), { _tag: "WorkspaceBlocked" })
        assert.strictEqual(readFileSync(recordFile(data, "t"), "utf8"), "{ half")
      })
    )
  )

  on("a lock that a killed git has left is told with its file, and the task may be tried again", ({ data, repo }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const node = yield* life(data)
        put(repo, ".git/refs/heads/mister-smith/t.lock", "")
        const fault = yield* Effect.flip(attempt(node, "t", worktree(repo)))
        assert.deepInclude(fault, { _tag: "RepositoryLocked" })
        assert.isTrue((fault as { retriesTask: boolean }).retriesTask)
        rmSync(join(repo, ".git/refs/heads/mister-smith/t.lock"))
        yield* attempt(node, "t", worktree(repo))
      })
    )
  )
})
