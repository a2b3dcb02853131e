/** What the benches of processes share: trees as a node has them, and how a sample becomes a figure. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, Stream } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { findCgroup } from "../../../src/process/CgroupPlace.ts"
import { ProcessHost } from "../../../src/process/ProcessHost.ts"
import { defaults, type ProcessSettings } from "../../../src/process/ProcessSettings.ts"
import { type ProcessHandle, ProcessTree } from "../../../src/process/ProcessTree.ts"
import { median, round } from "../measure.ts"

/** By which ways a tree is held: with its own cgroup, or without. */
export type Way = "cgroup" | "noCgroup"

const found = findCgroup()
export const noCgroup: string | undefined = "why" in found ? found.why : undefined
export const ways: ReadonlyArray<Way> = noCgroup === undefined ? ["cgroup", "noCgroup"] : ["noCgroup"]

/** Trees with a guardian and records, as a node has them, in a data directory of their own. */
export const layer = (way: Way, settings: Partial<ProcessSettings> = {}) =>
  Layer.unwrap(
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "mister-smith-bench-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
      ),
      (path) =>
        ProcessTree.layer.pipe(
          Layer.provideMerge(
            ProcessHost.layer(path, { ...defaults, cgroup: way === "cgroup" ? "required" : "off", ...settings })
          )
        )
    )
  ).pipe(Layer.provide(SecureRandom.layerWebCrypto))

/** Says that it runs, and ends with its input: the least that a peer can be given too. */
export const PROGRAM = ["/bin/sh", "-c", "echo; read line"] as const
export const env = { PATH: "/usr/bin:/bin" }

export const specOf = ([command, ...args]: readonly [string, ...ReadonlyArray<string>]) => ({
  command,
  args,
  cwd: "/",
  env
})

export const firstByte = (handle: ProcessHandle) => Stream.runHead(handle.stdout)

/** Samples by name, in the order of their first. */
export class Samples<A> {
  readonly all = new Map<string, Array<A>>()

  add(name: string, ...values: ReadonlyArray<A>): void {
    const list = this.all.get(name)
    if (list === undefined) this.all.set(name, [...values])
    else list.push(...values)
  }

  of(name: string): ReadonlyArray<A> {
    return this.all.get(name) ?? []
  }

  /** A figure for each name. */
  map<B>(figure: (values: ReadonlyArray<A>) => B): Record<string, B> {
    return Object.fromEntries([...this.all].map(([name, values]) => [name, figure(values)]))
  }
}

export const now = () => performance.now()

/** Of milliseconds. */
export const summary = (millis: ReadonlyArray<number>) => {
  const sorted = [...millis].sort((a, b) => a - b)
  return {
    medianMillis: round(median(millis)),
    p95Millis: round(sorted[Math.floor(sorted.length * 0.95)] ?? 0),
    samples: millis.length
  }
}
