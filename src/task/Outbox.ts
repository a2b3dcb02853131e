/**
 * What a node that is cut off from its fleet keeps for it, in one SQLite file: how attempts at the fleet's tasks have
 * ended, which of the tasks that it accepted itself are on their way, and what has happened.
 *
 * Promises: what is kept as a report is on the disk when the answer comes, is read in the order in which it came, and stays
 * until it was delivered. Reports are as many as the node had attempts under way: nothing of the fleet is begun without
 * it. Of events there are at most so many; the oldest go, and they are counted.
 */
import { Effect, type Scope } from "effect"
import type { TaskResult } from "../domain/Task.ts"
import * as Database from "../state/Database.ts"
import { explain } from "../state/DatabaseError.ts"
import { LedgerUnusable } from "./TaskError.ts"
import { type Asking, type Parking, type Remains, revived, type TaskRecord } from "./TaskRecord.ts"

/** In the data directory. */
export const FILE = "outbox.db"
/** Names it in the file's head: "MSmo". */
const APPLICATION_ID = 0x4d536d6f
/** Tasks that are known to be with the fleet; the oldest go. */
const MAX_KNOWN = 100_000
/** Characters of what is remembered of each. */
const MAX_REMEMBERED = 16_384

const MIGRATIONS: ReadonlyArray<string> = [
  `
  CREATE TABLE reports (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    task TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    agent TEXT NOT NULL,
    report TEXT NOT NULL
  ) STRICT;
  CREATE INDEX reports_of ON reports (task);
  CREATE TABLE leaving (task TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE known (seq INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL UNIQUE, record TEXT) STRICT;
  CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, event TEXT NOT NULL) STRICT;
  CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  `
]

/** How an attempt has ended. */
export type Report =
  | { readonly kind: "complete" | "giveUp"; readonly result: TaskResult; readonly remains?: Remains | undefined }
  | { readonly kind: "park"; readonly why: Parking }
  | { readonly kind: "awaitPerson"; readonly why: Asking }

export interface Letter {
  readonly task: string
  readonly attempt: number
  readonly agent: string
  readonly report: Report
}
export interface Kept extends Letter {
  readonly seq: number
}

/** Something that has happened, under an id by which it is known. */
export interface Told {
  readonly id: string
  readonly event: unknown
}

type Answer<A> = Effect.Effect<A, LedgerUnusable>

export interface Outbox {
  /** An attempt has one end: the same once more changes nothing. */
  readonly keep: (letter: Letter) => Answer<void>
  /** The first of them; `after` is the last that was read before. */
  readonly reports: (limit: number, after?: number) => Answer<ReadonlyArray<Kept>>
  readonly holds: (task: string) => boolean
  readonly delivered: (letter: Kept) => Answer<void>
  /** This task, as it stands here, is on its way to the fleet: whether it is there is to be found out. */
  readonly leave: (record: TaskRecord) => Answer<void>
  readonly leaving: () => Answer<ReadonlyArray<TaskRecord>>
  readonly stays: (task: string) => Answer<void>
  /** The fleet has these tasks, as they were accepted by it. */
  readonly knows: (records: ReadonlyArray<TaskRecord>) => Answer<void>
  /** The fleet has this task, which was this node's. */
  readonly gave: (task: string) => Answer<void>
  readonly isKnown: (task: string) => boolean
  /** One that the fleet has, as it was when it was accepted. Undefined where that is not remembered. */
  readonly remembered: (task: string) => Answer<TaskRecord | undefined>
  /** Keeps an event, and answers with how many of the oldest had to go for it. */
  readonly tell: (told: Told) => Answer<number>
  readonly events: (limit: number) => Answer<ReadonlyArray<Told & { readonly seq: number }>>
  /** All up to this one. */
  readonly told: (seq: number) => Answer<void>
  /** Events that had to go since the last time that somebody was told of it. */
  readonly lost: () => Answer<number>
  readonly lossTold: (events: number) => Answer<void>
  readonly counts: () => { readonly reports: number; readonly events: number }
}

export interface OutboxOptions {
  /** At most so many. */
  readonly events: number
}

export const open = (file: string, bounds: OutboxOptions): Effect.Effect<Outbox, LedgerUnusable, Scope.Scope> =>
  Database.open({ file, applicationId: APPLICATION_ID, migrations: MIGRATIONS }).pipe(
    Effect.mapError(({ detail, file, problem }) => new LedgerUnusable({ where: file, problem, detail })),
    Effect.map((database) => make(database, bounds))
  )

