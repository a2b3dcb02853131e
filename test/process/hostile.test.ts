import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { readdirSync, rmdirSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option, Stream } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { findCgroup } from "../../src/process/CgroupPlace.ts"
import { ProcessHost } from "../../src/process/ProcessHost.ts"
import { defaults, type ProcessSettings } from "../../src/process/ProcessSettings.ts"
import * as ProcessTable from "../../src/process/ProcessTable.ts"
import { type ProcessHandle, ProcessTree } from "../../src/process/ProcessTree.ts"
import * as ProcFs from "../../src/process/ProcFs.ts"
import { type Tree, Trees } from "../../src/process/Trees.ts"
import { root, tempDir } from "../utils/Binary.ts"

const has = (command: string) => spawnSync("/bin/sh", ["-c", `command -v ${command}`]).status === 0
const path = process.env["PATH"] ?? "/usr/bin:/bin"
const bare = ProcessTree.layerBare.pipe(Layer.provide(SecureRandom.layerWebCrypto))

const on = (settings: Partial<ProcessSettings>) =>
  Layer.unwrap(
    Effect.map(
      Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]())),
      (dir) => ProcessTree.layer.pipe(Layer.provideMerge(ProcessHost.layer(dir.path, { ...defaults, ...settings })))
    )
  ).pipe(Layer.provide(SecureRandom.layerWebCrypto))

const sh = (script: string, env: Record<string, string> = {}) =>
  Effect.flatMap(ProcessTree, (tree) =>
    tree.spawn({ command: "sh", args: ["-c", script], cwd: "/tmp", env: { PATH: path, ...env } })
  )
const firstLine = (handle: ProcessHandle) =>
  handle.stdout.pipe(Stream.decodeText(), Stream.splitLines, Stream.runHead, Effect.map(Option.getOrElse(() => "")))

const until = (holds: () => boolean) =>
  Effect.gen(function* () {
    while (!holds()) yield* Effect.sleep("5 millis")
  })

/** A process that is no one's but the test's. */
const stranger = (command: string, ...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(command, [...args], { detached: true, stdio: ["ignore", "pipe", "pipe"] })),
    (child: ChildProcess) =>
      Effect.promise(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const over = once(child, "exit")
        child.kill("SIGKILL")
        await over
      })
  )

const linux = process.platform === "linux"

