/** What the ledger's file is asked. One statement a question, each along an index; see SqliteRows.ts for the tables. */
import { isFinal, noUsage, type TaskState } from "../domain/Task.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import type { Database } from "../state/Database.ts"
import { explain } from "../state/DatabaseError.ts"
import { wantedOf } from "./Continuing.ts"
import type { Kept, LedgerStore } from "./LedgerStore.ts"
import { DEFAULT_LIMIT, MAX_HISTORY } from "./MemoryStore.ts"
import { laneOf } from "./Needs.ts"
import { attemptOf, COLUMNS, INLINE, JOINS, json, more, recordOf } from "./SqliteRows.ts"
import { LedgerUnusable } from "./TaskError.ts"
import { type AttemptRecord, begun, type TaskFilter, type TaskRecord } from "./TaskRecord.ts"
import { AGE, byTurn, priorityOf, type Turn, turnOf } from "./Turn.ts"

const LANES = "SELECT type, wanted, needs FROM tasks INDEXED BY queue WHERE state = 'queued'"
/** On which something must be done about a task; each has its index. */
const DATES = ["due_at", "begin_by", "end_by"]
/** As the indexes say it. */
const ENDED = "ended_at IS NOT NULL AND state <> 'dead'"
const DEAD = "ended_at IS NOT NULL AND state = 'dead'"
const SELECT = `SELECT ${COLUMNS} FROM tasks t ${JOINS}`

export class SqliteStore implements LedgerStore {
  private readonly db: Database
  /** Of those that are queued, the last. */
  private place: number
  /** The latest time at which one came: a clock that is set back changes no order. */
  private latest: number
  /** Dead letters, other ended tasks, and the characters of the results of those: as of now, where no transaction was undone. */
  private ended: { tasks: number; text: number; dead: number } | undefined

  constructor(db: Database) {
    this.db = db
    this.place = this.count("SELECT max(place) AS n FROM tasks")
    this.latest = this.count(`SELECT max(turn + priority * ${AGE}) AS n FROM tasks WHERE state = 'queued'`)
  }

  private count(sql: string, ...values: ReadonlyArray<string | number>): number {
    return Number(this.db.get(sql, ...values)?.["n"] ?? 0)
  }

  transact<A>(durable: boolean, work: () => A): A {
    try {
      return this.db.transact(durable, work)
    } catch (error) {
      this.ended = undefined
      throw error
    }
  }

  unusable(error: unknown): LedgerUnusable {
    const { detail, file, problem } = explain(this.db.file, error)
    return new LedgerUnusable({ where: file, problem, detail })
  }

  get(id: string): TaskRecord | undefined {
    const row = this.db.get(`${SELECT} WHERE t.id = ?`, id)
    return row === undefined ? undefined : recordOf(row)
  }

  has(id: string): boolean {
    return this.db.get("SELECT seq FROM tasks WHERE id = ?", id) !== undefined
  }

  private turn({ spec, state }: TaskRecord, now: number): number {
    if (state === "queued") this.latest = Math.max(this.latest, now)
    return turnOf(spec, this.latest)
  }

