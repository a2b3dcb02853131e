import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option, Stream } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { TestClock } from "effect/testing"
import { findCgroup } from "../../src/process/CgroupPlace.ts"
import { elapsed } from "../../src/process/PausableTimeout.ts"
import { ProcessHost } from "../../src/process/ProcessHost.ts"
import { defaults } from "../../src/process/ProcessSettings.ts"
import * as ProcessTable from "../../src/process/ProcessTable.ts"
import { type ProcessHandle, ProcessTree } from "../../src/process/ProcessTree.ts"
import { tempDir } from "../utils/Binary.ts"

/** Something that may be paused, on the test's clock. */
const pausable = () => {
  let before = 0
  let since: number | undefined
  return {
    pausedMillis: (now: number) => before + (since === undefined ? 0 : now - since),
    pause: (now: number) => {
      since = now
    },
    resume: (now: number) => {
      before += since === undefined ? 0 : now - since
      since = undefined
    }
  }
}

describe("a time limit", () => {
  /** Waits `limit`, while `steps` alternate between running and standing still; answers with how long it took in all. */
  const took = (limit: Duration.Duration, steps: ReadonlyArray<number>, until: number) =>
    Effect.gen(function* () {
      const it = pausable()
      let now = 0
      let ended: number | undefined
      yield* Effect.forkScoped(
        Effect.andThen(
          elapsed(limit, () => it.pausedMillis(now)),
          Effect.sync(() => {
            ended = now
          })
        )
      )
      let paused = false
      let next = steps[0] ?? Number.POSITIVE_INFINITY
      let index = 0
      yield* TestClock.adjust(0)
      for (; now < until && ended === undefined; ) {
        if (now === next) {
          if (paused) it.resume(now)
          else it.pause(now)
          paused = !paused
          next += steps[++index] ?? Number.POSITIVE_INFINITY
        }
        now++
        yield* TestClock.adjust(1)
      }
      return ended
    }).pipe(Effect.scoped)

  it.effect("ends when its time has passed, not before", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* took(Duration.millis(100), [], 99), undefined)
      assert.strictEqual(yield* took(Duration.millis(100), [], 500), 100)
    })
  )

  it.effect("leaves out what was paused, once or often", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* took(Duration.millis(100), [40, 30], 500), 130)
      assert.strictEqual(yield* took(Duration.millis(100), [10, 5, 10, 5, 10, 5], 500), 115)
    })
  )

  it.effect("does not end during a pause, however long, and soon after it", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* took(Duration.millis(100), [99], 9999), undefined)
      const late = yield* took(Duration.millis(100), [99, 7001], 9999)
      assert.isAtLeast(late ?? 0, 7101)
      assert.isAtMost(late ?? 9999, 7201)
    })
  )

  it.effect("is over at once where there is no time, and never where it has no end", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* took(Duration.zero, [], 5), 0)
      const forever = yield* Effect.forkScoped(elapsed(Duration.infinity, () => 0))
      yield* TestClock.adjust("90 days")
      assert.isUndefined(forever.pollUnsafe())
      yield* Fiber.interrupt(forever)
    }).pipe(Effect.scoped)
  )

  it.effect("does not count what had been paused before it began", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkScoped(elapsed(Duration.millis(100), () => 5000))
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(fiber)
    }).pipe(Effect.scoped)
  )
})

const live = ProcessTree.layerBare.pipe(Layer.provide(SecureRandom.layerWebCrypto))
const withCgroup = Layer.unwrap(
  Effect.map(
    Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]())),
    ({ path }) => ProcessTree.layer.pipe(Layer.provide(ProcessHost.layer(path, { ...defaults, cgroup: "required" })))
  )
).pipe(Layer.provide(SecureRandom.layerWebCrypto))
const sh = (script: string) =>
  Effect.flatMap(ProcessTree, (tree) =>
    tree.spawn({ command: "sh", args: ["-c", script], cwd: "/tmp", env: { PATH: process.env["PATH"] ?? "" } })
  )
const firstLine = (handle: ProcessHandle) =>
  handle.stdout.pipe(Stream.decodeText(), Stream.splitLines, Stream.runHead, Effect.map(Option.getOrElse(() => "")))
