/** Does what is due when it is due: one fiber and one timer for however many dates. */
import { Clock, Deferred, Effect, type Scope } from "effect"

export interface Alarm {
  /** Something will be due then, perhaps earlier than all before. */
  readonly set: (at: number) => void
}

/** The clock on the wall may be set and the machine may sleep: it is looked at this often at least. */
const LOOK = 60_000

/** `ring` does all that is due, and answers with when the next will be. */
export const make = Effect.fnUntraced(function* (
  ring: Effect.Effect<number | undefined>
): Effect.fn.Return<Alarm, never, Scope.Scope> {
  let next = Number.POSITIVE_INFINITY
  let earlier = Deferred.makeUnsafe<void>()
  const alarm: Alarm = {
    set: (at) => {
      if (at >= next) return
      next = at
      Deferred.doneUnsafe(earlier, Effect.void)
    }
  }
  yield* Effect.gen(function* () {
    while (true) {
      // Before it rings: what is set meanwhile must not be slept over.
      next = Number.POSITIVE_INFINITY
      earlier = Deferred.makeUnsafe()
      const at = yield* ring
      if (at !== undefined) next = Math.min(next, at)
      const wait = Math.min(LOOK, Math.max(0, next - (yield* Clock.currentTimeMillis)))
      yield* Effect.raceFirst(
        Deferred.await(earlier),
        next === Number.POSITIVE_INFINITY ? Effect.never : Effect.sleep(wait)
      )
    }
  }).pipe(Effect.forkScoped)
  return alarm
})
