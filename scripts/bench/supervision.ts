/**
 * What supervision costs, beside Erlang/OTP in the same run on the same machine. Prints one JSON object:
 *
 * - crashToRestartedMicros: from the failure of a child until its group is ready again, and how many such a second; each
 *   child falls in its turn, so that with many of them none is in the processor's cache
 * - sameChildMicros: the same, but it is always one and the same child that falls
 * - restartChildMicros: terminateChild, then restartChild
 * - bytesPerChild: beyond a bare fiber that waits
 *
 * Erlang is Debian's erlang-base. Where `erl` is missing, `--install` gets it with apt-get; otherwise the report says so.
 */

import { heapStats } from "bun:jsc"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Deferred, Effect, Exit, Scope } from "effect"
import type { Fault } from "../../src/domain/Fault.ts"
import type { Strategy } from "../../src/supervision/Strategy.ts"
import * as Supervisor from "../../src/supervision/Supervisor.ts"

const boom: Fault = {
  _tag: "Boom",
  message: "boom",
  severity: "medium",
  recovery: "restart",
  countsAgainstIntensity: true
}

const heap = () => {
  for (let n = 0; n < 3; n++) Bun.gc(true)
  return heapStats().heapSize
}

const micros = (start: number, times: number) => Math.round(((performance.now() - start) * 100_000) / times) / 100

const measure = (strategy: Strategy, count: number, bareFiber: number) =>
  Effect.gen(function* () {
    const lives: Array<Deferred.Deferred<void, Fault>> = []
    const children = Array.from({ length: count }, (_, n) => ({
      id: String(n),
      start: Effect.sync(() => {
        const life = Deferred.makeUnsafe<void, Fault>()
        lives[n] = life
        return Deferred.await(life)
      })
    }))
    const before = heap()
    const scope = yield* Scope.make()
    const spec = { id: "bench", strategy, maxRestarts: 1_000_000, within: "1 second", children } as const
    const supervisor = yield* Scope.provide(Supervisor.start(spec), scope)
    const bytes = (heap() - before) / count - bareFiber

    // Every child here is ready at once, so its group is back before the failure is through.
    const crash = (times: number, step: number) => {
      const start = performance.now()
      for (let left = times; left > 0; left--) {
        const life = lives[(left * step) % count]
        if (life !== undefined) Deferred.doneUnsafe(life, Exit.fail(boom))
      }
      return micros(start, times)
    }
    const cycles = strategy === "one_for_one" ? 50_000 : Math.max(5, Math.floor(50_000 / count))
    const median = (step: number) => {
      crash(cycles, step)
      return [1, 2, 3].map(() => crash(cycles, step)).sort((a, b) => a - b)[1] ?? 0
    }
    const sameChildMicros = median(0)
    const crashToRestartedMicros = median(7_919)

    const times = 2_000
    const restart = Effect.gen(function* () {
      for (let left = times; left > 0; left--) {
        const id = String((left * 7919) % count)
        yield* supervisor.terminateChild(id)
        yield* supervisor.restartChild(id)
      }
    })
    yield* restart
    const start = performance.now()
    yield* restart
    const restartChildMicros = micros(start, times)
    yield* Scope.close(scope, Exit.void)
    return {
      strategy,
      children: count,
      crashToRestartedMicros,
      sameChildMicros,
      cyclesPerSecond: Math.round(1_000_000 / crashToRestartedMicros),
      restartChildMicros,
      bytesPerChild: Math.round(bytes)
    }
  })

const bareFiber = Effect.gen(function* () {
  const count = 10_000
  const before = heap()
  const fibers = Array.from({ length: count }, () => Effect.runFork(Effect.callback<never>(() => {})))
  const bytes = (heap() - before) / count
  for (const fiber of fibers) fiber.interruptUnsafe()
  return bytes
})

/** What OTP makes of the same, or why it was not asked. */
const otp = (): unknown => {
  const has = () => spawnSync("erl", ["-version"]).status === 0
  if (!has() && process.argv.includes("--install")) spawnSync("apt-get", ["install", "-y", "erlang-base"])
  if (!has()) return { missing: "erl is not installed; apt-get install erlang-base, or run this with --install" }
  const where = mkdtempSync(join(tmpdir(), "bench-"))
  try {
    const compiled = spawnSync("erlc", ["-o", where, join(import.meta.dirname, "supervision.erl")])
    if (compiled.status !== 0) return { failed: compiled.stdout.toString() + compiled.stderr.toString() }
    const run = spawnSync("erl", ["-noshell", "-pa", where, "-s", "supervision", "main"], {
      timeout: 120_000,
      env: { ...process.env, ERL_CRASH_DUMP: "/dev/null" }
    })
    return JSON.parse(run.stdout.toString())
  } catch (error) {
    return { failed: String(error) }
  } finally {
    rmSync(where, { recursive: true })
  }
}

const main = Effect.gen(function* () {
  const bare = yield* bareFiber
  const results: Array<unknown> = []
  for (const strategy of ["one_for_one", "rest_for_one", "one_for_all"] as const) {
    for (const count of [10, 100, 1_000, 10_000]) results.push(yield* measure(strategy, count, bare))
  }
  return { bench: "supervision", bareFiberBytes: Math.round(bare), results, erlang: otp() }
})

console.log(JSON.stringify(await Effect.runPromise(main), null, 2))
