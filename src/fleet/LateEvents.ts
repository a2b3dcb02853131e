/**
 * Events that could not be told to the fleet as they happened: they wait in the outbox, at most so many, and are told in
 * their order when the link is back, each with an acknowledgement of the stream that keeps them, and with its id, by which
 * the server passes over one that it has already. Where there is no such stream, they are told as others are.
 *
 * While any of them waits, what happens waits behind it.
 */
import { Effect, Semaphore } from "effect"
import type { SecureRandom } from "effect/crypto/SecureRandom"
import type { Fault } from "../domain/Fault.ts"
import type { Published } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"
import type { RouterShape } from "../message/MessageRouter.ts"
import type { Subjects } from "../message/Subject.ts"
import { inModule } from "../observability/Log.ts"
import type { Edge } from "./Edge.ts"

/** Read at a time. */
const BATCH = 100
/** What no message can say, whenever it is tried: what waits behind it must not wait for ever. */
const UNSAYABLE = new Set([
  "MessageTooLarge",
  "MessageUnreadable",
  "SubjectInvalid",
  "MessageInvalid",
  "PayloadTooLarge"
])
/** Before the fleet is tried again. */
const AGAIN = "1 second"

export interface LateEvents {
  /** Kept for later where it must be; false where it is to be told now. */
  readonly keep: (event: Published) => Effect.Effect<boolean>
  /** Tells what waits, as long as the fleet is there. */
  readonly tell: Effect.Effect<void>
}

export const none: LateEvents = { keep: () => Effect.succeed(false), tell: Effect.void }

export const make = Effect.fnUntraced(function* (
  { events, state }: Edge["Service"],
  random: SecureRandom["Service"],
  router: RouterShape,
  subjects: Subjects
): Effect.fn.Return<LateEvents, never, EventBus> {
  if (events === undefined) return none
  const { outbox } = events
  const bus = yield* EventBus
  const telling = yield* Semaphore.make(1)
  const isThere = () => state().mode === "full"
  /** Why it could not be told the last time: said once. */
  let said = ""

  const one = Effect.fnUntraced(
    function* (id: string, event: Published) {
      const subject = yield* Effect.fromResult(subjects.event(event.type))
      yield* router.publish(subject, { type: "Event", body: event, id })
    },
    Effect.catchIf(
      (fault: Fault) => UNSAYABLE.has(fault._tag),
      (fault) => inModule("fleet")(Effect.logWarning(`an event that was kept is never told: ${fault.message}`))
    )
  )

  const all: Effect.Effect<void, Fault> = Effect.gen(function* () {
    while (isThere()) {
      const waiting = yield* outbox.events(BATCH)
      for (const { event, id, seq } of waiting) {
        yield* one(id, event as Published)
        yield* outbox.told(seq)
        said = ""
      }
      if (waiting.length === BATCH) continue
      const lost = yield* outbox.lost()
      if (lost === 0) return
      yield* outbox.lossTold(lost)
      yield* bus.publish({ type: "outbox.lost", events: lost })
      return
    }
  })

  const tell: Effect.Effect<void> = Effect.suspend(() =>
    Effect.catch(all, (fault: Fault) =>
      Effect.suspend(() => {
        if (said === fault.message) return Effect.void
        said = fault.message
        return inModule("fleet")(Effect.logWarning(`events that were kept cannot be told yet: ${fault.message}`))
      }).pipe(
        Effect.andThen(Effect.sleep(AGAIN)),
        Effect.andThen(Effect.suspend(() => (isThere() ? tell : Effect.void)))
      )
    )
  )

  return {
    keep: (event) =>
      Effect.suspend(() => {
        if (isThere() && outbox.counts().events === 0) return Effect.succeed(false)
        return Effect.flatMap(random.uuidV7(), (id) => outbox.tell({ id, event })).pipe(
          Effect.as(true),
          Effect.catch((fault) => Effect.as(inModule("fleet")(Effect.logWarning(fault.message)), false))
        )
      }),
    tell: telling.withPermits(1)(tell)
  }
})
