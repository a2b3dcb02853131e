import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as SqliteStateStore from "../../src/state/SqliteStateStore.ts"
import { StateStore } from "../../src/state/StateStore.ts"
import { tempDir } from "../utils/Binary.ts"
import { conformance } from "./stateConformance.ts"

const dir = Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]()))

conformance("in memory", StateStore.layerMemory)
conformance(
  "in a file",
  Layer.unwrap(Effect.map(dir, ({ path }) => SqliteStateStore.layer(join(path, SqliteStateStore.FILE))))
)

describe("the state in a file", () => {
  it.effect("is there when the file is opened again, and its revisions go on", () =>
    Effect.gen(function* () {
      const home = SqliteStateStore.layer(join((yield* dir).path, SqliteStateStore.FILE))
      const within = <A, E>(work: Effect.Effect<A, E, StateStore>) => Effect.provide(work, Layer.fresh(home))
      const before = yield* within(
        Effect.gen(function* () {
          const store = yield* StateStore
          yield* store.put("b", "k", "kept")
          const latest = yield* store.put("b", "gone", "x")
          yield* store.remove("b", "gone")
          return latest
        })
      )
      yield* within(
        Effect.gen(function* () {
          const store = yield* StateStore
          assert.deepEqual(
            (yield* store.list("b")).map(({ key, value }) => [key, value]),
            [["k", "kept"]]
          )
          assert.isAbove(yield* store.put("b", "gone", "y"), before)
        })
      )
    })
  )
})
