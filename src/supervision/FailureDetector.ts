/**
 * Watches the heartbeats of one child. It looks at the silence on a timer of its own, so that a child that says nothing
 * at all is found out too. A silence in which this process itself stood still (its event loop was busy, the machine
 * slept, the clock jumped) is not held against the child. Suspicion is told; beyond the threshold the child has
 * stalled, which is a Fault: raced with a life, it ends that life and the supervisor restarts it.
 */

import { Clock, Deferred, Duration, Effect, Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"
import { millisOf } from "../domain/Monotonic.ts"
import { Lineage } from "./Lineage.ts"
import { PhiAccrual } from "./PhiAccrual.ts"
import { inWords } from "./Words.ts"

export class Stalled extends Schema.TaggedError<Stalled, Fault>("mister-smith/Stalled")("Stalled", {
  child: Schema.String,
  silenceMillis: Schema.Number,
  phi: Schema.Number
}) {
  static {
    follow(this, {
      severity: "high",
      recovery: "restart",
      countsAgainstIntensity: true,
      hint: "if it was only slow, allow it longer pauses"
    })
  }
  override get message() {
    return `"${this.child}" has given no sign of life for ${inWords(this.silenceMillis)}, much longer than usual`
  }
}

export interface DetectorSettings {
  readonly child: string
  /** How often it looks. Default 1 second. */
  readonly every?: Duration.Input
  /** Phi from which it is suspected. Default 5. */
  readonly suspectAt?: number
  /** Phi from which it has stalled. Default 12. */
  readonly stalledAt?: number
  /** Heartbeats remembered. Default 100. */
  readonly window?: number
  /** default 500 milliseconds */
  readonly minDeviation?: Duration.Input
  /** default 3 seconds */
  readonly acceptablePause?: Duration.Input
  /** The rhythm expected before there is one. Default 5 seconds. */
  readonly firstEstimate?: Duration.Input
  /** Asked at each look: true while silence is to be expected, which is then as if no time had passed. Default never. */
  readonly isExcused?: () => boolean
}

export interface FailureDetector {
  /** A sign of life. */
  readonly beat: Effect.Effect<void>
  /** As of the last look. */
  readonly phi: Effect.Effect<number>
  /** Fails once the child has stalled; never completes otherwise. Race it with the life it watches. */
  readonly stalled: Effect.Effect<never, Stalled>
}

/** Watches until the Scope closes. Suspicions go to the listener of the supervisor it is made under. */
export const make = Effect.fnUntraced(function* (settings: DetectorSettings) {
  const clock = yield* Clock.Clock
  const every = Duration.toMillis(settings.every ?? "1 second")
  const { child, stalledAt = 12, suspectAt = 5 } = settings
  const stalled = yield* Deferred.make<never, Stalled>()
  const monotonic = () => millisOf(clock)
  /** time in which this process could not have heard anything; it is as if it had not passed */
  let deaf = 0
  let looked = monotonic()
  const now = () => monotonic() - deaf
  const accrual = new PhiAccrual(
    {
      window: settings.window ?? 100,
      minDeviationMillis: Duration.toMillis(settings.minDeviation ?? "500 millis"),
      acceptablePauseMillis: Duration.toMillis(settings.acceptablePause ?? "3 seconds"),
      firstEstimateMillis: Duration.toMillis(settings.firstEstimate ?? "5 seconds")
    },
    now()
  )
  let phi = 0
  let suspected = false

  const { path, report } = yield* Lineage
  const tell = (silenceMillis: number) => {
    const silent = `has given no sign of life for ${inWords(silenceMillis)}`
    const why = suspected ? silent : "gives signs of life again"
    const at = clock.currentTimeMillisUnsafe()
    const event = { _tag: "ChildSuspected", supervisor: path, at, why, child, suspected, phi, silenceMillis } as const
    return report === undefined ? Effect.void : Effect.forkDetach(Effect.ignoreCause(report(event)))
  }
  const look = Effect.suspend(() => {
    const at = monotonic()
    // The timer was due `every` after the last look. What is beyond that, and a clock gone backwards, is our own.
    deaf += settings.isExcused?.() === true ? at - looked : at - looked - every
    looked = at
    phi = accrual.phi(now())
    const silenceMillis = accrual.silenceMillis(now())
    if (phi >= stalledAt) Deferred.doneUnsafe(stalled, new Stalled({ child, silenceMillis, phi }))
    if (phi >= suspectAt === suspected) return Effect.void
    suspected = !suspected
    return Effect.asVoid(tell(silenceMillis))
  })
  yield* Effect.forkScoped(Effect.forever(Effect.delay(look, every)))
  const detector: FailureDetector = {
    beat: Effect.sync(() => accrual.beat(now())),
    phi: Effect.sync(() => phi),
    stalled: Deferred.await(stalled)
  }
  return detector
})

/** A life that fails with `Stalled` when it gives no sign of life; it gives one by `beat`. */
export const watch = <A, E, R>(
  settings: DetectorSettings,
  life: (beat: Effect.Effect<void>) => Effect.Effect<A, E, R>
) => Effect.flatMap(make(settings), ({ beat, stalled }) => Effect.raceFirst(life(beat), stalled))
