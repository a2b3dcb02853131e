/** What the fleet does not take now waits for a while, whatever becomes of the clock. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import { noUsage } from "../../src/domain/Task.ts"
import * as EdgeReports from "../../src/task/EdgeReports.ts"
import * as EdgeWaiting from "../../src/task/EdgeWaiting.ts"
import type { Outbox } from "../../src/task/Outbox.ts"
import { LedgerUnusable } from "../../src/task/TaskError.ts"
import type { TaskLedger } from "../../src/task/TaskLedger.ts"
import { around, fault } from "./Homes.ts"

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

  it.effect("keeps what comes after it of the same task, however long the rest takes", () =>
    Effect.gen(function* () {
      const waiting = yield* EdgeWaiting.make
      const letters = ["t", "slow", "t"].map((id, at) => ({
        seq: at + 1,
        task: id,
        attempt: at + 1,
        agent: "agent",
        report: { kind: "park" as const, why: { until: 1, fault, usage: noUsage } }
      }))
      const told: Array<string> = []
      const ledger: Pick<TaskLedger["Service"], "park"> = {
        park: (id, attempt) => {
          told.push(`${id} ${attempt}`)
          return id === "t" ? Effect.fail(full) : TestClock.adjust(Duration.times(EdgeWaiting.LATER, 2))
        }
      }
      const outbox: Pick<Outbox, "reports" | "delivered"> = {
        reports: () => Effect.succeed(letters),
        delivered: () => Effect.void
      }
      const deliver = yield* EdgeReports.make(outbox as Outbox, waiting)
      yield* deliver({ ledger } as EdgeReports.SharedLedger)
      assert.deepStrictEqual(told, ["t 1", "slow 2"])
    }).pipe(Effect.provide(around))
  )
})
