/** The alarm on a clock that is set while it sleeps, as a machine's is: what sleeps goes on as before. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Alarm from "../../src/task/Alarm.ts"
import { onWall } from "../utils/Wall.ts"

const DAY = 86_400_000
const MINUTE = 60_000

/** An alarm for dates. */
const alarmFor = (dates: Array<number>) =>
  Effect.gen(function* () {
    const { clock, wall } = yield* onWall
    const rung: Array<number> = []
    let rings = 0
    const alarm = yield* Alarm.make(
      Effect.map(Clock.currentTimeMillis, (now) => {
        rings++
        for (const at of dates.filter((at) => at <= now)) {
          dates.splice(dates.indexOf(at), 1)
          rung.push(at)
        }
        return dates.length === 0 ? undefined : Math.min(...dates)
      })
    ).pipe(Effect.provideService(Clock.Clock, clock))
    return { alarm, rung, wall, rings: () => rings }
  })

describe("the alarm", () => {
  it.effect("rings within a minute what a clock set forward has made due", () =>
    Effect.gen(function* () {
      const { rung, wall } = yield* alarmFor([DAY / 2, 3 * DAY])
      yield* TestClock.adjust(MINUTE / 2)
      wall.off = DAY
      assert.deepStrictEqual(rung, [])
      yield* TestClock.adjust(MINUTE)
      assert.deepStrictEqual(rung, [DAY / 2])
    })
  )

  it.effect("loses nothing to a clock set back, and looks no oftener than once a minute meanwhile", () =>
    Effect.gen(function* () {
      const { alarm, rings, rung, wall } = yield* alarmFor([10 * MINUTE])
      yield* TestClock.adjust(5 * MINUTE)
      wall.off = -DAY
      const before = rings()
      yield* TestClock.adjust(DAY)
      assert.deepStrictEqual(rung, [])
      assert.isAtMost(rings() - before, DAY / MINUTE + 1)
      // What is set meanwhile is due by the new time.
      alarm.set(6 * MINUTE)
      yield* TestClock.adjust(5 * MINUTE)
      assert.deepStrictEqual(rung, [10 * MINUTE])
    })
  )

  it.effect("does not ring at all while nothing is due", () =>
    Effect.gen(function* () {
      const { rings } = yield* alarmFor([])
      yield* TestClock.adjust(DAY)
      assert.strictEqual(rings(), 1)
    })
  )
})
