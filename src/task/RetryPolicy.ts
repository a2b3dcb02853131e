/** How long a task waits before its next attempt: exponential, bounded, and never before a time the API has named. */
import { Duration } from "effect"
import type { Fault } from "../domain/Fault.ts"
import type { RetrySettings } from "./RetrySettings.ts"

/** After a limit's reset the API is asked a little later, so that not everybody asks at that very second. */
const AFTER_RESET = 5_000

/** Milliseconds from `now`, after attempt number `attempt` (from 1) has failed. */
export const delayMillis = (retry: RetrySettings, attempt: number, fault: Fault, now: number): number => {
  // The agent's own restart waits already, and its CLI still has the conversation.
  if (fault.recovery === "restart") return 0
  const backoff = Math.min(
    Duration.toMillis(retry.delay) * retry.factor ** (attempt - 1),
    Duration.toMillis(retry.maxDelay)
  )
  const reset =
    "resetsAt" in fault && typeof fault.resetsAt === "number" ? fault.resetsAt * 1000 + AFTER_RESET - now : 0
  return Math.max(backoff, reset)
}
