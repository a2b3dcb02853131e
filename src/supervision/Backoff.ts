/**
 * How long a child waits before its next life. The n-th restart in a row waits `initialDelay * factor^n`, at most
 * `maxDelay`; with full jitter (the default) a random part of that, so that children which fell together do not come
 * back together. A life that stays ready for `resetAfter` starts the count anew.
 */
import { Duration } from "effect"

export interface Backoff {
  readonly initialDelay: Duration.Input
  /** default 2 */
  readonly factor?: number
  /** default 60 seconds */
  readonly maxDelay?: Duration.Input
  /** `full`: anywhere between nothing and the whole delay. Default full. */
  readonly jitter?: "full" | "none"
  /** default 5 minutes */
  readonly resetAfter?: Duration.Input
}

/** The same in milliseconds, computed once for each child. */
export interface BackoffMillis {
  readonly initial: number
  readonly factor: number
  readonly max: number
  readonly jitter: boolean
  readonly resetAfter: number
}

export const toMillis = (backoff: Backoff): BackoffMillis => ({
  initial: Duration.toMillis(backoff.initialDelay),
  factor: backoff.factor ?? 2,
  max: Duration.toMillis(backoff.maxDelay ?? "60 seconds"),
  jitter: backoff.jitter !== "none",
  resetAfter: Duration.toMillis(backoff.resetAfter ?? "5 minutes")
})

/**
 * The pace of restarts that do not count against the intensity, for a child without a backoff of its own: the first
 * is immediate, those that follow at once wait. Without it a fault that never counts could spin for ever.
 */
export const uncountedPace: BackoffMillis = {
  initial: 1_000,
  factor: 2,
  max: 60_000,
  jitter: false,
  resetAfter: 300_000
}

/** Milliseconds before the restart that follows `attempt` earlier ones in a row. `random` is within 0 and 1. */
export const delayOf = (backoff: BackoffMillis, attempt: number, random: () => number): number => {
  const whole = Math.min(backoff.max, backoff.initial * backoff.factor ** attempt)
  return backoff.jitter ? Math.floor(whole * random()) : whole
}
