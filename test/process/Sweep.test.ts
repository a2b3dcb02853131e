import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit } from "effect"
import { findCgroup } from "../../src/process/CgroupPlace.ts"
import { MARKER, type ProcessIdentity, read, signal } from "../../src/process/ProcessTable.ts"
import * as RunRecords from "../../src/process/RunRecords.ts"
import * as Sweep from "../../src/process/Sweep.ts"
import { root, tempDir } from "../utils/Binary.ts"

const path = process.env["PATH"] ?? "/usr/bin:/bin"
let counter = 0
/** No other test's, nor that of a test that runs beside this one. */
const newOwner = () =>
  `${process.pid.toString(36).padStart(6, "0")}${(counter++).toString(36).padStart(6, "0")}`.slice(-12)

const dir = Effect.map(
  Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]())),
  ({ path }) => path
)

const until = (holds: () => boolean) =>
  Effect.gen(function* () {
    while (!holds()) yield* Effect.sleep("2 millis")
  })

/** A shell script that writes into `$dir` who is there, one file a name; they are killed with the Scope at the latest. */
const left = (script: string, env: Record<string, string>, ...names: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const where = yield* dir
    spawn("setsid", ["sh", "-c", script], { env: { PATH: path, dir: where, ...env }, stdio: "ignore" })
    const up = (name: string) => existsSync(join(where, name)) && readFileSync(join(where, name), "utf8").endsWith("\n")
    yield* until(() => names.every(up))
    const entries = names.map((name) => {
      const entry = read(Number(readFileSync(join(where, name), "utf8")))
      assert.isDefined(entry, name)
      return entry
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => entries.map((entry) => signal(entry, "SIGKILL"))))
    return entries as ReadonlyArray<ProcessIdentity>
  })
const isGone = (identity: ProcessIdentity | undefined) => {
  const entry = identity && read(identity.pid)
  return entry === undefined || entry.startTime !== identity?.startTime || entry.state === "Z"
}
const alive = (identities: ReadonlyArray<ProcessIdentity>) => identities.map((each) => !isGone(each))

const sweepOf = (owner: string, records: RunRecords.RunRecords, found?: ReturnType<typeof findCgroup>) =>
  Sweep.sweep({
    owner,
    records,
    found: found !== undefined && "path" in found ? found : undefined,
    limit: Duration.seconds(30)
  })

