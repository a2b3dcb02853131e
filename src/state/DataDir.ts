/**
 * The directory in which a node keeps what must outlive it, held by one runtime at a time.
 *
 * Promises: the hold is the kernel's lock on an open file (SQLite's, which works wherever SQLite does), so it is gone with
 * the process that had it, whatever that died of; a directory that it makes is its owner's only; its id is made once and
 * never again, and a copy of the directory gets another.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, Option, Schema } from "effect"
import { crashPoint } from "./CrashPoint.ts"
import { explain } from "./DatabaseError.ts"
import { DataDirInUse, DataDirUnusable } from "./StateError.ts"

export interface DataDir {
  readonly path: string
  /** Names this directory for ever: 12 letters and digits. */
  readonly id: string
}

const LOCK = "lock"
const HOLDER = "runtime.json"
const ID = "id"

const Holder = Schema.fromJsonString(Schema.Struct({ pid: Schema.Int }))
const holderOf = Schema.decodeUnknownOption(Holder)

const reasonOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" && error.code !== "ERR_SQLITE_ERROR"
    ? error.code
    : error instanceof Error
      ? error.message
      : String(error)

/** Undefined where it is not there. Throws what the system says else. */
const textOf = (file: string): string | undefined => {
  try {
    return readFileSync(file, "utf8")
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
    throw error
  }
}

const holderIn = (path: string): { readonly pid?: number } => {
  try {
    return Option.getOrElse(holderOf(textOf(join(path, HOLDER))), () => ({}))
  } catch {
    return {}
  }
}

/**
 * Holds the directory until the Scope closes; makes it where it is not there. `newId` names a new one.
 * Fails with `DataDirInUse` while another runtime holds it, and with `DataDirUnusable`.
 */
export const hold = (path: string, newId: string) =>
  Effect.acquireRelease(
    Effect.suspend((): Effect.Effect<DataDir & { readonly lock: DatabaseSync }, DataDirInUse | DataDirUnusable> => {
      let lock: DatabaseSync | undefined
      try {
        mkdirSync(path, { recursive: true, mode: 0o700 })
        // Only where it is not there: closing any descriptor of it would let go of a lock that this process has on it.
        if (!existsSync(join(path, LOCK))) writeFileSync(join(path, LOCK), "", { mode: 0o600 })
        lock = new DatabaseSync(join(path, LOCK))
        lock.exec("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        writeFileSync(join(path, HOLDER), JSON.stringify({ pid: process.pid }), { mode: 0o600 })
        crashPoint("dir.held")
        return Effect.succeed({ path, id: idOf(path, newId), lock })
      } catch (error) {
        lock?.close()
        if (explain(path, error).problem === "locked") {
          return Effect.fail(new DataDirInUse({ dataDir: path, ...holderIn(path) }))
        }
        return Effect.fail(new DataDirUnusable({ dataDir: path, reason: reasonOf(error) }))
      }
    }),
    ({ lock }) => Effect.sync(() => lock.close())
  ).pipe(Effect.map(({ id }): DataDir => ({ path, id })))

/**
 * With the id is kept the number of the file that it is in: that of a copy is another, and two directories of one id would
 * end each other's agents.
 */
const idOf = (path: string, newId: string): string => {
  const file = join(path, ID)
  const [known, inode] = textOf(file)?.trim().split(/\s+/) ?? []
  const isCopy = inode !== undefined && inode !== inodeOf(file)
  if (known !== undefined && /^[a-z0-9]{12}$/.test(known) && !isCopy) return known
  // Whole or not at all: what has an id has had agents.
  const whole = `${file}.new`
  crashPoint("dir.id.before")
  writeFileSync(whole, "", { mode: 0o600 })
  writeFileSync(whole, `${newId}\n${inodeOf(whole)}\n`)
  crashPoint("dir.id.within")
  renameSync(whole, file)
  crashPoint("dir.id.after")
  return newId
}

const inodeOf = (file: string): string => String(statSync(file, { bigint: true }).ino)
