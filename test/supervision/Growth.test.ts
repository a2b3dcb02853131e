/** Nothing is left of a life that is over: a hundred thousand restarts leave as much behind as a thousand. */

import { heapStats } from "bun:jsc"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Scope } from "effect"
import type { Child } from "../../src/supervision/Child.ts"
import * as Supervisor from "../../src/supervision/Supervisor.ts"
import { boom, spec } from "./Script.ts"

const objects = () => {
  for (let n = 0; n < 3; n++) Bun.gc(true)
  return heapStats().objectCount
}

for (const strategy of ["one_for_one", "one_for_all"] as const) {
  it.live(`100,000 restarts leave no fiber, listener or memory behind (${strategy})`, () =>
    Effect.gen(function* () {
      const lives: Array<Deferred.Deferred<void, typeof boom>> = []
      const held = new Set<number>()
      let born = 0
      const children = Array.from(
        { length: 4 },
        (_, n): Child => ({
          id: `child-${n}`,
          backoff: { initialDelay: 0, jitter: "none" },
          start: Effect.suspend(() => {
            const life = ++born
            lives[n] = Deferred.makeUnsafe()
            held.add(life)
            return Effect.as(
              Effect.flatMap(Effect.scope, (scope) =>
                Scope.addFinalizer(
                  scope,
                  Effect.sync(() => held.delete(life))
                )
              ),
              Deferred.await(lives[n])
            )
          })
        })
      )
      const supervisor = yield* Supervisor.start(spec(children, { strategy, maxRestarts: Number.POSITIVE_INFINITY }))
      const crash = Effect.fnUntraced(function* (times: number) {
        for (let n = 0; n < times; n++) {
          const life = lives[n % 4]
          if (life !== undefined) yield* Deferred.fail(life, boom)
        }
      })
      const cycles = strategy === "one_for_one" ? 100_000 : 25_000
      yield* crash(1_000)
      const before = objects()
      yield* crash(cycles)
      const after = objects()
      assert.strictEqual(held.size, 4)
      assert.isAtLeast(born, 100_000)
      assert.isBelow(after - before, 1_000)
      assert.strictEqual((yield* supervisor.count).active, 4)
    })
  )
}
