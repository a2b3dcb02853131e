/**
 * The compiled binary under a fleet of fake CLIs, killed again and again: nothing is lost, nothing done twice, nothing
 * left. `SEED=` repeats a plan and the moments of its kills, as far as clocks allow; the large one is
 * `bun scripts/crash/run.ts`.
 */
import { appendFileSync, copyFileSync, cpSync, existsSync, rmSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type CrashReport, crashRun } from "../../scripts/crash/CrashRun.ts"
import { check } from "../../scripts/crash/check.ts"
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
    console.log(`SEED=${seed}: ${JSON.stringify({ withGuardian, recovery, check: report.check })}`)
  }, 400_000)
  afterAll(() => dir[Symbol.dispose]())

  it("ends every task once, with all that was acknowledged, and leaves no process and no cgroup", () => {
    assert.deepStrictEqual(report.problems, [])
    assert.strictEqual(report.check.tasks, 60)
    assert.strictEqual(report.check.acknowledged, 30)
    // It was killed in the middle of work, not between.
    assert.isAbove(report.check.abandoned, 0)
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

  it("its checker finds nothing where nothing was changed", () => {
    assert.deepStrictEqual(
      changed(() => {}),
      []
    )
  })
})
