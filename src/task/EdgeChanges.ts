/** That something has changed, told on from several places: who listens looks for itself, and of many at once hears one. */
import { Effect, PubSub, Scope, Stream } from "effect"

type Listening = Effect.Effect<Stream.Stream<void>, never, Scope.Scope>

export interface EdgeChanges {
  readonly changes: Listening
  readonly tell: Effect.Effect<void>
  /** Tells of what is told there, too, as long as the Scope of all this is open. */
  readonly follow: (changes: Listening) => Effect.Effect<void>
}

export const make: Effect.Effect<EdgeChanges, never, Scope.Scope> = Effect.gen(function* () {
  const scope = yield* Effect.scope
  const changed = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)
  const tell = Effect.asVoid(PubSub.publish(changed, undefined))
  return {
    changes: Effect.map(PubSub.subscribe(changed), Stream.fromSubscription),
    tell,
    follow: (others) =>
      Effect.flatMap(others, (changes) =>
        Effect.forkIn(
          Stream.runForEach(changes, () => tell),
          scope
        )
      ).pipe(Effect.provideService(Scope.Scope, scope), Effect.asVoid)
  }
})
