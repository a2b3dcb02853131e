/**
 * A node at the edge among the others: what it does by itself is its own, and of the rest it knows what the fleet's ledger
 * says, from when that is reached.
 */
import type { Effect, Scope, Stream } from "effect"
import type { Here } from "./Here.ts"

export interface EdgeHereOptions {
  readonly node: string
  /** Tasks that it accepted itself. */
  readonly holds: (task: string) => boolean
  readonly fleets: () => Here | undefined
  readonly changes: Effect.Effect<Stream.Stream<void>, never, Scope.Scope>
}

export const make = ({ changes, fleets, holds, node }: EdgeHereOptions): Here => ({
  node,
  shared: true,
  get handing() {
    return fleets()?.handing
  },
  lastNode: (task) => (holds(task) ? node : fleets()?.lastNode(task)),
  others: {
    standing: (other) => fleets()?.others?.standing(other),
    // Of one of which nothing is known it is not said that it is gone.
    lives: (other) => fleets()?.others?.lives(other) ?? true,
    all: () => fleets()?.others?.all() ?? [],
    changes
  }
})