  insert(record: TaskRecord, now: number): void {
    const { beginBy, dueAt, endBy, id, occursAt, series, spec, state, submittedAt } = record
    const beside = spec.prompt.length > INLINE
    this.db.run(
      `INSERT INTO tasks (id, type, wanted, needs, state, priority, fresh, turn, place, attempt, before, submitted_at, due_at, begin_by, end_by, series, occurs_at, prompt)
       VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, 0, 0, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      spec.type,
      wantedOf(spec),
      laneOf(spec),
      state,
      priorityOf(spec),
      this.turn(record, now),
      ++this.place,
      submittedAt,
      dueAt ?? null,
      beginBy ?? null,
      endBy ?? null,
      series ?? null,
      occursAt ?? null,
      beside ? null : spec.prompt
    )
    const rare = [json(spec.schema), json(spec.evidence), spec.notBefore ?? null, json(spec.after), more(spec)]
    if (!beside && rare.every((value) => value === null)) return
    this.db.run(
      "INSERT INTO contents (seq, prompt, schema, evidence, not_before, after, more) VALUES (last_insert_rowid(), ?, ?, ?, ?, ?, ?)",
      beside ? spec.prompt : null,
      ...rare
    )
  }

  update(record: TaskRecord, from: TaskState, now: number): void {
    const { agent, attempt, before, dueAt, endedAt, id, interruptions, lastFault, leaseUntil } = record
    const { beginBy, endBy, result, startedAt, state, usage } = record
    this.db.run(
      `UPDATE tasks SET state = ?, fresh = ?, turn = ?, place = CASE WHEN ? THEN ? ELSE place END, attempt = ?, before = ?, interruptions = ?, agent = ?,
       started_at = ?, ended_at = ?, due_at = ?, begin_by = ?, end_by = ?, usage = ?, fault = ? WHERE id = ?`,
      state,
      begun(record) > 0 ? 0 : 1,
      // Where it is not queued it has none that counts.
      this.turn(record, now),
      state === "queued" ? 1 : 0,
      state === "queued" ? ++this.place : 0,
      attempt,
      before,
      interruptions,
      agent ?? null,
      startedAt ?? null,
      endedAt ?? null,
      (state === "running" ? leaseUntil : dueAt) ?? null,
      beginBy ?? null,
      endBy ?? null,
      usage === noUsage ? null : json(usage),
      json(lastFault),
      id
    )
    if (result !== undefined && !isFinal(from)) {
      const text = result.text.length
      this.db.run(
        "INSERT INTO results (seq, text, result) SELECT seq, ?, ? FROM tasks WHERE id = ?",
        text,
        JSON.stringify(result),
        id
      )
      if (this.ended === undefined) return
      if (state === "dead") this.ended.dead++
      else {
        this.ended.tasks++
        this.ended.text += text
      }
    } else if (isFinal(from)) {
      if (result === undefined) this.db.run("DELETE FROM results WHERE seq = (SELECT seq FROM tasks WHERE id = ?)", id)
      this.ended = undefined
    }
  }

  wait(id: string, on: ReadonlyArray<string>): void {
    for (const other of on)
      this.db.run("INSERT OR IGNORE INTO waits (seq, on_id) SELECT seq, ? FROM tasks WHERE id = ?", other, id)
  }

  unwait(id: string, on?: string): number {
    const seq = this.count("SELECT seq AS n FROM tasks WHERE id = ?", id)
    if (on === undefined) this.db.run("DELETE FROM waits WHERE seq = ?", seq)
    else this.db.run("DELETE FROM waits WHERE seq = ? AND on_id = ?", seq, on)
    return on === undefined ? 0 : this.count("SELECT count(*) AS n FROM waits WHERE seq = ?", seq)
  }

  waiters(on: string): ReadonlyArray<string> {
    return this.db
      .all("SELECT t.id FROM waits w JOIN tasks t ON t.seq = w.seq WHERE w.on_id = ? ORDER BY w.seq", on)
      .map(({ id }) => String(id))
  }

  writeAttempt(id: string, each: AttemptRecord): void {
    const { agent, attempt, begunAt, ended, endedAt, fault, missing, words } = each
    this.db.run(
      `INSERT OR REPLACE INTO attempts (seq, attempt, agent, begun_at, ended_at, ended, fault, words, missing)
       SELECT seq, ?, ?, ?, ?, ?, ?, ?, ? FROM tasks WHERE id = ?`,
      attempt,
      agent,
      begunAt,
      endedAt ?? null,
      ended ?? null,
      json(fault),
      words ?? null,
      json(missing),
      id
    )
    if (attempt > MAX_HISTORY)
      this.db.run(
        "DELETE FROM attempts WHERE seq = (SELECT seq FROM tasks WHERE id = ?) AND attempt <= ?",
        id,
        attempt - MAX_HISTORY
      )
  }

  attempt(id: string, attempt: number): AttemptRecord | undefined {
    const row = this.db.get(
      "SELECT * FROM attempts WHERE seq = (SELECT seq FROM tasks WHERE id = ?) AND attempt = ?",
      id,
      attempt
    )
    return row === undefined ? undefined : attemptOf(row)
  }

  history(id: string): ReadonlyArray<AttemptRecord> {
    return this.db
      .all("SELECT * FROM attempts WHERE seq = (SELECT seq FROM tasks WHERE id = ?) ORDER BY attempt", id)
      .map(attemptOf)
  }

  heads(passOver: ReadonlyArray<string>): ReadonlyArray<TaskRecord> {
    const passed = JSON.stringify(passOver)
    const heads: Array<{ readonly record: TaskRecord; readonly fresh: number; readonly turn: Turn }> = []
    // From lane to lane along the index, never through one.
    let lane = this.db.get(`${LANES} ORDER BY type, wanted, needs LIMIT 1`)
    while (lane !== undefined) {
      const { needs, type, wanted } = lane as Readonly<Record<"needs" | "type" | "wanted", string>>
      const row = this.db.get(
        `SELECT ${COLUMNS}, t.fresh, t.turn, t.place FROM tasks t INDEXED BY queue ${JOINS}
         WHERE t.state = 'queued' AND t.type = ? AND t.wanted = ? AND t.needs = ?
         AND (t.fresh = 1 OR t.id NOT IN (SELECT value FROM json_each(?)))
         ORDER BY t.fresh, t.turn, t.place LIMIT 1`,
        type,
        wanted,
        needs,
        passed
      )
      if (row !== undefined)
        heads.push({
          record: recordOf(row),
          fresh: Number(row["fresh"]),
          turn: { turn: Number(row["turn"]), place: Number(row["place"]) }
        })
      // As one question, of pairs, SQLite would go through all that are equal.
      lane =
        this.db.get(`${LANES} AND type = ? AND wanted = ? AND needs > ? ORDER BY needs LIMIT 1`, type, wanted, needs) ??
        this.db.get(`${LANES} AND type = ? AND wanted > ? ORDER BY wanted, needs LIMIT 1`, type, wanted) ??
        this.db.get(`${LANES} AND type > ? ORDER BY type, wanted, needs LIMIT 1`, type)
    }
    return heads.sort((a, b) => a.fresh - b.fresh || byTurn(a.turn, b.turn)).map(({ record }) => record)
  }

  interrupted(ids: ReadonlyArray<string>): ReadonlyArray<TaskRecord> {
    return this.db
      .all(
        `${SELECT} WHERE t.id IN (SELECT value FROM json_each(?)) AND t.state = 'queued' AND t.fresh = 0 ORDER BY t.turn, t.place`,
        JSON.stringify(ids)
      )
      .map(recordOf)
  }

  list({ agent, labels, limit = DEFAULT_LIMIT, states, submittedAfter, submittedBefore, type }: TaskFilter) {
    const wanted: ReadonlyArray<readonly [string, string | number | undefined]> = [
      ["t.state IN (SELECT value FROM json_each(?))", states === undefined ? undefined : JSON.stringify(states)],
      ["t.type = ?", type],
      ["t.agent = ?", agent],
      [
        `NOT EXISTS (SELECT 1 FROM json_each(?) w WHERE NOT EXISTS
         (SELECT 1 FROM json_each(c.more, '$.labels') h WHERE h.key = w.key AND h.value = w.value))`,
        labels === undefined ? undefined : JSON.stringify(labels)
      ],
      ["t.submitted_at < ?", submittedBefore],
      ["t.submitted_at > ?", submittedAfter]
    ]
    const given = wanted.flatMap(([sql, value]) => (value === undefined ? [] : [[sql, value] as const]))
    const where = given.length === 0 ? "" : `WHERE ${given.map(([sql]) => sql).join(" AND ")}`
    return this.db
      .all(`${SELECT} ${where} ORDER BY t.seq DESC LIMIT ?`, ...given.map(([, value]) => value), limit)
      .map(recordOf)
  }

  unleased(): ReadonlyArray<TaskRecord> {
    return this.db.all(`${SELECT} WHERE t.state = 'running' AND t.due_at IS NULL ORDER BY t.seq`).map(recordOf)
  }

  due(now: number, limit: number): ReadonlyArray<TaskRecord> {
    const dates = DATES.map(
      (at) =>
        `SELECT * FROM (SELECT seq, ${at} AS at FROM tasks WHERE ${at} IS NOT NULL AND ${at} <= ? ORDER BY ${at}, seq LIMIT ?)`
    )
    return this.db
      .all(
        `SELECT ${COLUMNS} FROM (SELECT seq, min(at) AS at FROM (${dates.join(" UNION ALL ")}) GROUP BY seq) d
         JOIN tasks t ON t.seq = d.seq ${JOINS} ORDER BY d.at, t.seq LIMIT ?`,
        ...DATES.flatMap(() => [now, limit]),
        limit
      )
      .map(recordOf)
  }

  nextDue(): number | undefined {
    const next = DATES.flatMap((date) => {
      const at = this.db.get(`SELECT min(${date}) AS at FROM tasks WHERE ${date} IS NOT NULL`)?.["at"]
      return typeof at === "number" ? [at] : []
    })
    return next.length === 0 ? undefined : Math.min(...next)
  }

  setBack(now: number): void {
    this.db.run(
      `UPDATE tasks SET due_at = due_at - a.ended_at + ? FROM attempts a
       WHERE a.seq = tasks.seq AND a.attempt = tasks.attempt AND a.ended_at > ? AND state = 'parked' AND due_at IS NOT NULL`,
      now,
      now
    )
  }

  openOf(series: string): ReadonlyArray<TaskRecord> {
    return this.db
      .all(`${SELECT} WHERE t.series = ? AND t.series IS NOT NULL AND t.ended_at IS NULL ORDER BY t.seq`, series)
      .map(recordOf)
  }

  open(): number {
    const { dead, tasks } = this.endedNow()
    return this.count("SELECT count(*) AS n FROM tasks") - tasks - dead
  }

  private endedNow() {
    this.ended ??= {
      tasks: this.count(`SELECT count(*) AS n FROM tasks WHERE ${ENDED}`),
      text: this.count(`SELECT sum(r.text) AS n FROM results r JOIN tasks t ON t.seq = r.seq WHERE ${ENDED}`),
      dead: this.count(`SELECT count(*) AS n FROM tasks WHERE ${DEAD}`)
    }
    return this.ended
  }

  forget(kept: Kept): void {
    const over = () => {
      const { dead, tasks, text } = this.endedNow()
      if (dead > Math.max(1, kept.dead)) return DEAD
      return tasks > 1 && (tasks > kept.tasks || text > kept.text) ? ENDED : undefined
    }
    if (over() === undefined) return
    this.transact(false, () => {
      for (let which = over(); which !== undefined; which = over()) {
        const oldest = this.db.get(
          `SELECT t.seq, r.text FROM tasks t LEFT JOIN results r ON r.seq = t.seq WHERE ${which}
           ORDER BY ended_at, t.seq LIMIT 1`
        )
        if (oldest === undefined) return
        for (const table of ["results", "contents", "attempts", "tasks"])
          this.db.run(`DELETE FROM ${table} WHERE seq = ?`, Number(oldest["seq"]))
        const { dead, tasks, text } = this.endedNow()
        this.ended =
          which === DEAD
            ? { tasks, text, dead: dead - 1 }
            : { tasks: tasks - 1, text: text - Number(oldest["text"] ?? 0), dead }
        crashPoint("ledger.forget.within")
      }
    })
    crashPoint("ledger.forget.after")
  }
}
