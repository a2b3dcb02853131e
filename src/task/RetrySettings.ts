import type { Duration } from "effect"
export interface RetrySettings {
  readonly attempts: number
  readonly delay: Duration.Duration
  readonly factor: number
  readonly maxDelay: Duration.Duration
}
