/** From the call to its return, and to the first byte of the child; one after the other, and many at once. */
import { Effect, type Scope } from "effect"
import { ProcessTree } from "../../../src/process/ProcessTree.ts"
import { median, round } from "../measure.ts"
import { env, firstByte, layer, now, PROGRAM, Samples, specOf, summary, ways } from "./Machine.ts"
import type { Peer } from "./Peer.ts"

const ROUNDS = 9
const EACH = 30
const BURST = 50

/** Milliseconds. */
interface Sample {
  readonly called: number
  readonly printed: number
}

interface Batch {
  readonly each: ReadonlyArray<Sample>
  /** Until all of a burst have printed. */
  readonly burst: number
}

const spec = specOf(PROGRAM)

const plainOnce = async (): Promise<Sample & { readonly end: () => Promise<unknown> }> => {
  const began = now()
  const child = Bun.spawn([...PROGRAM], {
    cwd: "/",
    env,
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    detached: true
  })
  const called = now() - began
  const reader = child.stdout.getReader()
  await reader.read()
  const printed = now() - began
  return {
    called,
    printed,
    end: async () => {
      child.stdin.end()
      await child.exited
      await reader.cancel()
    }
  }
}

const plain = async (): Promise<Batch> => {
  const each: Array<Sample> = []
  for (let i = 0; i < EACH; i++) {
    const { end, ...sample } = await plainOnce()
    each.push(sample)
    await end()
  }
  const began = now()
  const all = await Promise.all(Array.from({ length: BURST }, plainOnce))
  const burst = now() - began
  await Promise.all(all.map(({ end }) => end()))
  return { each, burst }
}

const ourOnce: Effect.Effect<Sample, unknown, ProcessTree | Scope.Scope> = Effect.gen(function* () {
  const tree = yield* ProcessTree
  const began = now()
  const handle = yield* tree.spawn(spec)
  const called = now() - began
  yield* firstByte(handle)
  return { called, printed: now() - began }
})

const ours = Effect.gen(function* () {
  const each: Array<Sample> = []
  for (let i = 0; i < EACH; i++) each.push(yield* Effect.scoped(ourOnce))
  const burst = yield* Effect.scoped(
    Effect.gen(function* () {
      const began = now()
      yield* Effect.forEach(Array.from({ length: BURST }), () => ourOnce, { concurrency: "unbounded" })
      return now() - began
    })
  )
  return { each, burst } satisfies Batch
})

const inC = (peer: Peer): Batch => {
  const { called, printed } = peer.run("spawn", EACH, PROGRAM)
  const burst = Math.max(...peer.run("burst", BURST, PROGRAM).printed) / 1000
  return { each: called.map((at, i) => ({ called: at / 1000, printed: (printed[i] ?? 0) / 1000 })), burst }
}

const figures = (batches: ReadonlyArray<Batch>) => ({
  called: summary(batches.flatMap(({ each }) => each.map(({ called }) => called))),
  printed: summary(batches.flatMap(({ each }) => each.map(({ printed }) => printed))),
  burstPerSecond: round(BURST / (median(batches.map(({ burst }) => burst)) / 1000))
})

export const spawning = Effect.fnUntraced(function* (peer: Peer | string) {
  const batches = new Samples<Batch>()
  for (let at = -1; at < ROUNDS; at++) {
    const add = (name: string, batch: Batch) => {
      // The first round warms up.
      if (at >= 0) batches.add(name, batch)
    }
    for (const way of ways) add(way, yield* Effect.provide(ours, layer(way)))
    add("bunSpawn", yield* Effect.promise(plain))
    if (typeof peer !== "string") add("c", inC(peer))
  }
  const all = batches.map(figures)
  const bun = all["bunSpawn"]?.printed.medianMillis ?? 0
  return {
    goal: "printed within 1.3 times bunSpawn",
    timesBunSpawn: Object.fromEntries(ways.map((way) => [way, round((all[way]?.printed.medianMillis ?? 0) / bun)])),
    ...all,
    ...(typeof peer === "string" ? { c: peer } : {})
  }
})
