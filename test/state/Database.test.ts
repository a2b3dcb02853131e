import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Scope } from "effect"
import { type Database, type Opening, open } from "../../src/state/Database.ts"
import { tempDir } from "../utils/Binary.ts"
import { directory, readOnly, small } from "./Mounts.ts"

const SCHEMA =
  "CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT; CREATE INDEX texts ON notes (text);"
const opening = (dir: string, change: Partial<Opening> = {}): Opening => ({
  file: join(dir, "test.db"),
  applicationId: 0x1234,
  migrations: [SCHEMA],
  busyTimeout: 50,
  ...change
})
const note = (database: Database, text: string, durable = true) =>
  database.transact(durable, () => database.run("INSERT INTO notes (text) VALUES (?)", text))
const count = (database: Database) => database.get("SELECT count(*) AS n FROM notes")?.["n"]
const attempt = <A>(body: () => A) =>
  Effect.sync(() => {
    try {
      body()
      return undefined
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  })

/** Opens, and says what it is refused for. */
const refusal = (at: Opening) => Effect.scoped(Effect.flip(open(at)))
const filled = Effect.fnUntraced(function* (at: Opening, notes: number) {
  yield* Effect.scoped(
    Effect.gen(function* () {
      const database = yield* open(at)
      database.transact(true, () => {
        for (let n = 0; n < notes; n++)
          database.run("INSERT INTO notes (text) VALUES (?)", `note ${n} ${"x".repeat(500)}`)
      })
    })
  )
})

describe("Database", () => {
  it.effect("keeps what was written, for its owner only, over any number of openings", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const at = opening(dir.path)
      for (const n of [1, 2, 3]) {
        yield* Effect.scoped(Effect.map(open(at), (database) => void note(database, `${n}`, n !== 2)))
      }
      const database = yield* open(at)
      assert.strictEqual(count(database), 3)
      assert.strictEqual(statSync(at.file).mode & 0o077, 0)
    })
  )

  it.effect("does all of a transaction or nothing of it, and goes on after one that failed", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const database = yield* open(opening(dir.path))
      note(database, "before")
      const failure = yield* attempt(() =>
        database.transact(true, () => {
          note.call(undefined, { ...database, transact: (_, work) => work() }, "half")
          throw new Error("stop")
        })
      )
      assert.strictEqual(failure, "stop")
      assert.strictEqual(count(database), 1)
      note(database, "after")
      assert.strictEqual(count(database), 2)
    })
  )

  it.effect("brings an older file up to date, step by step, and leaves one that is up to date alone", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      yield* filled(opening(dir.path), 2)
      const newer = opening(dir.path, {
        migrations: [SCHEMA, "ALTER TABLE notes ADD COLUMN kind TEXT", "UPDATE notes SET kind = 'old'"]
      })
      for (const wanted of ["old", "old"]) {
        const kinds = yield* Effect.scoped(
          Effect.map(open(newer), (database) => database.all("SELECT kind FROM notes"))
        )
        assert.deepEqual(
          kinds.map(({ kind }) => kind),
          [wanted, wanted]
        )
      }
    })
  )

  it.effect("does no step of an update that fails, and says so", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      yield* filled(opening(dir.path), 2)
      const broken = opening(dir.path, { migrations: [SCHEMA, "DELETE FROM notes", "SELECT nonsense"] })
      assert.strictEqual((yield* refusal(broken)).problem, "failed")
      assert.strictEqual(count(yield* open(opening(dir.path))), 2)
    })
  )

  it.effect("refuses a file of a newer version", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      yield* filled(opening(dir.path, { migrations: [SCHEMA, "SELECT 1"] }), 1)
      const before = readFileSync(opening(dir.path).file)
      const error = yield* refusal(opening(dir.path))
      assert.deepInclude(error, { problem: "newer" })
      assert.deepInclude(
        { severity: error.severity, recovery: error.recovery },
        { severity: "critical", recovery: "escalate" }
      )
      assert.include(error.hint, "later version")
      assert.isTrue(readFileSync(opening(dir.path).file).equals(before))
    })
  )

  it.effect("refuses what is no database, and the database of another program, and changes neither", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const at = opening(dir.path)
      for (const bytes of [Buffer.from("once upon a time ".repeat(1_000)), Buffer.alloc(8192, 7)]) {
        writeFileSync(at.file, bytes)
        assert.strictEqual((yield* refusal(at)).problem, "damaged")
        assert.isTrue(readFileSync(at.file).equals(bytes))
      }
      writeFileSync(at.file, "")
      yield* filled({ ...at, applicationId: 99 }, 1)
      const error = yield* refusal(at)
      assert.strictEqual(error.problem, "damaged")
      assert.include(error.message, "another program")
    })
  )

  it.effect("takes an empty file for a new one", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      writeFileSync(opening(dir.path).file, "")
      note(yield* open(opening(dir.path)), "first")
    })
  )

  it.effect("begins anew where the very first opening was cut off", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      yield* open(opening(dir.path))
      const log = readFileSync(`${opening(dir.path).file}-wal`)
      for (const length of [0, 10, Math.floor(log.length / 2), log.length - 1]) {
        const copy = join(dir.path, String(length))
        mkdirSync(copy)
        copyFileSync(opening(dir.path).file, join(copy, "test.db"))
        writeFileSync(join(copy, "test.db-wal"), log.subarray(0, length))
        const database = yield* open(opening(copy))
        note(database, "first")
        assert.strictEqual(count(database), 1)
      }
    })
  )

  it.effect("refuses a file with a page that is damaged, wherever it is, or lost", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const at = opening(dir.path)
      yield* filled(at, 200)
      const good = readFileSync(at.file)
      const pages = good.length / 4096
      assert.isAbove(pages, 20)
      for (let page = 0; page < pages; page++) {
        const bad = Buffer.from(good)
        bad.fill(0xa5, page * 4096, page * 4096 + 64)
        writeFileSync(at.file, bad)
        assert.strictEqual((yield* refusal(at)).problem, "damaged", `page ${page}`)
      }
      writeFileSync(at.file, good)
      truncateSync(at.file, good.length - 3 * 4096)
      assert.strictEqual((yield* refusal(at)).problem, "damaged")
      writeFileSync(at.file, good)
      assert.strictEqual(count(yield* open(at)), 200)
    })
  )

  it.effect("drops a log that is damaged from there on, and keeps what stands before", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const at = opening(dir.path)
      const database = yield* open(at)
      for (let n = 0; n < 10; n++) note(database, `${n}`)
      const log = readFileSync(`${at.file}-wal`)
      for (const where of [40, Math.floor(log.length / 2), log.length - 10]) {
        const copy = join(dir.path, String(where))
        mkdirSync(copy)
        copyFileSync(at.file, join(copy, "test.db"))
        const bad = Buffer.from(log)
        bad[where] = (bad[where] ?? 0) ^ 0xff
        writeFileSync(join(copy, "test.db-wal"), bad)
        const kept = yield* Effect.scoped(
          Effect.map(open(opening(copy)), (it) => it.all("SELECT text FROM notes ORDER BY n"))
        )
        assert.deepEqual(
          kept.map(({ text }) => text),
          Array.from(kept, (_, n) => `${n}`)
        )
        assert.isBelow(kept.length, 10)
      }
    })
  )

  it.effect("says that another program holds it, and goes on when that has let go", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const at = opening(dir.path)
      const database = yield* open(at)
      const other = yield* open(at)
      const locked = other.transact(true, () => attempt(() => note(database, "x")))
      other.transact(true, () => assert.include(Effect.runSync(locked), "locked"))
      other.transact(true, () => {
        assert.strictEqual(Effect.runSync(refusal(at)).problem, "locked")
        assert.strictEqual(Effect.runSync(refusal(at)).recovery, "retry")
      })
      note(database, "y")
      assert.strictEqual(count(other), 1)
    })
  )

  it.effect("refuses a file that cannot be written", (context) =>
    Effect.gen(function* () {
      const dir = yield* directory
      yield* filled(opening(dir.path), 3)
      const mounted = yield* readOnly(dir.path)
      if ("skipped" in mounted) return context.skip(mounted.skipped)
      assert.strictEqual((yield* refusal(opening(dir.path))).problem, "readOnly")
    })
  )

  it.effect("refuses a place where no file can be", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      assert.strictEqual((yield* refusal(opening(join(dir.path, "not", "there")))).problem, "failed")
      mkdirSync(join(dir.path, "test.db"))
      assert.strictEqual((yield* refusal(opening(dir.path))).problem, "failed")
    })
  )

  it.effect("undoes what a full disk has no room for, keeps the rest, and goes on when there is room", (context) =>
    Effect.gen(function* () {
      const disk = yield* small
      if ("skipped" in disk) return context.skip(disk.skipped)
      const at = opening(disk.path)
      const scope = yield* Scope.make()
      const database = yield* Scope.provide(open(at), scope)
      let written = 0
      let failure: string | undefined
      while (failure === undefined && written < 10_000) {
        failure = yield* attempt(() => note(database, `${written} ${"x".repeat(3_000)}`))
        if (failure === undefined) written++
      }
      assert.match(failure ?? "", /full/)
      assert.isAbove(written, 10)
      assert.strictEqual(count(database), written)
      disk.free()
      note(database, "there is room again")
      assert.strictEqual(count(database), written + 1)
      assert.isTrue(existsSync(at.file))
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      assert.strictEqual(count(yield* open(at)), written + 1)
    }).pipe(Effect.scoped)
  )
})
