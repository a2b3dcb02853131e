import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Scope, Stream } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { Membership } from "../../src/process/Membership.ts"
import * as ProcessTable from "../../src/process/ProcessTable.ts"
import { type ProcessHandle, ProcessTree } from "../../src/process/ProcessTree.ts"

const live = ProcessTree.layerBare.pipe(Layer.provide(SecureRandom.layerWebCrypto))
const bash = (script: string) =>
  Effect.flatMap(ProcessTree, (tree) =>
    tree.spawn({ command: "bash", args: ["-c", script], cwd: "/tmp", env: { PATH: process.env["PATH"] ?? "" } })
  )
const firstLine = (handle: ProcessHandle) => handle.stdout.pipe(Stream.decodeText(), Stream.splitLines, Stream.runHead)

/** Everything of the run that is alive. */
const survivors = (handle: ProcessHandle) =>
  new Membership()
    .of([{ marker: handle.run, leader: { pid: handle.pid, startTime: "none" }, cgroup: undefined }])
    .get(handle.run) ?? []

describe("ProcessTree", () => {
  it.live("hands over what the child prints and how it exits", () =>
    Effect.gen(function* () {
      const handle = yield* bash("read line; echo got:$line; exit 7")
      assert.isTrue(yield* handle.write("hello\n"))
      const line = yield* firstLine(handle)
      assert.deepStrictEqual(line, Option.some("got:hello"))
      assert.deepStrictEqual(yield* handle.exit, { code: 7, signal: null })
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("keeps what a child said that has exited before anyone read it", () =>
    Effect.gen(function* () {
      const handle = yield* bash("echo last words; echo and errors >&2")
      yield* handle.exit
      yield* Effect.sleep("20 millis")
      const read = (stream: Stream.Stream<Uint8Array>) => stream.pipe(Stream.decodeText(), Stream.mkString)
      assert.strictEqual(yield* read(handle.stdout), "last words\n")
      assert.include(yield* read(handle.stderr), "and errors\n")
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("gives the child only the environment it was told, plus the marker", () =>
    Effect.gen(function* () {
      // `env` itself: bash would read start-up files that set more.
      const tree = yield* ProcessTree
      const handle = yield* tree.spawn({ command: "env", args: [], cwd: "/tmp", env: { PATH: "/usr/bin:/bin" } })
      const lines = yield* handle.stdout.pipe(Stream.decodeText(), Stream.splitLines, Stream.runCollect)
      const names = lines.map((line) => line.split("=")[0])
      assert.sameMembers(names, ["PATH", ProcessTable.MARKER])
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  for (const [what, script] of [
    ["a child that obeys", "sleep 1000 & echo up; wait"],
    ["one that ignores INT, TERM and HUP", "trap '' INT TERM HUP; echo up; while :; do sleep 1000; done"],
    [
      "a grandchild in a session of its own",
      "setsid sleep 1000 & setsid nohup sh -c 'setsid sleep 1000; :' >/dev/null 2>&1 & sleep 0.1; echo up; wait"
    ],
    ["what a leader leaves that exits 0", "setsid sleep 1000 & (trap '' TERM; setsid sleep 1000) & echo up; exit 0"],
    ["a stopped child", "sleep 1000 & kill -STOP $!; echo up; kill -STOP $$; sleep 1000"]
  ] as const) {
    it.live(`leaves nothing alive of ${what}`, () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(bash(script), scope)
        yield* firstLine(handle)
        assert.isAbove(survivors(handle).length, 0)
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(survivors(handle), [])
      }).pipe(Effect.provide(live))
    )
  }

  it.live("answers every stop with one receipt that names what ended and how", () =>
    Effect.gen(function* () {
      const handle = yield* bash(
        "setsid sleep 1001 & setsid sh -c 'trap : TERM; echo up; while :; do sleep 1002; done' & wait"
      )
      yield* firstLine(handle)
      const [first, second] = yield* Effect.all([handle.stop, handle.stop], { concurrency: 2 })
      assert.strictEqual(first, second)
      // What the leader leaves is asked too, and killed where it does not listen.
      assert.strictEqual(first.ended.find(({ name }) => name === "sleep")?.by, "SIGTERM")
      assert.strictEqual(first.ended.find(({ name }) => name === "sh")?.by, "walk")
      assert.strictEqual(first.ended.find(({ pid }) => pid === handle.pid)?.by, "SIGINT")
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("ends the tree when the fiber that holds it is interrupted", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<ProcessHandle>()
      const fiber = yield* Effect.forkChild(
        Effect.scoped(
          Effect.andThen(
            Effect.tap(bash("trap '' INT TERM; echo up; while :; do sleep 1000; done"), (handle) =>
              Effect.andThen(firstLine(handle), Deferred.succeed(started, handle))
            ),
            Effect.never
          )
        )
      )
      const handle = yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(survivors(handle), [])
    }).pipe(Effect.provide(live))
  )

  it.live("does not signal a process that has got the pid of another", () =>
    Effect.gen(function* () {
      const handle = yield* bash("echo up; sleep 1000")
      yield* firstLine(handle)
      assert.isFalse(ProcessTable.signal({ pid: handle.pid, startTime: "1" }, "SIGKILL"))
      assert.isDefined(ProcessTable.read(handle.pid))
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("says what is wrong when a start fails", () =>
    Effect.gen(function* () {
      const tree = yield* ProcessTree
      const tag = (command: string, cwd = "/tmp") =>
        Effect.scoped(tree.spawn({ command, args: [], cwd, env: { PATH: process.env["PATH"] ?? "" } })).pipe(
          Effect.flip,
          Effect.map((error) => error._tag)
        )
      assert.strictEqual(yield* tag("no-such-program"), "CommandNotFound")
      assert.strictEqual(yield* tag("/nonexistent/program"), "CommandNotFound")
      assert.strictEqual(yield* tag("/etc/hostname"), "CommandNotExecutable")
      assert.strictEqual(yield* tag("true", "/nonexistent"), "WorkingDirectoryMissing")
    }).pipe(Effect.provide(live))
  )
})