const stateOf = (pid: number) => ProcessTable.read(pid)?.state

describe.skipIf(process.platform !== "linux")("a tree that is paused", { timeout: 60_000 }, () => {
  it.live("stands still with all that it has started, and goes on", () =>
    Effect.gen(function* () {
      const handle = yield* sh("setsid sleep 1000 & echo $!; sleep 1000")
      const child = Number(yield* firstLine(handle))
      yield* handle.pause
      for (const pid of [handle.pid, child]) assert.include(["T", "D"], stateOf(pid))
      const paused = handle.pausedMillis()
      assert.isAtLeast(handle.pausedMillis(), paused)
      yield* handle.resume
      assert.notInclude([handle.pid, child].map(stateOf), "T")
      assert.strictEqual(handle.pausedMillis(), handle.pausedMillis())
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("stands still also where one is just starting another, and waits in the kernel for that", () =>
    Effect.gen(function* () {
      // A shell that uses vfork is often met so; how often, is chance.
      for (let time = 0; time < 20; time++) {
        const handle = yield* sh("sleep 1000 & echo up; sleep 1000")
        yield* firstLine(handle)
        yield* handle.pause
        yield* handle.resume
        process.kill(-handle.pid, "SIGTERM")
        yield* handle.exit
      }
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("may be paused and resumed twice, by many at once, and after its end", () =>
    Effect.gen(function* () {
      const handle = yield* sh("echo up; sleep 1000")
      yield* firstLine(handle)
      yield* handle.resume
      yield* Effect.all([handle.pause, handle.pause, handle.pause], { concurrency: 3 })
      assert.include(["T", "D"], stateOf(handle.pid))
      yield* Effect.all([handle.resume, handle.resume], { concurrency: 2 })
      assert.notStrictEqual(stateOf(handle.pid), "T")
      yield* handle.stop
      yield* handle.pause
      yield* handle.resume
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("hears the signal that asks it to end", () =>
    Effect.gen(function* () {
      const handle = yield* sh("trap 'exit 7' INT; echo up; while :; do sleep 0.01; done")
      yield* firstLine(handle)
      yield* handle.pause
      assert.strictEqual((yield* handle.stop).exit.code, 7)
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("takes new limits", () =>
    Effect.gen(function* () {
      const handle = yield* sh("echo up; sleep 1000")
      yield* firstLine(handle)
      yield* handle.pause
      const unenforced = yield* handle.limit({ processes: 64, cpus: 2, enforce: "best_effort" })
      assert.deepStrictEqual(unenforced, handle.unenforced())
      assert.sameMembers(
        unenforced.map(({ limit, instead }) => `${limit} ${instead}`),
        ["cpus nothing", "processes sampled"]
      )
      yield* handle.stop
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  const cgroup = findCgroup()
  if ("why" in cgroup) console.log(`a pause by cgroup is not tested: ${cgroup.why}`)
  it.live.skipIf("why" in cgroup)("stands still by its cgroup, and with what has left that too", () =>
    Effect.gen(function* () {
      const procs = join("path" in cgroup ? cgroup.path : "", "cgroup.procs")
      const handle = yield* sh(`(echo 0 >"${procs}"; exec sleep 1000) & echo $!; exec sleep 1000`)
      const away = Number(yield* firstLine(handle))
      while (ProcessTable.read(away)?.name !== "sleep") yield* Effect.sleep("2 millis")
      if (!readFileSync(procs, "utf8").split("\n").includes(String(away))) return console.log("it could not leave")
      yield* handle.pause
      assert.strictEqual(stateOf(away), "T")
      // One that is frozen does not take a signal before it is let go.
      process.kill(handle.pid, "SIGTERM")
      yield* handle.resume
      assert.notStrictEqual(stateOf(away), "T")
      assert.strictEqual((yield* handle.exit).signal, "SIGTERM")
      const receipt = yield* handle.stop
      assert.include(
        receipt.ended.map(({ pid }) => pid),
        away
      )
    }).pipe(Effect.scoped, Effect.provide(withCgroup))
  )
})
