/** Milliseconds on a clock that nobody sets: for how long something takes, never for when it was. */
import { Clock, Effect } from "effect"

export const millis: Effect.Effect<number> = Effect.map(
  Clock.Clock,
  (clock) => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
)
