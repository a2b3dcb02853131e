/** The connection to the servers as the ledger of a node at the edge needs it: is it there, and when does that change. */
import { Deferred, Effect, type Scope, Stream } from "effect"
import type { Link } from "../task/EdgeReach.ts"
import { Farewell } from "../transport/Farewell.ts"
import type { TransportShape } from "../transport/Transport.ts"

/** `first`: for what a start waits before it goes on without a server. */
export const make = Effect.fnUntraced(function* (
  transport: TransportShape,
  patience: Effect.Effect<void>
): Effect.fn.Return<Link, never, Scope.Scope> {
  const farewell = yield* Farewell
  const statuses = yield* transport.status
  /** A node that ends has found that they do not answer, whatever the link says. */
  let unheard = false
  let up = (yield* transport.snapshot).control.state === "up"
  let changed = Deferred.makeUnsafe<void>()
  const look = Effect.map(transport.snapshot, ({ control }) => {
    const now = control.state === "up" && !unheard
    if (now === up) return
    up = now
    const told = changed
    changed = Deferred.makeUnsafe()
    // Whoever waits goes on within this call.
    Deferred.doneUnsafe(told, Effect.void)
  })
  yield* Effect.forkScoped(Stream.runForEach(statuses, () => look))
  yield* Effect.forkScoped(
    Effect.andThen(
      farewell.unheard,
      Effect.suspend(() => {
        unheard = true
        return look
      })
    )
  )
  const becomes = (wanted: boolean): Effect.Effect<void> =>
    Effect.suspend(() => (up === wanted ? Effect.void : Effect.andThen(Deferred.await(changed), becomes(wanted))))
  return { isUp: () => up, becomes, first: Effect.raceFirst(becomes(true), patience) }
})