const make = (db: Database.Database, bounds: OutboxOptions): Outbox => {
  const ask = <A>(work: () => A): Answer<A> =>
    Effect.suspend(() => {
      try {
        return Effect.succeed(work())
      } catch (error) {
        const { detail, file, problem } = explain(db.file, error)
        return Effect.fail(new LedgerUnusable({ where: file, problem, detail }))
      }
    })
  const write = <A>(durable: boolean, work: () => A) => ask(() => db.transact(durable, work))
  const count = (sql: string) => Number(db.get(sql)?.["n"] ?? 0)
  const size = {
    reports: count("SELECT count(*) AS n FROM reports"),
    events: count("SELECT count(*) AS n FROM events")
  }
  const known = { n: count("SELECT count(*) AS n FROM known") }
  const held = new Set(db.all("SELECT DISTINCT task FROM reports").map(({ task }) => String(task)))
  const lose = (n: number) =>
    db.run("INSERT INTO counts (name, n) VALUES ('lost', ?) ON CONFLICT (name) DO UPDATE SET n = n + excluded.n", n)
  const remember = (tasks: ReadonlyArray<readonly [task: string, record: string | null]>) => {
    for (const [task, record] of tasks)
      known.n += db.run("INSERT OR IGNORE INTO known (task, record) VALUES (?, ?)", task, record)
    if (known.n <= MAX_KNOWN) return
    known.n -= db.run(
      "DELETE FROM known WHERE seq IN (SELECT seq FROM known ORDER BY seq LIMIT ?)",
      known.n - MAX_KNOWN
    )
  }
  return {
    keep: ({ agent, attempt, report, task }) =>
      Effect.map(
        write(true, () => {
          const there = db.get("SELECT seq FROM reports WHERE task = ? AND attempt = ?", task, attempt)
          if (there !== undefined) return 0
          const said = JSON.stringify(report)
          return db.run(
            "INSERT INTO reports (task, attempt, agent, report) VALUES (?, ?, ?, ?)",
            task,
            attempt,
            agent,
            said
          )
        }),
        (added) => {
          size.reports += added
          held.add(task)
        }
      ),
    reports: (limit, after = 0) =>
      ask(() =>
        db.all("SELECT * FROM reports WHERE seq > ? ORDER BY seq LIMIT ?", after, limit).map((row) => ({
          seq: Number(row["seq"]),
          task: String(row["task"]),
          attempt: Number(row["attempt"]),
          agent: String(row["agent"]),
          report: JSON.parse(String(row["report"])) as Report
        }))
      ),
    holds: (task) => held.has(task),
    delivered: ({ seq, task }) =>
      Effect.map(
        write(true, () => ({
          gone: db.run("DELETE FROM reports WHERE seq = ?", seq),
          more: db.get("SELECT 1 FROM reports WHERE task = ?", task) !== undefined
        })),
        ({ gone, more }) => {
          size.reports -= gone
          if (!more) held.delete(task)
        }
      ),
    leave: (record) =>
      write(true, () => {
        db.run("INSERT OR REPLACE INTO leaving (task, record) VALUES (?, ?)", record.id, JSON.stringify(record))
      }),
    leaving: () =>
      ask(() => db.all("SELECT record FROM leaving").map(({ record }) => revived(JSON.parse(String(record))))),
    stays: (task) => write(true, () => void db.run("DELETE FROM leaving WHERE task = ?", task)),
    knows: (records) =>
      write(false, () =>
        remember(
          records.map((record) => {
            const text = JSON.stringify({ ...record, result: undefined })
            return [record.id, text.length > MAX_REMEMBERED ? null : text]
          })
        )
      ),
    gave: (task) =>
      write(true, () => {
        remember([[task, null]])
        db.run("DELETE FROM leaving WHERE task = ?", task)
      }),
    remembered: (task) =>
      ask(() => {
        const text = db.get("SELECT record FROM known WHERE task = ?", task)?.["record"]
        return typeof text === "string" ? revived(JSON.parse(text)) : undefined
      }),
    isKnown: (task) => db.get("SELECT 1 FROM known WHERE task = ?", task) !== undefined,
    tell: ({ event, id }) =>
      Effect.map(
        write(false, () => {
          db.run("INSERT INTO events (id, event) VALUES (?, ?)", id, JSON.stringify(event))
          const over = size.events + 1 - bounds.events
          if (over <= 0) return 0
          const gone = db.run("DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT ?)", over)
          lose(gone)
          return gone
        }),
        (gone) => {
          size.events += 1 - gone
          return gone
        }
      ),
    events: (limit) =>
      ask(() =>
        db.all("SELECT * FROM events ORDER BY seq LIMIT ?", limit).map((row) => ({
          seq: Number(row["seq"]),
          id: String(row["id"]),
          event: JSON.parse(String(row["event"])) as unknown
        }))
      ),
    told: (seq) =>
      Effect.map(
        write(false, () => db.run("DELETE FROM events WHERE seq <= ?", seq)),
        (gone) => {
          size.events -= gone
        }
      ),
    lost: () => ask(() => count("SELECT n FROM counts WHERE name = 'lost'")),
    lossTold: (events) => write(false, () => void lose(-events)),
    counts: () => ({ ...size })
  }
}
