import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { chmodSync, cpSync, mkdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as DataDir from "../../src/state/DataDir.ts"
import { root, tempDir } from "../utils/Binary.ts"

const dir = Effect.map(
  Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]())),
  ({ path }) => path
)
const idOf = (path: string, newId: string) => Effect.scoped(Effect.map(DataDir.hold(path, newId), ({ id }) => id))
const isRoot = process.getuid?.() === 0

/** Another process that holds the directory, or says why it cannot, and ends with its input. */
const other = (path: string, newId: string): ChildProcess =>
  spawn(process.execPath, [join(root, "test/fixtures/process/holder.ts"), path, newId], {
    stdio: ["pipe", "pipe", "inherit"]
  })
const said = async (child: ChildProcess) => String((await once(child.stdout ?? child, "data"))[0]).trim()

describe("DataDir", { timeout: 60_000 }, () => {
  it.live("is made for its owner only, and keeps its id", () =>
    Effect.gen(function* () {
      const path = join(yield* dir, "a", "b")
      assert.strictEqual(yield* idOf(path, "aaaaaaaaaaaa"), "aaaaaaaaaaaa")
      assert.strictEqual(statSync(path).mode & 0o777, 0o700)
      assert.strictEqual(yield* idOf(path, "bbbbbbbbbbbb"), "aaaaaaaaaaaa")
    }).pipe(Effect.scoped)
  )

  it.live("is refused while it is held, by whatever path, and says by whom", () =>
    Effect.gen(function* () {
      const path = yield* dir
      const alias = join(yield* dir, "alias")
      symlinkSync(path, alias)
      const scope = yield* Effect.acquireRelease(Scope.make(), Scope.close)
      yield* Scope.provide(DataDir.hold(path, "aaaaaaaaaaaa"), scope)
      for (const same of [path, alias]) {
        const error = yield* Effect.flip(idOf(same, "bbbbbbbbbbbb"))
        assert.strictEqual(error._tag, "DataDirInUse")
        assert.include(error.message, `pid ${process.pid}`)
      }
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* idOf(alias, "bbbbbbbbbbbb"), "aaaaaaaaaaaa")
    }).pipe(Effect.scoped)
  )

  it.live("is free as soon as its holder is killed", () =>
    Effect.gen(function* () {
      const path = yield* dir
      const holder = other(path, "aaaaaaaaaaaa")
      assert.strictEqual(yield* Effect.promise(() => said(holder)), "held")
      const error = yield* Effect.flip(idOf(path, "bbbbbbbbbbbb"))
      assert.include(error.message, `pid ${holder.pid}`)
      const over = once(holder, "exit")
      holder.kill("SIGKILL")
      yield* Effect.promise(() => over)
      assert.strictEqual(yield* idOf(path, "bbbbbbbbbbbb"), "aaaaaaaaaaaa")
    }).pipe(Effect.scoped)
  )

  it.live("is held by one of many that ask at the same moment", () =>
    Effect.gen(function* () {
      const path = yield* dir
      const all = Array.from({ length: 6 }, (_, n) => other(path, `${n}`.repeat(12)))
      const answers = yield* Effect.promise(() => Promise.all(all.map(said)))
      assert.deepStrictEqual(answers.toSorted(), [
        "DataDirInUse",
        "DataDirInUse",
        "DataDirInUse",
        "DataDirInUse",
        "DataDirInUse",
        "held"
      ])
      for (const child of all) child.stdin?.end()
    }).pipe(Effect.scoped)
  )

  it.live("has another id when it is a copy, and the same when it was moved", () =>
    Effect.gen(function* () {
      const base = yield* dir
      const [first, copy, moved] = ["first", "copy", "moved"].map((name) => join(base, name)) as [
        string,
        string,
        string
      ]
      yield* idOf(first, "aaaaaaaaaaaa")
      cpSync(first, copy, { recursive: true })
      assert.strictEqual(yield* idOf(copy, "bbbbbbbbbbbb"), "bbbbbbbbbbbb")
      assert.strictEqual(yield* idOf(copy, "cccccccccccc"), "bbbbbbbbbbbb")
      renameSync(first, moved)
      assert.strictEqual(yield* idOf(moved, "dddddddddddd"), "aaaaaaaaaaaa")
    }).pipe(Effect.scoped)
  )

  it.live("keeps an id that was written without its file's number", () =>
    Effect.gen(function* () {
      const path = yield* dir
      writeFileSync(join(path, "id"), "aaaaaaaaaaaa\n")
      assert.strictEqual(yield* idOf(path, "bbbbbbbbbbbb"), "aaaaaaaaaaaa")
    }).pipe(Effect.scoped)
  )

  it.live("is unusable, and not given another id, where its id cannot be read", () =>
    Effect.gen(function* () {
      const path = yield* dir
      mkdirSync(join(path, "id"))
      const error = yield* Effect.flip(idOf(path, "bbbbbbbbbbbb"))
      assert.strictEqual(error._tag, "DataDirUnusable")
      assert.include(error.message, "EISDIR")
    }).pipe(Effect.scoped)
  )

  it.live("is unusable where it is a file, or cannot be made", () =>
    Effect.gen(function* () {
      const base = yield* dir
      writeFileSync(join(base, "file"), "")
      for (const path of [join(base, "file"), join(base, "file", "below"), "/proc/none"]) {
        const error = yield* Effect.flip(idOf(path, "aaaaaaaaaaaa"))
        assert.strictEqual(error._tag, "DataDirUnusable")
        assert.include(error.message, path)
      }
    }).pipe(Effect.scoped)
  )

  it.live.skipIf(isRoot)("is unusable where it is read-only", () =>
    Effect.gen(function* () {
      const path = yield* dir
      chmodSync(path, 0o500)
      assert.strictEqual((yield* Effect.flip(idOf(path, "aaaaaaaaaaaa")))._tag, "DataDirUnusable")
      chmodSync(path, 0o700)
    }).pipe(Effect.scoped)
  )

  const canMount = isRoot && spawnSync("unshare", ["--mount", "true"]).status === 0
  it.skipIf(!canMount)("is unusable on a full disk, and keeps its id", async () => {
    const holder = `"${process.execPath}" "${join(root, "test/fixtures/process/holder.ts")}" "$dir/data"`
    const script = `dir=$(mktemp -d) && mount -t tmpfs -o size=64k none "$dir" && mkdir "$dir/data" && cd "$dir" || exit
      ${holder} aaaaaaaaaaaa </dev/null; rm data/runtime.json
      cat /dev/zero >full 2>/dev/null; ${holder} bbbbbbbbbbbb </dev/null
      rm full; ${holder} cccccccccccc </dev/null; head -n 1 data/id`
    const { stdout } = spawnSync("unshare", ["--mount", "sh", "-c", script], { encoding: "utf8" })
    assert.strictEqual(stdout, "held\nDataDirUnusable\nheld\naaaaaaaaaaaa\n")
  })

  it.live("tells nobody else what is in it", () =>
    Effect.gen(function* () {
      const path = yield* dir
      yield* idOf(path, "aaaaaaaaaaaa")
      for (const name of ["id", "runtime.json"]) assert.strictEqual(statSync(join(path, name)).mode & 0o077, 0)
      assert.strictEqual(readFileSync(join(path, "id"), "utf8").split("\n")[0], "aaaaaaaaaaaa")
    }).pipe(Effect.scoped)
  )
})
