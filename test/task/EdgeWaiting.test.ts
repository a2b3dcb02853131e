/** What the fleet does not take now waits for a while, whatever becomes of the clock. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as EdgeWaiting from "../../src/task/EdgeWaiting.ts"
import { LedgerUnusable } from "../../src/task/TaskError.ts"
import { around } from "./Homes.ts"

const HOUR = 60 * 60_000
const full = new LedgerUnusable({ where: "of the fleet", problem: "full", detail: "no room" })

describe("what waits for the fleet", () => {
  for (const [how, by] of [
    ["back", -HOUR],
    ["forward", HOUR]
  ] as const)
    it.effect(`waits no longer and no less long when the clock is set ${how}`, () =>
      Effect.gen(function* () {
        const clock = yield* Clock.Clock
        let ahead = 0
        const wall: Clock.Clock = Object.create(clock, {
          currentTimeMillis: { value: Effect.map(clock.currentTimeMillis, (now) => now + ahead) }
        })
        const waiting = yield* EdgeWaiting.make
        const waits = Effect.provideService(waiting.waits("t"), Clock.Clock, wall)
        yield* Effect.provideService(waiting.trying("t", Effect.fail(full)), Clock.Clock, wall)
        ahead = by
        assert.isTrue(yield* waits)
        yield* TestClock.adjust(EdgeWaiting.LATER)
        assert.isFalse(yield* waits)
      }).pipe(Effect.provide(around))
    )
})
