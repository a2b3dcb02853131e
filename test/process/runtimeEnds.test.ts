/** What is left of the zoo when the runtime that let it out is ended: in order, or by a SIGKILL of its own. */
import { type ChildProcess, spawn } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { afterEach, assert } from "vitest"
import { findCgroup } from "../../src/process/CgroupPlace.ts"
import * as PidNamespace from "../../src/process/PidNamespace.ts"
import { cgroupPrefix } from "../../src/process/Sweep.ts"
import { root, tempDir } from "../utils/Binary.ts"
import * as Zoo from "../utils/Zoo.ts"

const whyNot = (found: object) => ("why" in found ? String(found.why) : undefined)
const bare: ReadonlyArray<Zoo.Reach> = ["group", "group_kill", "marker", "descent"]
const machines = [
  { name: "by cgroup", rungs: [...bare, "cgroup"], settings: { cgroup: "required" }, missing: whyNot(findCgroup()) },
  { name: "without cgroup", rungs: bare, settings: { cgroup: "off" }, missing: undefined },
  {
    name: "by PID namespace",
    rungs: [...bare, "pid_namespace"],
    settings: { cgroup: "off", pidNamespace: "required" },
    missing: whyNot(PidNamespace.find())
  }
] as const

const started: Array<ChildProcess> = []
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL")
})

/** A runtime with these animals, all of which are ready. */
const runtime = async (dataDir: string, settings: object, witness: string, animals: ReadonlyArray<Zoo.Animal>) => {
  const child = spawn(
    process.execPath,
    [join(root, "test/fixtures/zoo/host.ts"), dataDir, JSON.stringify(settings), witness, JSON.stringify(animals)],
    { stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env["PATH"] } }
  )
  started.push(child)
  let said = ""
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text))
  await new Promise<void>((resolve, reject) => {
    child.stdout.on("data", () => said.includes("ready\n") && resolve())
    child.once("error", reject)
    child.once("exit", (code) => reject(new Error(`the runtime ended (${code}): ${said}`)))
  })
  return { child, ended: new Promise<void>((resolve) => void child.once("exit", () => resolve())) }
}

/** Waits until nobody holds the witness, for as long as the tests' own limit. */
const gone = async (witness: string) => {
  for (let look = 0; look < 400 && Zoo.alive(witness); look++) await new Promise((resolve) => setTimeout(resolve, 25))
  return Zoo.holders(witness)
}

/** Waits until there is no cgroup of this data directory any more. */
const removed = async (dataDir: string) => {
  const place = findCgroup()
  if ("why" in place) return
  const id = readFileSync(join(dataDir, "id"), "utf8").slice(0, 12)
  const left = () => readdirSync(place.path).filter((name) => name.startsWith(cgroupPrefix(id)))
  for (let look = 0; look < 400 && left().length > 0; look++) await new Promise((resolve) => setTimeout(resolve, 25))
  assert.deepStrictEqual(left(), [])
}

for (const { missing: lacks, name, rungs, settings } of machines) {
  const missing = Zoo.missing() ?? lacks
  if (missing !== undefined) console.log(`the zoo is closed ${name}: ${missing}`)
  describe.skipIf(missing !== undefined)(`a runtime that is ended ${name}`, () => {
    const animals = Zoo.zoo.filter((animal) => Zoo.reachable(animal, rungs))
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      it.live(`leaves nothing of any animal after ${signal}`, () =>
        Effect.gen(function* () {
          using dir = tempDir()
          const witness = yield* Zoo.witness
          const { child, ended } = yield* Effect.promise(() => runtime(dir.path, settings, witness, animals))
          assert.isTrue(Zoo.alive(witness))
          child.kill(signal)
          yield* Effect.promise(() => ended)
          const left = yield* Effect.promise(() =>
            signal === "SIGTERM" ? Promise.resolve(Zoo.holders(witness)) : gone(witness)
          )
          assert.deepStrictEqual(left, [])
          yield* Effect.promise(() => removed(dir.path))
          assert.isFalse(Zoo.alive(witness))
        }).pipe(Effect.scoped)
      )
    }

    it.live("leaves nothing after any of 20 random SIGKILLs", () =>
      Effect.gen(function* () {
        const seed = Number(process.env["ZOO_SEED"] ?? Math.floor(Math.random() * 2 ** 32))
        console.log(`ZOO_SEED=${seed} repeats these`)
        const next = Zoo.generator(seed)
        const round = Effect.scoped(
          Effect.gen(function* () {
            using dir = tempDir()
            const witness = yield* Zoo.witness
            const some = Array.from({ length: 2 }, () => animals[next(animals.length)]).filter(
              (each) => each !== undefined
            )
            const { child, ended } = yield* Effect.promise(() => runtime(dir.path, settings, witness, some))
            child.kill("SIGKILL")
            yield* Effect.promise(() => ended)
            const left = yield* Effect.promise(() => gone(witness))
            return left.length === 0 ? [] : [{ animals: some.map(({ name }) => name), left }]
          })
        )
        const survived = yield* Effect.forEach(Array.from({ length: 20 }), () => round, { concurrency: 2 })
        assert.deepStrictEqual(survived.flat(), [])
      })
    )
  })
}
