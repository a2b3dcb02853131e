/**
 * The home of the StateStore that outlives the process: one SQLite file, beside the ledger's. The data directory must be
 * held already. A write is in the file when it is answered, and survives the process; the last moments before the machine
 * itself goes down may be lost, which costs a conversation and never a task.
 */
import { Effect, Layer } from "effect"
import { type Database, open, type Row } from "./Database.ts"
import { explain } from "./DatabaseError.ts"
import { ABSENT, type Entry, refusal, StateStore } from "./StateStore.ts"
import { StateConflict, StateFull, StateUnusable } from "./StateStoreError.ts"

/** In the data directory. */
export const FILE = "state.db"

/** Names the store in the file's head: "MSst". */
const APPLICATION_ID = 0x4d537374

const MIGRATIONS: ReadonlyArray<string> = [
  `
  CREATE TABLE entries (
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (bucket, key)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE latest (revision INTEGER NOT NULL) STRICT;
  INSERT INTO latest VALUES (${ABSENT});
  `
]

export const layer = (file: string) =>
  Layer.effect(
    StateStore,
    open({ file, applicationId: APPLICATION_ID, migrations: MIGRATIONS }).pipe(
      Effect.mapError(({ detail, file, problem }) => new StateUnusable({ where: file, problem, detail })),
      Effect.map(service)
    )
  )

const entryOf = (row: Row): Entry => ({
  key: String(row["key"]),
  value: String(row["value"]),
  revision: Number(row["revision"])
})

const service = (database: Database): StateStore["Service"] => {
  /** What is refused is thrown, so that the transaction is undone. */
  const ask = <A, E = never>(question: () => A) =>
    Effect.suspend((): Effect.Effect<A, E | StateUnusable> => {
      try {
        return Effect.succeed(question())
      } catch (error) {
        if (error instanceof StateConflict || error instanceof StateFull) return Effect.fail(error as E)
        const { detail, file, problem } = explain(database.file, error)
        return Effect.fail(new StateUnusable({ where: file, problem, detail }))
      }
    })
  const find = (bucket: string, key: string): Entry | undefined => {
    const row = database.get("SELECT key, value, revision FROM entries WHERE bucket = ? AND key = ?", bucket, key)
    return row === undefined ? undefined : entryOf(row)
  }
  const unchanged = (bucket: string, key: string, seen: number) => {
    const current = find(bucket, key)?.revision ?? ABSENT
    if (current !== seen) throw new StateConflict({ bucket, key, seen, current })
  }
  const write = (bucket: string, key: string, value: string): number => {
    const others = Number(
      database.get("SELECT count(*) AS n FROM entries WHERE bucket = ? AND key <> ?", bucket, key)?.["n"] ?? 0
    )
    const full = refusal(bucket, key, value, find(bucket, key) === undefined ? others : 0)
    if (full !== undefined) throw full
    database.run("UPDATE latest SET revision = revision + 1")
    database.run(
      "INSERT OR REPLACE INTO entries (bucket, key, value, revision) SELECT ?, ?, ?, revision FROM latest",
      bucket,
      key,
      value
    )
    return find(bucket, key)?.revision ?? ABSENT
  }
  return {
    get: (bucket, key) => ask(() => find(bucket, key)),
    put: (bucket, key, value) =>
      ask<number, StateFull>(() => database.transact(false, () => write(bucket, key, value))),
    swap: (bucket, key, value, seen) =>
      ask<number, StateFull | StateConflict>(() =>
        database.transact(false, () => {
          unchanged(bucket, key, seen)
          return write(bucket, key, value)
        })
      ),
    remove: (bucket, key, seen) =>
      ask<void, StateConflict>(() =>
        database.transact(false, () => {
          if (seen !== undefined) unchanged(bucket, key, seen)
          database.run("DELETE FROM entries WHERE bucket = ? AND key = ?", bucket, key)
        })
      ),
    list: (bucket) =>
      ask(() =>
        database.all("SELECT key, value, revision FROM entries WHERE bucket = ? ORDER BY key", bucket).map(entryOf)
      )
  }
}
