/**
 * The compiled binary under a fleet of fake CLIs, killed again and again: nothing is lost, nothing done twice, nothing
 * left. `SEED=` repeats a plan and the moments of its kills, as far as clocks allow; the large one is
 * `bun scripts/crash/run.ts`.
 */
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type CrashReport, crashRun } from "../../scripts/crash/CrashRun.ts"
import { check } from "../../scripts/crash/check.ts"
import { BASE, git, linesOf } from "../../scripts/crash/Repository.ts"
import { binary, tempDir } from "../utils/Binary.ts"

const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9))

describe(`a node that is killed eight times (SEED=${seed})`, () => {
  const dir = tempDir()
  let report: CrashReport

  beforeAll(async () => {
    report = await crashRun({
      binary,
      dir: dir.path,
      agents: 5,
      tasks: 60,
      kills: 8,
      seed,
      bun: process.execPath,
      log: () => {}
    })
    const { recovery, withGuardian } = report
    const { check, worktrees } = report
    console.log(`SEED=${seed}: ${JSON.stringify({ withGuardian, recovery, check, worktrees })}`)
  }, 400_000)
  afterAll(() => dir[Symbol.dispose]())

  it("ends every task once, with all that was acknowledged, and leaves no process and no cgroup", () => {
    assert.deepStrictEqual(report.problems, [])
    assert.strictEqual(report.check.tasks, 60)
    assert.strictEqual(report.check.acknowledged, 30)
    // It was killed in the middle of work, not between.
    assert.isAbove(report.check.abandoned, 0)
    const { archives, commits, files, succeeded } = report.worktrees
    // Those of the config: half of them commit, and half leave a file; more than four of those are not kept as they are.
    assert.isAtLeast(succeeded, 10)
    assert.isAtLeast(commits, 5)
    assert.isAtLeast(files, 5)
    assert.isAbove(archives, 0)
  })

  /** What the checker says of a copy that was changed. */
  const changed = (change: (db: DatabaseSync, copy: string) => void) => {
    using copy = tempDir()
    cpSync(join(dir.path, "data"), join(copy.path, "data"), {
      recursive: true,
      filter: (path) => !path.endsWith(".sock")
    })
    cpSync(join(dir.path, "journal"), join(copy.path, "journal"), { recursive: true })
    copyFileSync(join(dir.path, "acknowledged"), join(copy.path, "acknowledged"))
    const db = new DatabaseSync(join(copy.path, "data", "ledger.db"))
    change(db, copy.path)
    db.close()
    return check({
      dataDir: join(copy.path, "data"),
      journal: join(copy.path, "journal"),
      acknowledged: join(copy.path, "acknowledged")
    }).problems
  }

  const one = "(SELECT seq FROM tasks WHERE state = 'succeeded' AND attempt = 1 LIMIT 1)"
  it.each<readonly [what: string, sql: string, found: RegExp]>([
    ["a task that is lost", "DELETE FROM tasks WHERE id = 's3'", /s3: it was accepted, and it is not there/],
    ["a task that has not ended", `UPDATE tasks SET state = 'running' WHERE seq = ${one}`, /it has not ended/],
    ["a state that there is not", `UPDATE tasks SET state = 'done' WHERE seq = ${one}`, /no such state/],
    ["a result that is lost", `DELETE FROM results WHERE seq = ${one}`, /it has 0 results/],
    ["an attempt too few", `DELETE FROM attempts WHERE seq = ${one}`, /attempts {2}instead of 1/],
    ["an attempt too many", `UPDATE tasks SET attempt = 0 WHERE seq = ${one}`, /attempts 1 instead of/],
    ["an attempt without an end", `UPDATE attempts SET ended = NULL WHERE seq = ${one}`, /has half an end/],
    [
      "two ends",
      `INSERT INTO attempts (seq, attempt, agent, begun_at, ended_at, ended, fault) SELECT seq, 2, agent, ended_at, ended_at, ended, fault FROM attempts WHERE seq = ${one};
       UPDATE tasks SET attempt = 2 WHERE seq = ${one}`,
      /attempt 1 of 2 ended as succeeded/
    ],
    [
      "two who hold one task",
      `INSERT INTO attempts (seq, attempt, agent, begun_at, ended_at, ended, fault) SELECT seq, 2, agent, begun_at - 1, ended_at, ended, fault FROM attempts WHERE seq = ${one}`,
      /attempt 2 began before attempt 1 had ended/
    ],
    ["a wait for what has ended", `INSERT INTO waits VALUES (${one}, 'c0')`, /it waits for c0/],
    ["a parked task that nobody wakes", `UPDATE tasks SET state = 'parked' WHERE seq = ${one}`, /without a date/],
    [
      "a result of other work",
      `UPDATE results SET result = json_set(result, '$.text', 'did it') WHERE seq = ${one}`,
      /its result is "did it"/
    ]
  ])("its checker sees %s", (_what, sql, found) => {
    assert.match(changed((db) => db.exec(sql)).join("\n"), found)
  })

  it("its checker sees work that was done twice, that nobody asked for, and that went on when it was superseded", () => {
    const problems = changed((db, copy) => {
      const [first = "", second = ""] = db
        .prepare("SELECT id FROM tasks WHERE state = 'succeeded' AND attempt = 1 LIMIT 2")
        .all()
        .map(({ id }) => String(id))
      const lines = [`begin ${first} x`, `done ${first} x`, "begin other y"]
      lines.push(`begin ${second} u`, `begin ${second} v`, `done ${second} u`)
      appendFileSync(join(copy, "journal", "journal"), lines.map((line) => `${line}\n`).join(""))
    }).join("\n")
    assert.match(problems, /it was done 2 times, and cut off 0 times/)
    assert.match(problems, /other: it was worked on, and it is not there/)
    assert.match(problems, /the work u went on when the next had begun/)
  })

  it("its checker sees evidence that is not there", () => {
    let removed = false
    const problems = changed((db, copy) => {
      const row = db
        .prepare(
          "SELECT t.id, t.agent FROM tasks t JOIN contents c ON c.seq = t.seq WHERE t.state = 'succeeded' AND c.evidence LIKE '%\"file\"%'"
        )
        .get()
      if (row === undefined) return
      const file = join(copy, "data", "agents", String(row["agent"]), "workspace", `out-${row["id"]}`)
      removed = existsSync(file)
      rmSync(file, { force: true })
    })
    assert.isTrue(removed)
    assert.match(problems.join("\n"), /is not in the workspace of/)
  })

  describe("in worktrees", () => {
    const repository = () => join(dir.path, "repository")
    const workspaces = () => join(dir.path, "data", "workspaces")
    /** What is said of the worktrees while something is wrong with them. */
    const during = (wrong: () => void, right: () => void) => {
      try {
        wrong()
        return report.lookAgain().problems.join("\n")
      } finally {
        right()
      }
    }
    /** Without any ref of that kind, and with nothing merged. */
    const withoutRefs = (pattern: string) => {
      const refs = linesOf(git(repository(), ["for-each-ref", "--format=%(refname) %(objectname)", pattern]))
      assert.isAbove(refs.length, 0)
      const base = git(repository(), ["rev-parse", BASE])
      const update = (lines: ReadonlyArray<string>, to: string) =>
        git(repository(), ["update-ref", "--stdin"], {}, [...lines, `update refs/heads/${BASE} ${to}`, ""].join("\n"))
      return during(
        () =>
          update(
            refs.map((ref) => `delete ${ref}`),
            git(repository(), ["rev-parse", "main"])
          ),
        () =>
          update(
            refs.map((ref) => `create ${ref}`),
            base
          )
      )
    }
    /** One that has a file of the base, of which the checker can be deceived. */
    const one = () => {
      const there = linesOf(git(repository(), ["worktree", "list", "--porcelain"]))
        .flatMap((line) => /^worktree (.*\/workspaces\/.*)$/.exec(line)?.[1] ?? [])
        .filter((path) => existsSync(join(path, "README")))
      assert.isAbove(there.length, 0)
      return there[0] ?? ""
    }

    it("its checker sees archives and branches that are lost", () => {
      assert.match(withoutRefs("refs/mister-smith/archive/"), /is neither on the disk nor in an archive/)
      assert.match(withoutRefs("refs/heads/mister-smith/"), /its branch is gone, and its commit/)
    })

    it("its checker sees a directory that is gone, half gone, or nobody's", () => {
      const path = one()
      const gone = during(
        () => renameSync(path, join(dir.path, "gone")),
        () => renameSync(join(dir.path, "gone"), path)
      )
      assert.match(gone, /git has a worktree without a directory/)
      const text = readFileSync(join(path, "README"))
      const half = during(
        () => rmSync(join(path, "README")),
        () => writeFileSync(join(path, "README"), text)
      )
      assert.match(half, /it is half made, or half removed/)
      const stray = join(workspaces(), "stray")
      assert.match(
        during(
          () => cpSync(path, stray, { recursive: true }),
          () => rmSync(stray, { recursive: true })
        ),
        /stray: there is a directory, and git has no such worktree/
      )
    })

    it("its checker sees a lock that is left, work in another's place, and what was somebody else's", () => {
      const lock = join(repository(), ".git", "packed-refs.lock")
      const locked = during(
        () => writeFileSync(lock, ""),
        () => rmSync(lock)
      )
      assert.match(locked, /git's packed-refs.lock is left/)
      const journal = join(dir.path, "journal", "places")
      const lines = readFileSync(journal, "utf8")
      const elsewhere = during(
        () => writeFileSync(journal, lines.replace(/\/workspaces\/\S+/, "/workspaces/other")),
        () => writeFileSync(journal, lines)
      )
      assert.match(elsewhere, /it was worked on in .*other, which is not its own/)
      const notes = join(dir.path, "outside", "notes")
      const text = readFileSync(notes)
      const theirs = during(
        () => rmSync(notes),
        () => writeFileSync(notes, text)
      )
      assert.match(theirs, /notes was somebody else's, and is not as it was/)
      assert.deepStrictEqual(report.lookAgain().problems, [])
    })
  })

  it("its checker finds nothing where nothing was changed", () => {
    assert.deepStrictEqual(
      changed(() => {}),
      []
    )
  })
})
