/**
 * Tries a call again after a failure that another try may cure, with pauses that grow and a random part in each, and
 * within a budget that all callers of the same thing share: when everything fails, retries are a small part of the
 * calls, and not a multiple. When the budget is used up the call fails with what it failed with.
 */

import { Clock, Duration, Effect, Random } from "effect"
import { isFault } from "../domain/Fault.ts"
import { millisOf } from "../domain/Monotonic.ts"

export interface RetryBudget {
  /** A call was made: it earns a part of a retry. */
  deposit(): void
  /** Takes a retry out of the budget, if there is one. */
  withdraw(): boolean
}

/**
 * `ratio` retries for each call of the last `within`, and `reserve` on top. Defaults: one retry for five calls, ten in
 * reserve, ten seconds. The calls of the past are forgotten evenly.
 */
export const budget = Effect.fnUntraced(function* (
  settings: { readonly ratio?: number; readonly reserve?: number; readonly within?: Duration.Input } = {}
) {
  const { ratio = 0.2, reserve = 10 } = settings
  const within = Duration.toMillis(settings.within ?? "10 seconds")
  const clock = yield* Clock.Clock
  const now = () => millisOf(clock)
  let earned = 0
  let spent = 0
  let at = now()
  const decay = () => {
    const left = Math.exp(-(now() - at) / within)
    at = now()
    earned *= left
    spent *= left
  }
  const made: RetryBudget = {
    deposit: () => {
      decay()
      earned += ratio
    },
    withdraw: () => {
      decay()
      if (spent + 1 > reserve + earned) return false
      spent++
      return true
    }
  }
  return made
})

export interface RetrySettings {
  /** tries after the first */
  readonly times: number
  /** default 100 milliseconds */
  readonly initialDelay?: Duration.Input
  /** default 10 seconds */
  readonly maxDelay?: Duration.Input
  readonly budget?: RetryBudget
  /** Whether another try may cure it. Default: a Fault whose recovery is `retry`. */
  readonly while?: (error: unknown) => boolean
}

const curable = (error: unknown): boolean => isFault(error) && error.recovery === "retry"

export const retry = <A, E, R>(call: Effect.Effect<A, E, R>, settings: RetrySettings): Effect.Effect<A, E, R> => {
  const initial = Duration.toMillis(settings.initialDelay ?? "100 millis")
  const max = Duration.toMillis(settings.maxDelay ?? "10 seconds")
  const isCurable = settings.while ?? curable
  const attempt = (tries: number): Effect.Effect<A, E, R> =>
    Effect.catch(call, (error) => {
      if (tries >= settings.times || !isCurable(error)) return Effect.fail(error)
      if (settings.budget?.withdraw() === false) return Effect.fail(error)
      const pause = Effect.map(Random.next, (part) => part * Math.min(max, initial * 2 ** tries))
      return Effect.andThen(Effect.flatMap(pause, Effect.sleep), attempt(tries + 1))
    })
  return Effect.suspend(() => {
    settings.budget?.deposit()
    return attempt(0)
  })
}
