/** Milliseconds on a clock that nobody sets: for how long something takes, never for when it was. */
import { Clock, Effect } from "effect"

/** As this clock has it now. */
export const millisOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

export const millis: Effect.Effect<number> = Effect.map(Clock.Clock, millisOf)
