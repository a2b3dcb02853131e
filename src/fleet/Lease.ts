/**
 * One leader where one is needed: of all nodes of a fleet, one at a time holds the lease, and each time it changes hands
 * begins a term with a greater number, its epoch.
 *
 * Promises: no two terms have the same epoch, and a later term has a greater one; what a leader writes with `put` is written
 * in its term or not at all: from the moment that a new term has begun, nothing of an earlier one is written, also not by
 * a leader that was halted between looking and writing and has slept through it. `whileLeader` is interrupted when
 * its term is over, or may be for all this node knows; but only `put` is fenced, so whatever else is done in it must not
 * mind being done by two for a while. A lease that is not renewed passes on after its time.
 */
import { Context, Deferred, Effect, Layer, Stream, SubscriptionRef } from "effect"
import { LeaseFull, type LeaseLost, type LeaseUnusable } from "./LeaseError.ts"

/** The longest value that a leader writes, in characters. */
export const MAX_VALUE = 64 * 1024
/** Keys that leaders write, all in all. */
export const MAX_KEYS = 1_000

/** Who leads, as far as this node knows. */
export interface Held {
  /** The node; undefined: nobody, or it is not known. */
  readonly leader: string | undefined
  /** The latest that is known; 0: none. */
  readonly epoch: number
  /** This node does. */
  readonly mine: boolean
}

export interface Led {
  readonly value: string
  /** In which it was written. */
  readonly epoch: number
}

/** The time in which this node leads. */
export interface Term {
  readonly epoch: number
  /** Written in this term, or refused: LeaseLost. Answers with its place in the order of all that leaders write. What is LeaseUnusable and "cannot be reached" may have been written, in this term. */
  put(key: string, value: string): Effect.Effect<number, LeaseLost | LeaseUnusable | LeaseFull>
}

export interface LeaseShape {
  readonly held: Effect.Effect<Held>
  /** Begins with how it is. */
  readonly changes: Stream.Stream<Held>
  /** What a leader has written, this one or an earlier one; any node may ask. */
  get(key: string): Effect.Effect<Led | undefined, LeaseUnusable>
  /** Does this once in each term of this node, interrupted at its end. Ends only where the work fails. */
  whileLeader<A, E, R>(work: (term: Term) => Effect.Effect<A, E, R>): Effect.Effect<never, E, R>
}

export class Lease extends Context.Service<Lease, LeaseShape>()("mister-smith/fleet/Lease") {
  /** A node alone: it leads as long as it lives. */
  static readonly layerMemory = (node: string) => Layer.effect(this, memory(node))
  /** Where there is nothing to lead: nobody does. */
  static readonly layerNone = Layer.succeed(this, {
    held: Effect.succeed({ leader: undefined, epoch: 0, mine: false }),
    changes: Stream.never,
    get: () => Effect.succeed(undefined),
    whileLeader: () => Effect.never
  })
}

export const nobody: Held = { leader: undefined, epoch: 0, mine: false }

export const same = (one: Held, other: Held): boolean =>
  one.leader === other.leader && one.epoch === other.epoch && one.mine === other.mine

/** Why this is not taken where there are so many other keys. */
export const refusal = (key: string, value: string, others: number): LeaseFull | undefined => {
  if (value.length > MAX_VALUE) return new LeaseFull({ key, limit: `${MAX_VALUE} characters in a value` })
  return others >= MAX_KEYS ? new LeaseFull({ key, limit: `${MAX_KEYS} keys` }) : undefined
}

/** A term, and when it is over. */
export interface Reign extends Term {
  readonly over: Deferred.Deferred<void>
}

/** Works in each reign that comes. */
export const whileReigning =
  (reigns: SubscriptionRef.SubscriptionRef<Reign | undefined>) =>
  <A, E, R>(work: (term: Term) => Effect.Effect<A, E, R>): Effect.Effect<never, E, R> => {
    let last: Reign | undefined
    const next = SubscriptionRef.changes(reigns).pipe(
      Stream.filter((reign) => reign !== undefined && reign !== last),
      Stream.runHead
    )
    return Effect.flatMap(next, (found) =>
      Effect.suspend(() => {
        last = found._tag === "Some" ? found.value : undefined
        if (last === undefined) return Effect.never
        return Effect.raceFirst(Effect.andThen(work(last), Effect.never), Deferred.await(last.over))
      })
    ).pipe(Effect.forever)
  }

const memory = Effect.fnUntraced(function* (node: string) {
  const values = new Map<string, Led>()
  const epoch = 1
  let writes = 0
  const held: Held = { leader: node, epoch, mine: true }
  const reign: Reign = {
    epoch,
    over: yield* Deferred.make<void>(),
    put: (key, value) =>
      Effect.suspend(() => {
        const full = refusal(key, value, values.has(key) ? 0 : values.size)
        if (full !== undefined) return Effect.fail(full)
        values.set(key, { value, epoch })
        return Effect.succeed(++writes)
      })
  }
  return Lease.of({
    held: Effect.succeed(held),
    changes: Stream.concat(Stream.make(held), Stream.never),
    get: (key) => Effect.sync(() => values.get(key)),
    whileLeader: whileReigning(yield* SubscriptionRef.make<Reign | undefined>(reign))
  })
})
