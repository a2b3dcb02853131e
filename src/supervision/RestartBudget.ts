/**
 * The restarts a whole node may make within a window, beside each supervisor's own. Shared by all supervisors below the
 * one it was given to: the one whose restart is one too many gives up, and so does each above it, up to the top.
 */
import { Duration } from "effect"
import { Intensity } from "./Intensity.ts"

export interface RestartBudget {
  readonly maxRestarts: number
  readonly withinMillis: number
  /** Counts a restart at `now` (monotonic milliseconds) and says whether it is allowed. */
  allows(now: number): boolean
}

export const make = (maxRestarts: number, within: Duration.Input): RestartBudget => {
  const withinMillis = Duration.toMillis(within)
  const intensity = new Intensity(maxRestarts, withinMillis)
  return { maxRestarts, withinMillis, allows: (now) => intensity.allows(now) }
}
