/**
 * Tells when the ledger's stream was deleted while this node works on it, and when another stands in its place: once each, with
 * what an operator can do. What a node makes of the other is said in JetStreamUpkeep.ts.
 */
import { Deferred, Effect } from "effect"
import { EventBus } from "../event/EventBus.ts"
import { inModule } from "../observability/Log.ts"
import type { JetStreamStore } from "./JetStreamStore.ts"
import type { LedgerUnusable } from "./TaskError.ts"

export const make = Effect.fnUntraced(function* (store: JetStreamStore, bucket: string) {
  const bus = yield* EventBus
  let missing = Deferred.makeUnsafe<LedgerUnusable>()
  let told = false
  let renewals = store.upkeep.renewals()

  const lost = (why: LedgerUnusable) =>
    Effect.suspend(() => {
      if (told || why.problem !== "missing") return Effect.void
      told = true
      Deferred.doneUnsafe(missing, Effect.succeed(why))
      return bus.publish({ type: "fleet.trouble", kind: "LedgerMissing", message: why.message, hint: why.hint })
    })
  const well = Effect.suspend(() => {
    if (told) missing = Deferred.makeUnsafe()
    told = false
    if (store.upkeep.renewals() === renewals) return Effect.void
    renewals = store.upkeep.renewals()
    const what = `the stream of the bucket ${bucket} was made anew: what this node knows and it lacked was put there`
    return inModule("task")(Effect.logWarning(what))
  })
  return {
    /** The same work; whether the stream is there is seen by what becomes of it. */
    seen: <A>(work: Effect.Effect<A, unknown>) =>
      work.pipe(
        Effect.tapError((error) => lost(store.unusable(error))),
        Effect.tap(() => well)
      ),
    /** Completes with why when the stream is missing. */
    away: Effect.suspend(() => Deferred.await(missing))
  }
})
