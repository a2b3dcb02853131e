/**
 * What a supervisor starts, watches and stops. A child is a value: a name, how one life of it begins, and what is to
 * be done when a life ends. Supervision knows nothing else of it.
 */
import { Duration, type Effect, type Scope } from "effect"
import type { Fault } from "../domain/Fault.ts"
import type { Backoff } from "./Backoff.ts"
import type { AutoShutdown } from "./Strategy.ts"
import { ChildRefused } from "./SupervisionError.ts"

/**
 * - `permanent`: always restarted
 * - `transient`: restarted only after a failure
 * - `temporary`: never restarted, and forgotten once it has ended
 *
 * An interruption from outside is a stop, never a failure: it ends a child of any type, and the child stays ended.
 */
export type RestartType = "permanent" | "transient" | "temporary"

export interface Child<E extends Fault = Fault, R = never> {
  /** Unique among the children of one supervisor. */
  readonly id: string
  /**
   * One life. Completes when the child is ready; the Effect it returns runs until this life ends. Both run in one
   * Scope, which is closed before the next life begins.
   */
  readonly start: Effect.Effect<Effect.Effect<void, E, R>, E, R | Scope.Scope>
  /** default permanent */
  readonly restart?: RestartType
  /**
   * How long a life may take to end once told to, or to release what it holds after it ended by itself. A life that
   * takes longer is abandoned and named in an event. `brutal` does not wait at all. Default 5 seconds for workers,
   * infinity for supervisors.
   */
  readonly shutdown?: Duration.Input | "brutal" | "infinity"
  /**
   * Its end by itself, without a restart, can end the supervisor: see `autoShutdown` there. Not for permanent children.
   * Default false.
   */
  readonly significant?: boolean
  /** Not started with the others, only by a request or by the supervisor's escalation ladder. Default false. */
  readonly standby?: boolean
  /** default worker */
  readonly kind?: "worker" | "supervisor"
  /** Waits before a restart. Default none: it is restarted at once. */
  readonly backoff?: Backoff
}

/** Milliseconds a life may take to end: 0 is brutal, Infinity is for ever. */
export const shutdownMillis = <R>(child: Child<Fault, R>): number => {
  switch (child.shutdown) {
    case undefined:
      return child.kind === "supervisor" ? Number.POSITIVE_INFINITY : 5_000
    case "brutal":
      return 0
    case "infinity":
      return Number.POSITIVE_INFINITY
    default:
      return Duration.toMillis(child.shutdown)
  }
}

const durations = ["initialDelay", "maxDelay", "resetAfter"] as const

/** What is wrong with a child, as the error that names the value; undefined when nothing is. */
export const refusal = <R>(
  supervisor: string,
  child: Child<Fault, R>,
  autoShutdown: AutoShutdown
): ChildRefused | undefined => {
  const refuse = (field: string, value: unknown, expected: string) =>
    new ChildRefused({ supervisor, child: String(child.id), field, value: String(value), expected })
  if (typeof child.id !== "string" || child.id === "") return refuse("id", child.id, "a name")
  if (child.significant === true && (child.restart ?? "permanent") === "permanent") {
    return refuse("significant", true, "false for a permanent child")
  }
  if (child.significant === true && autoShutdown === "never") {
    return refuse("significant", true, 'false under a supervisor whose autoShutdown is "never"')
  }
  if (child.shutdown !== undefined && child.shutdown !== "brutal" && child.shutdown !== "infinity") {
    const shutdown = Duration.fromInput(child.shutdown)
    if (shutdown._tag === "None" || Duration.toMillis(shutdown.value) <= 0) {
      return refuse("shutdown", child.shutdown, 'a time above 0, "brutal" or "infinity"')
    }
  }
  const backoff = child.backoff
  if (backoff !== undefined) {
    for (const field of durations) {
      const value = backoff[field]
      if (value === undefined) continue
      const duration = Duration.fromInput(value)
      if (duration._tag === "None" || Duration.toMillis(duration.value) < 0) {
        return refuse(`backoff.${field}`, value, "a time of 0 or more")
      }
    }
    if (backoff.factor !== undefined && !(backoff.factor >= 1)) {
      return refuse("backoff.factor", backoff.factor, "a number of 1 or more")
    }
  }
  return undefined
}
