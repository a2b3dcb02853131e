/** A node at the edge dies at each of its crash points; its next life brings to the fleet what is missing there, once. */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EDGE_POINTS } from "../../src/state/CrashPoint.ts"
import * as SqliteLedger from "../../src/task/SqliteLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { tempDir } from "../utils/Binary.ts"
import { around } from "./Homes.ts"

const worker = join(fileURLToPath(import.meta.url), "..", "edgeWorker.ts")

const live = (dir: string, env: Readonly<Record<string, string>> = {}) => {
  const { signal, status, stderr } = spawnSync(process.execPath, [worker, dir], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"] ?? "", ...env }
  })
  return { signal, status, stderr }
}

/** Before it is kept, nobody can know what was done. */
const LOST: ReadonlySet<string> = new Set(["edge.keep.before"])
/** The first time that it comes by, and a later one, where it does so several times. */
const TIMES = [1, 2]

describe("a node at the edge that is killed", { timeout: 120_000 }, () => {
  for (const point of EDGE_POINTS)
    for (const nth of TIMES)
      it.effect(`at ${point}, for the ${nth === 1 ? "first" : "second"} time`, () =>
        Effect.gen(function* () {
          using dir = tempDir()
          const mark = join(dir.path, "mark")
          const first = live(dir.path, {
            MISTER_SMITH_CRASH_POINTS: "on",
            MISTER_SMITH_CRASH_AT: `${point}:${nth}`,
            MISTER_SMITH_CRASH_MARK: mark
          })
          assert.strictEqual(first.signal, "SIGKILL", first.stderr)
          assert.isTrue(existsSync(mark))
          const second = live(dir.path)
          assert.strictEqual(second.status, 0, second.stderr)
          const performed = readFileSync(join(dir.path, "performed"), "utf8").trim().split("\n")
          if (!LOST.has(point)) assert.sameMembers(performed, ["done", "dead", "parked", "own", "own-too"])
          yield* Effect.gen(function* () {
            const fleet = yield* TaskLedger
            const all = yield* fleet.list()
            assert.sameMembers(
              all.map(({ id, result, state }) => `${id} ${state} ${result?.text ?? ""}`.trim()),
              [
                "done succeeded of the fleet",
                "dead dead",
                "parked parked",
                "own succeeded by itself",
                "own-too succeeded by itself",
                "fresh queued",
                "later parked"
              ]
            )
            for (const { id, state } of all) {
              const ends = (yield* fleet.history(id)).filter(({ ended }) => ended === state)
              assert.lengthOf(ends, ["fresh", "later"].includes(id) ? 0 : 1, id)
            }
          }).pipe(Effect.provide(SqliteLedger.layer(join(dir.path, "fleet.db"))), Effect.provide(around))
        })
      )
})
