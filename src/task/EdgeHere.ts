/**
 * A node at the edge among the others: what it does by itself is its own, and of the rest it knows what the fleet's ledger
 * says, from when that is reached. While it is cut off it wants nothing of the fleet's queue, and gives back what it was handed.
 */
import type { Effect, Scope, Stream } from "effect"
import type { Handing } from "./Handing.ts"
import type { Here } from "./Here.ts"

export interface EdgeHereOptions {
  readonly node: string
  /** Tasks that it accepted itself. */
  readonly holds: (task: string) => boolean
  readonly fleets: () => Here | undefined
  /** The fleet can be asked now. */
  readonly isThere: () => boolean
  readonly changes: Effect.Effect<Stream.Stream<void>, never, Scope.Scope>
}

/** Nothing of the fleet is begun without it. */
const whileThere = (handing: Handing, isThere: () => boolean): Handing => ({
  handed: () => (isThere() ? handing.handed() : []),
  tried: (id) => handing.tried(id),
  leftFor: (task) => (isThere() ? handing.leftFor(task) : 0),
  want: (slots) => handing.want(isThere() ? slots : [])
})

export const make = ({ changes, fleets, holds, isThere, node }: EdgeHereOptions): Here => ({
  node,
  shared: true,
  get handing() {
    const handing = fleets()?.handing
    return handing === undefined ? undefined : whileThere(handing, isThere)
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
