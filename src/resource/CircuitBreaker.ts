/**
 * Stops calling what keeps failing. Closed, it counts the latest calls; when too many of them failed it opens, and
 * calls are rejected without being made. After a while it lets a few calls through (half-open): when all go well it
 * closes, when one fails it opens again. An interrupted call says nothing about what was called: it is not counted,
 * and gives its permit back. A call that began before the last change of state is not counted either.
 */

import { Cause, Clock, Duration, Effect, Exit } from "effect"
import { millisOf } from "../domain/Monotonic.ts"
import { CircuitOpen } from "./ResourceError.ts"

export interface CircuitSettings {
  readonly name: string
  /** Calls looked back on. Default 20. */
  readonly window?: number
  /** It never opens on fewer calls than these. Default 10. */
  readonly minimumCalls?: number
  /** It opens when at least this part of them failed. Default 0.5. */
  readonly failureRate?: number
  /** How long it stays open. Default 30 seconds. */
  readonly openFor?: Duration.Input
  /** Calls let through, and needed to go well, when half-open. Default 3. */
  readonly halfOpenPermits?: number
  /** Whether this error speaks against what was called. Default: every error does. A defect always does. */
  readonly isFailure?: (error: unknown) => boolean
  /** Told of each change of state. Nothing waits for it. */
  readonly onChange?: (state: CircuitState) => void
}

export type CircuitState = "closed" | "open" | "half-open"

export interface CircuitBreaker {
  readonly name: string
  readonly state: Effect.Effect<CircuitState>
  run<A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E | CircuitOpen, R>
}

export const make = Effect.fnUntraced(function* (settings: CircuitSettings) {
  const { failureRate = 0.5, halfOpenPermits = 3, minimumCalls = 10, name, window = 20 } = settings
  const openFor = Duration.toMillis(settings.openFor ?? "30 seconds")
  const isFailure = settings.isFailure ?? (() => true)
  const clock = yield* Clock.Clock
  const now = () => millisOf(clock)

  let state: CircuitState = "closed"
  /** grows with each change of state, so that a late result finds out that it is late */
  let era = 0
  let latest: Array<boolean> = []
  let next = 0
  let failed = 0
  let opensAgainAt = 0
  let permits = 0
  let wentWell = 0

  const change = (to: CircuitState) => {
    state = to
    era++
    latest = []
    next = 0
    failed = 0
    permits = halfOpenPermits
    wentWell = 0
    if (to === "open") opensAgainAt = now() + openFor
    settings.onChange?.(to)
  }

  const count = (failure: boolean) => {
    if (state === "half-open") {
      if (failure) return change("open")
      wentWell++
      return wentWell >= halfOpenPermits ? change("closed") : undefined
    }
    if (latest[next] === true) failed--
    latest[next] = failure
    next = (next + 1) % window
    if (failure) failed++
    if (latest.length >= minimumCalls && failed / latest.length >= failureRate) change("open")
  }

  /** undefined when the call may be made */
  const admit = (): CircuitOpen | undefined => {
    if (state === "open" && now() >= opensAgainAt) change("half-open")
    if (state === "closed") return undefined
    if (state === "half-open" && permits > 0) {
      permits--
      return undefined
    }
    const retryInMillis = state === "open" ? Math.ceil(opensAgainAt - now()) : 0
    return new CircuitOpen({ circuit: name, retryInMillis })
  }

  const settle = <A, E>(exit: Exit.Exit<A, E>, began: number) => {
    if (began !== era) return
    if (Exit.isSuccess(exit)) return count(false)
    if (Cause.hasInterrupts(exit.cause) && !Cause.hasFails(exit.cause) && !Cause.hasDies(exit.cause)) {
      if (state === "half-open") permits++
      return
    }
    const error = Cause.findErrorOption(exit.cause)
    count(Cause.hasDies(exit.cause) || (error._tag === "Some" && isFailure(error.value)))
  }

  const breaker: CircuitBreaker = {
    name,
    state: Effect.sync(() => state),
    run: (call) =>
      Effect.suspend(() => {
        const rejected = admit()
        if (rejected !== undefined) return Effect.fail(rejected)
        const began = era
        return Effect.onExitPrimitive(call, (exit) => {
          settle(exit, began)
          return undefined
        })
      })
  }
  return breaker
})
