/** The outbox as rows of its file. What it promises stands in Outbox.ts; which rows there are, in OutboxSchema.ts. */
import { Effect } from "effect"
import type * as Database from "../state/Database.ts"
import { explain } from "../state/DatabaseError.ts"
import type { Answer, Outbox, OutboxOptions, Report } from "./Outbox.ts"
import { LedgerUnusable } from "./TaskError.ts"
import { revived } from "./TaskRecord.ts"

/** Tasks that are known to be with the fleet; the oldest go. */
const MAX_KNOWN = 100_000
/** Characters of what is remembered of each. */
const MAX_REMEMBERED = 16_384

/** What this fleet goes by in the file. */
const numberOf = (db: Database.Database, name: string): number =>
  db.transact(true, () => {
    db.run("UPDATE fleets SET name = ? WHERE name = ''", name)
    db.run("INSERT OR IGNORE INTO fleets (name) VALUES (?)", name)
    return Number(db.get("SELECT id FROM fleets WHERE name = ?", name)?.["id"])
  })

export const make = (db: Database.Database, bounds: OutboxOptions): Outbox => {
  const fleet = numberOf(db, bounds.fleet)
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
  const count = (sql: string, ...values: ReadonlyArray<Database.Value>) => Number(db.get(sql, ...values)?.["n"] ?? 0)
  const size = {
    reports: count("SELECT count(*) AS n FROM reports WHERE fleet = ?", fleet),
    events: count("SELECT count(*) AS n FROM events WHERE fleet = ?", fleet)
  }
  const known = { n: count("SELECT count(*) AS n FROM known") }
  const held = new Set(
    db.all("SELECT DISTINCT task FROM reports WHERE fleet = ?", fleet).map(({ task }) => String(task))
  )
  const lost = `lost of ${fleet}`
  const lose = (n: number) =>
    db.run("INSERT INTO counts (name, n) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET n = n + excluded.n", lost, n)
  const remember = (tasks: ReadonlyArray<readonly [task: string, record: string | null]>) => {
    for (const [task, record] of tasks)
      known.n += db.run("INSERT OR IGNORE INTO known (task, fleet, record) VALUES (?, ?, ?)", task, fleet, record)
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
          const there = db.get(
            "SELECT seq FROM reports WHERE fleet = ? AND task = ? AND attempt = ?",
            fleet,
            task,
            attempt
          )
          if (there !== undefined) return 0
          const said = JSON.stringify(report)
          return db.run(
            "INSERT INTO reports (fleet, task, attempt, agent, report) VALUES (?, ?, ?, ?, ?)",
            fleet,
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
        db
          .all("SELECT * FROM reports WHERE fleet = ? AND seq > ? ORDER BY seq LIMIT ?", fleet, after, limit)
          .map((row) => ({
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
          more: db.get("SELECT 1 FROM reports WHERE fleet = ? AND task = ?", fleet, task) !== undefined
        })),
        ({ gone, more }) => {
          size.reports -= gone
          if (!more) held.delete(task)
        }
      ),
    leave: (record) =>
      write(true, () => {
        db.run(
          "INSERT OR REPLACE INTO leaving (task, fleet, record) VALUES (?, ?, ?)",
          record.id,
          fleet,
          JSON.stringify(record)
        )
      }),
    leaving: () =>
      ask(() =>
        db
          .all("SELECT record FROM leaving WHERE fleet = ?", fleet)
          .map(({ record }) => revived(JSON.parse(String(record))))
      ),
    leavingElsewhere: () =>
      ask(() => db.all("SELECT task FROM leaving WHERE fleet <> ?", fleet).map(({ task }) => String(task))),
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
        db.run("DELETE FROM leaving WHERE task = ? AND fleet = ?", task, fleet)
      }),
    remembered: (task) =>
      ask(() => {
        const text = db.get("SELECT record FROM known WHERE task = ? AND fleet = ?", task, fleet)?.["record"]
        return typeof text === "string" ? revived(JSON.parse(text)) : undefined
      }),
    isKnown: (task) => db.get("SELECT 1 FROM known WHERE task = ? AND fleet = ?", task, fleet) !== undefined,
    isGiven: (task) => db.get("SELECT 1 FROM known WHERE task = ?", task) !== undefined,
    tell: ({ event, id }) =>
      Effect.map(
        write(false, () => {
          db.run("INSERT INTO events (fleet, id, event) VALUES (?, ?, ?)", fleet, id, JSON.stringify(event))
          const over = size.events + 1 - bounds.events
          if (over <= 0) return 0
          const gone = db.run(
            "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE fleet = ? ORDER BY seq LIMIT ?)",
            fleet,
            over
          )
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
        db.all("SELECT * FROM events WHERE fleet = ? ORDER BY seq LIMIT ?", fleet, limit).map((row) => ({
          seq: Number(row["seq"]),
          id: String(row["id"]),
          event: JSON.parse(String(row["event"])) as unknown
        }))
      ),
    told: (seq) =>
      Effect.map(
        write(false, () => db.run("DELETE FROM events WHERE fleet = ? AND seq <= ?", fleet, seq)),
        (gone) => {
          size.events -= gone
        }
      ),
    lost: () => ask(() => count("SELECT n FROM counts WHERE name = ?", lost)),
    lossTold: (events) => write(false, () => void lose(-events)),
    counts: () => ({ ...size }),
    elsewhere: () =>
      ask(() =>
        db
          .all("SELECT id, name FROM fleets WHERE id <> ?", fleet)
          .map(({ id, name }) => {
            const of = (table: "reports" | "leaving" | "events") =>
              count(`SELECT count(*) AS n FROM ${table} WHERE fleet = ?`, Number(id))
            return { fleet: String(name), reports: of("reports"), tasks: of("leaving"), events: of("events") }
          })
          .filter(({ events, reports, tasks }) => events + reports + tasks > 0)
      )
  }
}
