/** From the SIGKILL of a child to the event of it, and to its replacement's first byte. */
import { Deferred, Effect, Option, Scope } from "effect"
import type { Fault } from "../../../src/domain/Fault.ts"
import { type ProcessHandle, ProcessTree } from "../../../src/process/ProcessTree.ts"
import * as Supervisor from "../../../src/supervision/Supervisor.ts"
import { round } from "../measure.ts"
import { env, firstByte, layer, now, PROGRAM, Samples, specOf, summary, type Way, ways } from "./Machine.ts"
import type { Peer } from "./Peer.ts"

const ROUNDS = 7
const EACH = 20

const HOLDING = ["/bin/sh", "-c", "sleep 1000 & echo; read line"] as const

/** Milliseconds from the kill to the fiber that waits for the exit. */
const deaths = Effect.fnUntraced(function* (program: typeof PROGRAM | typeof HOLDING) {
  const tree = yield* ProcessTree
  const all: Array<number> = []
  for (let i = 0; i < EACH; i++) {
    const one = Effect.gen(function* () {
      const handle = yield* tree.spawn(specOf(program))
      yield* firstByte(handle)
      const began = now()
      process.kill(handle.pid, "SIGKILL")
      yield* handle.exit
      return now() - began
    })
    all.push(yield* Effect.scoped(one))
  }
  return all
})

const plainDeaths = async () => {
  const all: Array<number> = []
  for (let i = 0; i < EACH; i++) {
    const child = Bun.spawn([...PROGRAM], { env, stdin: "pipe", stdout: "pipe", stderr: "pipe", detached: true })
    const reader = child.stdout.getReader()
    await reader.read()
    const began = now()
    process.kill(child.pid, "SIGKILL")
    await child.exited
    all.push(now() - began)
    await reader.cancel()
  }
  return all
}

const crash: Fault = {
  _tag: "Crash",
  message: "it was killed",
  severity: "medium",
  recovery: "restart",
  countsAgainstIntensity: true
}

interface Replacement {
  readonly exited: number
  readonly called: number
  readonly printed: number
}

/** A supervised child is killed over and over; its next life begins when the last one is proven gone. */
const replacements = Effect.gen(function* () {
  const tree = yield* ProcessTree
  let began = 0
  let exited = 0
  let called = 0
  let ready = Deferred.makeUnsafe<ProcessHandle>()
  const start = Effect.gen(function* () {
    const handle = yield* tree.spawn(specOf(PROGRAM))
    called = now() - began
    if (Option.isNone(yield* firstByte(handle))) return yield* Effect.fail(crash)
    Deferred.doneUnsafe(ready, Effect.succeed(handle))
    return Effect.flatMap(handle.exit, () => {
      exited = now() - began
      return Effect.fail(crash)
    })
  })
  const scope = yield* Effect.acquireRelease(Scope.make(), Scope.close)
  yield* Supervisor.start({
    id: "bench",
    strategy: "one_for_one",
    maxRestarts: Number.POSITIVE_INFINITY,
    within: "1 second",
    children: [{ id: "child", start: Effect.catch(start, () => Effect.fail(crash)) }]
  }).pipe(Scope.provide(scope))
  const all: Array<Replacement> = []
  let handle = yield* Deferred.await(ready)
  for (let i = 0; i < EACH; i++) {
    ready = Deferred.makeUnsafe()
    began = now()
    process.kill(handle.pid, "SIGKILL")
    handle = yield* Deferred.await(ready)
    all.push({ exited, called, printed: now() - began })
  }
  return all
}).pipe(Effect.scoped)

export const dying = Effect.fnUntraced(function* (peer: Peer | string) {
  const toEvent = new Samples<number>()
  const toReplacement = new Samples<Replacement>()
  const add = <A>(into: Samples<A>, name: string, at: number, values: ReadonlyArray<A>) => {
    // The first round warms up.
    if (at >= 0) into.add(name, ...values)
  }
  for (let at = -1; at < ROUNDS; at++) {
    for (const way of ways) {
      const all = Effect.gen(function* () {
        add(toEvent, way, at, yield* deaths(PROGRAM))
        add(toEvent, `${way}WithHeldStdout`, at, yield* deaths(HOLDING))
        add(toReplacement, way, at, yield* replacements)
      })
      yield* Effect.provide(all, layer(way))
    }
    add(toEvent, "bunSpawn", at, yield* Effect.promise(plainDeaths))
    if (typeof peer === "string") continue
    const { called, died, printed } = peer.run("respawn", EACH, PROGRAM)
    add(
      toEvent,
      "c",
      at,
      died.map((micros) => micros / 1000)
    )
    add(
      toReplacement,
      "c",
      at,
      printed.map((micros, i) => ({
        exited: (died[i] ?? 0) / 1000,
        called: (called[i] ?? 0) / 1000,
        printed: micros / 1000
      }))
    )
  }
  const replacement = (samples: ReadonlyArray<Replacement>) => ({
    exited: summary(samples.map(({ exited }) => exited)),
    called: summary(samples.map(({ called }) => called)),
    printed: summary(samples.map(({ printed }) => printed))
  })
  const c = replacement(toReplacement.of("c")).printed.medianMillis
  const timesC = (way: Way) => round(replacement(toReplacement.of(way)).printed.medianMillis / c)
  return {
    deathToEvent: {
      goal: "1 ms median",
      ...toEvent.map(summary)
    },
    killToReplacement: {
      goal: "printed within 1.6 times c",
      ...(c > 0 ? { timesC: Object.fromEntries(ways.map((way) => [way, timesC(way)])) } : {}),
      ...toReplacement.map(replacement),
      ...(typeof peer === "string" ? { c: peer } : {})
    }
  }
})