describe.skipIf(!linux)("a tree", { timeout: 60_000 }, () => {
  it.live.skipIf(!has("perl"))("is not ended while a process lives on of which the first thread has ended", () =>
    Effect.gen(function* () {
      // Of the leader's group and session it is not, nor is its parent one of ours any more.
      const handle = yield* sh(`exec perl -e '
        eval "use threads; 1" or do { print "none\\n"; exit };
        if (fork == 0) { exit if fork; require POSIX; POSIX::setsid(); $| = 1;
          threads->create(sub { sleep 1000 })->detach; print "$$\\n"; close STDOUT; syscall(60, 0) }
        wait; sleep 1000'`)
      const line = yield* firstLine(handle)
      if (line === "none") return console.log("perl has no threads here")
      const pid = Number(line)
      yield* until(() => ProcessTable.read(pid)?.state === "Z")
      const alive = () => {
        const entry = ProcessTable.read(pid)
        return entry !== undefined && !ProcFs.isDead(entry)
      }
      assert.isTrue(alive())
      const receipt = yield* handle.stop
      assert.include(
        receipt.ended.map(({ pid }) => pid),
        pid
      )
      yield* until(() => !alive())
    }).pipe(Effect.scoped, Effect.provide(bare))
  )

  it.skipIf(!has("prlimit"))("is not called ended by walks that could open no file", async () => {
    const child = spawn(process.execPath, [join(root, "test/fixtures/process/blind.ts")], {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 50_000
    })
    let said = ""
    child.stdout.on("data", (bytes) => (said += bytes))
    await once(child, "close")
    if (said === "no prlimit\n") return console.log("prlimit may not be used here")
    assert.strictEqual(said, "waited; gone\n")
  })

  it.live("carries its own marker, whatever its environment was to say", () =>
    Effect.gen(function* () {
      const handle = yield* sh(`echo "$${ProcessTable.MARKER}"; sleep 1000`, { [ProcessTable.MARKER]: "another's" })
      assert.strictEqual(yield* firstLine(handle), handle.run)
    }).pipe(Effect.scoped, Effect.provide(bare))
  )

  it.live("is killed without a stranger that leads a group by its leader's old number", () =>
    Effect.gen(function* () {
      const other = yield* stranger("sleep", "1000")
      const trees = new Trees(() => [])
      const tree: Tree = {
        marker: "none",
        leader: { pid: other.pid ?? 0, startTime: "1" },
        cgroup: undefined,
        limits: undefined,
        unenforced: [],
        justEnded: false,
        holdsGroup: false,
        now: () => 0,
        exceeded: undefined,
        pausedSince: undefined,
        pausedBefore: 0
      }
      trees.live.set(tree.marker, tree)
      trees.killAll()
      // A second signal would be told after the first.
      other.kill("SIGTERM")
      const [, signal] = yield* Effect.promise(() => once(other, "exit"))
      assert.strictEqual(signal, "SIGTERM")
    }).pipe(Effect.scoped)
  )

  it.live.skipIf(!has("perl") || process.arch !== "x64")(
    "does not keep a stop waiting when a tracer holds its leader's exit",
    () =>
      Effect.gen(function* () {
        const handle = yield* sh("echo up; sleep 1000")
        yield* firstLine(handle)
        // PTRACE_SEIZE, and never a wait.
        const tracer = yield* stranger(
          "perl",
          "-e",
          '$| = 1; print syscall(101, 0x4206, $ARGV[0] + 0, 0, 0) == 0 ? "traced\n" : "refused\n"; sleep 1000',
          String(handle.pid)
        )
        const said = yield* Effect.promise(async () => String((await once(tracer.stdout ?? tracer, "data"))[0]))
        if (said !== "traced\n") return console.log("ptrace is refused here")
        const failure = yield* Effect.flip(handle.stop)
        assert.strictEqual(failure._tag, "TreeSurvived")
        assert.deepStrictEqual(
          failure.survivors.map(({ pid }) => pid),
          [handle.pid]
        )
        // Or the exit would be waited for as long again.
        tracer.kill("SIGKILL")
        yield* handle.exit
      }).pipe(
        Effect.scoped,
        Effect.provide(on({ cgroup: "off", stop: { ...defaults.stop, kill: Duration.millis(300) } }))
      )
  )

  const cgroup = findCgroup()
  it.live.skipIf("why" in cgroup)("is not started outside of a cgroup where one is required", () =>
    Effect.gen(function* () {
      const host = yield* ProcessHost
      rmdirSync(host.subtree?.path ?? "")
      const failure = yield* Effect.flip(sh("sleep 1000"))
      assert.strictEqual(failure._tag, "SpawnFailed")
      assert.include(failure.message, "ENOENT")
    }).pipe(Effect.scoped, Effect.provide(on({ cgroup: "required" })))
  )

  it.live("lets go of who writes to a child that never reads, when it is stopped", () =>
    Effect.gen(function* () {
      const handle = yield* sh("echo up; sleep 1000")
      yield* firstLine(handle)
      const writing = yield* Effect.forkChild(handle.write("x".repeat(1024 * 1024)))
      yield* Effect.yieldNow
      yield* handle.stop
      assert.isFalse(yield* Fiber.join(writing))
    }).pipe(Effect.scoped, Effect.provide(bare))
  )

  it.live("has no descriptor of ours but its three pipes, however many start at once", () =>
    Effect.gen(function* () {
      const handles = yield* Effect.forEach(Array.from({ length: 8 }), () => sh("echo up; sleep 1000"), {
        concurrency: "unbounded"
      })
      yield* Effect.forEach(handles, firstLine)
      for (const { pid } of handles) assert.deepStrictEqual(readdirSync(`/proc/${pid}/fd`).sort(), ["0", "1", "2"])
    }).pipe(Effect.scoped, Effect.provide(bare))
  )
})
