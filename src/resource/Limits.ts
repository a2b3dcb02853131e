/**
 * A bulkhead: so many calls at a time, so many more may wait, in order; any beyond that are rejected at once. What is
 * behind it cannot be flooded, and what is before it cannot pile up.
 */
import { Effect, Semaphore } from "effect"
import { BulkheadFull } from "./ResourceError.ts"

export interface BulkheadSettings {
  readonly name: string
  /** calls at a time */
  readonly permits: number
  /** calls that may wait */
  readonly queue: number
}

export interface Bulkhead {
  readonly name: string
  readonly running: Effect.Effect<number>
  readonly waiting: Effect.Effect<number>
  /** A caller that is interrupted while it waits leaves the queue. */
  run<A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E | BulkheadFull, R>
}

export const bulkhead = Effect.fnUntraced(function* (settings: BulkheadSettings) {
  const { name, permits, queue } = settings
  const semaphore = yield* Semaphore.make(permits)
  let inside = 0
  const made: Bulkhead = {
    name,
    running: Effect.sync(() => Math.min(inside, permits)),
    waiting: Effect.sync(() => Math.max(0, inside - permits)),
    run: (call) =>
      Effect.suspend(() => {
        if (inside >= permits + queue) return Effect.fail(new BulkheadFull({ bulkhead: name, permits, queue }))
        inside++
        return Effect.onExitPrimitive(semaphore.withPermits(1)(call), () => {
          inside--
          return undefined
        })
      })
  }
  return made
})
