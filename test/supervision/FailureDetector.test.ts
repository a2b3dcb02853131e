import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import type { Child } from "../../src/supervision/Child.ts"
import * as FailureDetector from "../../src/supervision/FailureDetector.ts"
import { Lineage } from "../../src/supervision/Lineage.ts"
import { PhiAccrual } from "../../src/supervision/PhiAccrual.ts"
import type { SupervisionEvent } from "../../src/supervision/SupervisionEvent.ts"
import { Notebook, spec, within } from "./Script.ts"

const settings = { window: 10, minDeviationMillis: 100, acceptablePauseMillis: 0, firstEstimateMillis: 1_000 }

describe("phi", () => {
  it("is that of the normal distribution, near enough", () => {
    const accrual = new PhiAccrual({ ...settings, firstEstimateMillis: 0, minDeviationMillis: 10 }, 0)
    for (let at = 0; at <= 10_000; at += 100) accrual.beat(at)
    // Mean 100, deviation 10: the chance of a silence longer than the mean is a half, beyond +1 deviation 15.9 %.
    assert.closeTo(accrual.phi(10_100), -Math.log10(0.5), 0.001)
    assert.closeTo(accrual.phi(10_110), -Math.log10(0.1587), 0.01)
    assert.closeTo(accrual.phi(10_130), -Math.log10(0.00135), 0.05)
  })

  it("only grows while there is silence, is finite, and starts low", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(10_000), { maxLength: 50 }),
        fc.array(fc.nat(1_000_000), { minLength: 2, maxLength: 10 }),
        (beats, silences) => {
          const accrual = new PhiAccrual(settings, 0)
          let at = 0
          for (const beat of beats) {
            at += beat
            accrual.beat(at)
          }
          const phis = silences.toSorted((a, b) => a - b).map((silence) => accrual.phi(at + silence))
          return phis.every((phi, n) => Number.isFinite(phi) && phi >= (phis[n - 1] ?? 0))
        }
      )
    )
  })

  it("forgets heartbeats beyond the window", () => {
    const accrual = new PhiAccrual(settings, 0)
    for (let n = 1; n <= 20; n++) accrual.beat(n * 10_000)
    for (let n = 1; n <= 10; n++) accrual.beat(200_000 + n * 100)
    assert.isAbove(accrual.phi(206_000), 100)
  })
})

describe("a failure detector", () => {
  it.effect("raises phi with silence alone, tells of the suspicion, and then of the stall", () =>
    Effect.gen(function* () {
      const told: Array<boolean> = []
      const report = (event: SupervisionEvent) =>
        Effect.sync(() => {
          if (event._tag === "ChildSuspected") told.push(event.suspected)
        })
      const lineage = { ...Context.get(yield* Effect.context(), Lineage), report }
      const detector = yield* Effect.provideService(
        FailureDetector.make({ child: "a", acceptablePause: "1 second" }),
        Lineage,
        lineage
      )
      const stalled = yield* Effect.forkChild(Effect.flip(detector.stalled))
      for (let n = 0; n < 20; n++) {
        yield* TestClock.adjust("1 second")
        yield* detector.beat
      }
      assert.isBelow(yield* detector.phi, 1)
      yield* TestClock.adjust("8 seconds")
      assert.deepStrictEqual(told, [true])
      yield* detector.beat
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(told, [true, false])
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(stalled)
      assert.match(error.message, /^"a" has given no sign of life for \d+ seconds, much longer than usual$/)
      assert.isTrue(error.countsAgainstIntensity)
    })
  )

  it.effect("does not hold against the child that this process stood still, or that the clock jumped", () =>
    Effect.gen(function* () {
      const real = yield* Clock.Clock
      let jump = 0n
      const jumping: Clock.Clock = {
        ...real,
        sleep: (duration) => real.sleep(duration),
        currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe(),
        currentTimeNanosUnsafe: () => real.currentTimeNanosUnsafe(),
        monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe() + jump
      }
      const detector = yield* Effect.provideService(FailureDetector.make({ child: "a" }), Clock.Clock, jumping)
      for (let n = 0; n < 20; n++) {
        yield* TestClock.adjust("1 second")
        yield* detector.beat
      }
      jump = 3_600_000_000_000n
      yield* TestClock.adjust("1 second")
      assert.isBelow(yield* detector.phi, 1)
      yield* detector.beat
      jump = -3_600_000_000_000n
      yield* TestClock.adjust("1 second")
      assert.isBelow(yield* detector.phi, 1)
      yield* TestClock.adjust("1 minute")
      assert.isAbove(yield* detector.phi, 12)
    })
  )

  it.effect("makes a child that hangs fall, so that its supervisor restarts it", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      let hangs = false
      const child: Child<FailureDetector.Stalled> = {
        id: "a",
        start: Effect.map(Effect.scope, (scope) =>
          Scope.provide(
            FailureDetector.watch({ child: "a" }, (beat) =>
              Effect.forever(
                Effect.delay(
                  Effect.suspend(() => (hangs ? Effect.never : beat)),
                  "1 second"
                )
              )
            ),
            scope
          )
        )
      }
      const { supervisor } = yield* within(spec([child], { report: notes.report }))
      yield* TestClock.adjust("1 minute")
      assert.deepInclude((yield* supervisor.which)[0], { status: "running", restarts: 0 })
      hangs = true
      yield* TestClock.adjust("1 minute")
      const which = yield* supervisor.which
      assert.strictEqual(which[0]?.lastFailure?.kind, "Stalled")
      assert.isAbove(which[0]?.restarts ?? 0, 0)
      assert.include(notes.tags(), "ChildSuspected a")
    })
  )
})
