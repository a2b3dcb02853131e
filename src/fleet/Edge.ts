/**
 * What this node does among others at the moment, and what it keeps for them while it cannot reach them. A node that shares
 * no ledger is always itself.
 */
import { Context, Layer } from "effect"
import type { EdgeMode } from "../task/EdgeReach.ts"
import type { Outbox } from "../task/Outbox.ts"

export interface EdgeState {
  readonly mode: EdgeMode
  /** Why it cannot reach its fleet. */
  readonly why?: string
  /** Ends of attempts, tasks of its own and events that wait for the fleet. */
  readonly reports: number
  readonly tasks: number
  readonly events: number
}

/** As it is said: a node that shares no ledger says nothing. */
export interface Standing {
  readonly mode?: EdgeMode | "draining"
  readonly why?: string
  readonly waiting?: Omit<EdgeState, "mode" | "why">
}

export class Edge extends Context.Service<
  Edge,
  {
    readonly state: () => EdgeState
    /** Where events are kept that are told late; undefined where none is. */
    readonly events: { readonly outbox: Outbox } | undefined
  }
>()("mister-smith/fleet/Edge") {
  static readonly none = Edge.of({
    state: () => ({ mode: "full", reports: 0, tasks: 0, events: 0 }),
    events: undefined
  })
  static readonly layerNone = Layer.succeed(Edge, Edge.none)
}
