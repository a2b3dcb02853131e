import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { KEPT, Moves } from "../../src/agent/Moves.ts"
import * as SqliteStateStore from "../../src/state/SqliteStateStore.ts"
import { StateStore } from "../../src/state/StateStore.ts"
import { StateUnusable } from "../../src/state/StateStoreError.ts"
import { tempDir } from "../utils/Binary.ts"

const move = (reason: string) => ({ from: "idle", to: "busy", reason })

it.effect("the last moves of an agent are told in the next run too, and no more than are to be kept", () =>
  Effect.gen(function* () {
    const dir = yield* Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]()))
    const home = Moves.layer.pipe(Layer.provide(SqliteStateStore.layer(join(dir.path, SqliteStateStore.FILE))))
    const life = <A, E>(work: Effect.Effect<A, E, Moves>) => Effect.provide(work, Layer.fresh(home))
    yield* life(
      Effect.gen(function* () {
        const moves = yield* Moves
        yield* moves.note("b", move("another"))
        for (let n = 0; n < KEPT + 5; n++) {
          yield* moves.note("a", move(`task ${n} ${"x".repeat(10_000)}`))
          yield* TestClock.adjust("1 second")
        }
      })
    )
    const told = yield* life(Effect.map(Moves, (moves) => moves.of("a")))
    assert.lengthOf(told, KEPT)
    assert.match(told[0]?.reason ?? "", /^task 5 x/)
    assert.match(told.at(-1)?.reason ?? "", new RegExp(`^task ${KEPT + 4} x`))
    assert.strictEqual((told[1]?.at ?? 0) - (told[0]?.at ?? 0), 1_000)
    assert.isBelow(JSON.stringify(told).length, 10_000)
  })
)

it.effect("moves are told where none can be written, or what was written cannot be read", () =>
  Effect.gen(function* () {
    const broken = Layer.mock(StateStore, {
      list: () => Effect.succeed([{ key: "a", value: "[{", revision: 1 }]),
      put: () => Effect.fail(new StateUnusable({ where: "state.db", problem: "full", detail: "no room" }))
    })
    yield* Effect.gen(function* () {
      const moves = yield* Moves
      assert.deepEqual(moves.of("a"), [])
      yield* moves.note("a", move("now"))
      assert.lengthOf(moves.of("a"), 1)
    }).pipe(Effect.provide(Moves.layer.pipe(Layer.provide(broken))))
  })
)
