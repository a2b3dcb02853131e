/**
 * One SQLite file in WAL mode, and the only door to it.
 *
 * Promises: a transaction is all or nothing; one that was asked to be durable is on the disk when it returns, any other
 * survives the death of the process but perhaps not that of the machine; a file that is damaged, of a newer version or
 * cannot be written is refused when it is opened, unchanged. What it holds is the business of whoever opens it. Calls
 * are synchronous, as SQLite is: what is asked of it must be small.
 */
import { accessSync, chmodSync, constants, existsSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync, type StatementSync } from "node:sqlite"
import { Effect } from "effect"
import { crashPoint } from "./CrashPoint.ts"
import { DatabaseUnusable, explain } from "./DatabaseError.ts"

export type Value = string | number | null
export type Row = Readonly<Record<string, Value>>

export interface Database {
  readonly file: string
  readonly all: (sql: string, ...values: ReadonlyArray<Value>) => ReadonlyArray<Row>
  readonly get: (sql: string, ...values: ReadonlyArray<Value>) => Row | undefined
  /** Answers with the number of rows that were changed. */
  readonly run: (sql: string, ...values: ReadonlyArray<Value>) => number
  /** Throws what `work` throws, and then nothing of it has happened. */
  readonly transact: <A>(durable: boolean, work: () => A) => A
}

export interface Opening {
  readonly file: string
  /** Names the program in the file, so that no other program's database is taken for ours. */
  readonly applicationId: number
  /** The schema, step by step. What has been released is never changed: a new version adds a step. */
  readonly migrations: ReadonlyArray<string>
  /** How long a write may wait for another program's, in milliseconds. */
  readonly busyTimeout?: number
}

/** Bytes that the log may keep on the disk when all of it is in the file. */
const LOG_LIMIT = 64 * 1024 * 1024

/** Open until the Scope closes. */
export const open = (opening: Opening) =>
  Effect.acquireRelease(
    Effect.try({ try: () => connect(opening), catch: (error) => why(opening.file, error) }),
    ({ close }) => Effect.sync(close)
  ).pipe(Effect.map(({ database }): Database => database))

/** SQLite says only that it could not open one of its files. */
const why = (file: string, error: unknown): DatabaseUnusable => {
  const unusable = explain(file, error)
  if (unusable.problem !== "failed" || !existsSync(file)) return unusable
  try {
    for (const path of [file, dirname(file)]) accessSync(path, constants.W_OK)
    return unusable
  } catch (denied) {
    return explain(file, denied)
  }
}

const connect = ({ applicationId, busyTimeout = 5_000, file, migrations }: Opening) => {
  const connection = new DatabaseSync(file)
  try {
    connection.exec(`PRAGMA busy_timeout = ${busyTimeout}`)
    const database = wrap(file, connection)
    const number = (name: string) => Number(Object.values(database.get(`PRAGMA ${name}`) ?? {})[0] ?? 0)
    const version = number("user_version")
    const isNew = number("page_count") === 0
    const owner = number("application_id")
    if (!isNew && owner !== applicationId) {
      // A file whose first transaction was never finished has pages and no owner yet.
      if (owner !== 0 || version !== 0 || database.get("SELECT 1 FROM sqlite_schema LIMIT 1") !== undefined)
        throw refused(file, "damaged", "it is the database of another program")
    }
    if (version > migrations.length)
      throw refused(file, "newer", `its schema is ${version}, this version knows ${migrations.length}`)
    if (!isNew) check(database)
    if (isNew && statSync(file).isFile()) chmodSync(file, 0o600)
    const mode = database.get("PRAGMA journal_mode = WAL")?.["journal_mode"]
    if (mode !== "wal") throw refused(file, "failed", `no write-ahead log here (journal_mode ${mode})`)
    connection.exec(`PRAGMA synchronous = FULL; PRAGMA journal_size_limit = ${LOG_LIMIT}`)
    crashPoint("database.schema.before")
    // Also where there is no step to be done: a file that cannot be written is to be known now.
    database.transact(true, () => {
      connection.exec(`PRAGMA application_id = ${applicationId}`)
      for (const step of migrations.slice(version)) connection.exec(step)
      connection.exec(`PRAGMA user_version = ${migrations.length}`)
      crashPoint("database.schema.within")
    })
    crashPoint("database.schema.after")
    return { database, close: () => connection.close() }
  } catch (error) {
    connection.close()
    throw error
  }
}

const refused = (file: string, problem: DatabaseUnusable["problem"], detail: string) =>
  new DatabaseUnusable({ file, problem, detail })

const check = (database: Database) => {
  const answer = database.get("PRAGMA quick_check(1)")?.["quick_check"]
  if (answer !== "ok") throw refused(database.file, "damaged", String(answer).replace(/\s+/g, " "))
}

const wrap = (file: string, connection: DatabaseSync): Database => {
  const statements = new Map<string, StatementSync>()
  const prepare = (sql: string) => {
    const known = statements.get(sql)
    if (known !== undefined) return known
    const statement = connection.prepare(sql)
    statements.set(sql, statement)
    return statement
  }
  let durably = true
  return {
    file,
    all: (sql, ...values) => prepare(sql).all(...values) as unknown as ReadonlyArray<Row>,
    get: (sql, ...values) => prepare(sql).get(...values) as Row | undefined,
    run: (sql, ...values) => Number(prepare(sql).run(...values).changes),
    transact: (durable, work) => {
      if (durable !== durably) {
        connection.exec(`PRAGMA synchronous = ${durable ? "FULL" : "NORMAL"}`)
        durably = durable
      }
      connection.exec("BEGIN IMMEDIATE")
      try {
        const answer = work()
        connection.exec("COMMIT")
        return answer
      } catch (error) {
        // A full disk has rolled it back already.
        if (connection.isTransaction) connection.exec("ROLLBACK")
        throw error
      }
    }
  }
}
