/** A time limit for something that may be paused meanwhile: what it stood still does not count. */
import { Duration, Effect } from "effect"
import * as Monotonic from "../domain/Monotonic.ts"

/** While it stands still, how often it is looked whether it goes on. */
const LOOK_MILLIS = 1000

/** Completes when `time` has passed in which it was not paused. `pausedMillis` is how long it has been, in all. */
export const elapsed = Effect.fnUntraced(function* (time: Duration.Duration, pausedMillis: () => number) {
  const began = yield* Monotonic.millis
  const pausedBefore = pausedMillis()
  while (true) {
    const paused = pausedMillis() - pausedBefore
    const left = Duration.toMillis(time) - ((yield* Monotonic.millis) - began - paused)
    if (left <= 0) return
    yield* Effect.sleep(Math.max(1, Math.min(left, 2 ** 31 - 1)))
    // Where all of the sleep was a pause, as much is left as before: wait a little, and not for nothing.
    if (pausedMillis() - pausedBefore - paused >= left) yield* Effect.sleep(Math.min(LOOK_MILLIS, left))
  }
})