describe.skipIf(process.platform !== "linux")("Sweep", { timeout: 60_000 }, () => {
  it.live("ends what has the marker of the data directory, what descends from it and what is in its sessions", () =>
    Effect.gen(function* () {
      const owner = newOwner()
      const processes = yield* left(
        `env -i dir="$dir" PATH="$PATH" sh -c 'echo $$ >$dir/wiped; exec sleep 1000' &
         (env -i dir="$dir" PATH="$PATH" sh -c '(echo $$ >$dir/orphan; exec sleep 1000) & :' ) &
         setsid sh -c 'echo $$ >$dir/away; exec sleep 1000' &
         echo $$ >$dir/leader; exec sleep 1000`,
        { [MARKER]: `${owner}.life.run` },
        "leader",
        "wiped",
        "away"
      )
      const swept = yield* sweepOf(owner, RunRecords.make(yield* dir))
      assert.deepStrictEqual(alive(processes), [false, false, false])
      for (const { pid } of processes)
        assert.include(
          swept.map(({ pid }) => pid),
          pid
        )
    }).pipe(Effect.scoped)
  )

  it.live("ends what is recorded, with its group, also where nothing has the marker", () =>
    Effect.gen(function* () {
      const processes = yield* left(
        "sh -c 'echo $$ >$dir/child; exec sleep 1000' & echo $$ >$dir/leader; exec sleep 1000",
        {},
        "leader",
        "child"
      )
      const records = RunRecords.make(yield* dir)
      records.add({ pid: 0, startTime: "", ...processes[0], marker: "m" })
      yield* sweepOf(newOwner(), records)
      assert.deepStrictEqual(alive(processes), [false, false])
      assert.deepStrictEqual(records.list(), [])
    }).pipe(Effect.scoped)
  )

  it.live("touches no one else: another directory's, another process of a recorded pid, another boot's", () =>
    Effect.gen(function* () {
      const owner = newOwner()
      const script = "echo $$ >$dir/one; exec sleep 1000"
      const [neighbour] = yield* left(script, { [MARKER]: `${newOwner()}.${owner}.run` }, "one")
      const [similar] = yield* left(script, { [MARKER]: `${owner}x.life.run`, OTHER: `${owner}.life.run` }, "one")
      const [reused] = yield* left(script, {}, "one")
      const [rebooted] = yield* left(script, {}, "one")
      const where = yield* dir
      const records = RunRecords.make(where)
      records.add({ pid: reused?.pid ?? 0, startTime: "1", marker: "reused" })
      records.add({ pid: 0, startTime: "", ...rebooted, marker: "rebooted" })
      const file = join(where, "runs", "rebooted.json")
      writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), boot: "another" }))
      assert.deepStrictEqual(yield* sweepOf(owner, records), [])
      assert.isFalse([neighbour, similar, reused, rebooted].some(isGone))
      // What was recorded is settled.
      assert.deepStrictEqual(readdirSync(join(where, "runs")), [])
    }).pipe(Effect.scoped)
  )

  it.live("passes over records that are no records", () =>
    Effect.gen(function* () {
      const where = yield* dir
      const records = RunRecords.make(where)
      const texts = [
        "",
        "{",
        "null",
        '{"boot":1}',
        `{"boot":"x","pid":1.5,"startTime":"","marker":""}`,
        "\0".repeat(9999)
      ]
      for (const [n, text] of texts.entries()) writeFileSync(join(where, "runs", `${n}.json`), text)
      mkdirSync(join(where, "runs", "directory.json"))
      assert.deepStrictEqual(records.list(), [])
      const swept = yield* Effect.exit(sweepOf(newOwner(), records))
      assert.isTrue(Exit.isSuccess(swept))
    }).pipe(Effect.scoped)
  )

  it.live("spares what has led to this process, and ends what else its ancestors were marked with", () =>
    Effect.gen(function* () {
      const owner = newOwner()
      const where = yield* dir
      writeFileSync(join(where, "id"), `${owner}\n`)
      const script = `sleep 1000 & echo $!; "$0" "$1" "$2"; echo survived`
      const { stdout } = spawnSync(
        "sh",
        ["-c", script, process.execPath, join(root, "test/fixtures/process/sweeper.ts"), where],
        { env: { PATH: path, [MARKER]: `${owner}.life.run` }, encoding: "utf8" }
      )
      const [sibling, swept, end] = stdout.split("\n")
      assert.strictEqual(end, "survived")
      assert.deepStrictEqual(
        JSON.parse(swept ?? "").map(({ pid }: { pid: number }) => pid),
        [Number(sibling)]
      )
    }).pipe(Effect.scoped)
  )

  const cgroup = findCgroup()
  if ("why" in cgroup) console.log(`a sweep of cgroups is not tested: ${cgroup.why}`)
  it.live.skipIf("why" in cgroup)(
    "ends and removes the cgroups of earlier lives, frozen or not, and no one else's",
    () =>
      Effect.gen(function* () {
        const [owner, other] = [newOwner(), newOwner()]
        const base = "path" in cgroup ? cgroup.path : ""
        const [own, frozen, neighbours] = [`${owner}-1`, `${owner}-2`, `${other}-1`].map((name) =>
          join(base, `mister-smith-${name}`)
        ) as [string, string, string]
        for (const path of [own, frozen, neighbours]) mkdirSync(join(path, "run", "deeper"), { recursive: true })
        const inside = (path: string) =>
          left(
            'echo $$ >"$group/run/deeper/cgroup.procs"; env -i setsid sleep 1000 & echo $$ >$dir/one; exec sleep 1000',
            { group: path },
            "one"
          )
        const processes = [...(yield* inside(own)), ...(yield* inside(frozen)), ...(yield* inside(neighbours))]
        writeFileSync(join(frozen, "cgroup.freeze"), "1")
        yield* sweepOf(owner, RunRecords.make(yield* dir), cgroup)
        assert.deepStrictEqual(alive(processes), [false, false, true])
        assert.deepStrictEqual(
          [own, frozen, neighbours].map((path) => existsSync(path)),
          [false, false, true]
        )
        yield* sweepOf(other, RunRecords.make(yield* dir), cgroup)
        assert.isFalse(existsSync(neighbours))
        yield* Effect.sync(() => existsSync(neighbours) && rmdirSync(neighbours))
      }).pipe(Effect.scoped)
  )

  it.live.skipIf("why" in cgroup)("ends what is in the cgroup of an earlier life also where cgroups are off now", () =>
    Effect.gen(function* () {
      const owner = newOwner()
      const where = yield* dir
      writeFileSync(join(where, "id"), `${owner}\n`)
      const group = join("path" in cgroup ? cgroup.path : "", `mister-smith-${owner}-1`)
      mkdirSync(group)
      const processes = yield* left(
        'echo $$ >"$group/cgroup.procs"; echo $$ >$dir/one; exec sleep 1000',
        { group },
        "one"
      )
      spawnSync(process.execPath, [join(root, "test/fixtures/process/sweeper.ts"), where])
      assert.deepStrictEqual(alive(processes), [false])
      assert.isFalse(existsSync(group))
    }).pipe(Effect.scoped)
  )
})
