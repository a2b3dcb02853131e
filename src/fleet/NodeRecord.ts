/** What the list of nodes holds about one: how it is, and how its agents are, as of its last heartbeat. */
import { Schema } from "effect"
import { Name } from "../message/Fields.ts"
import { AgentStatus, NodeStatus } from "../message/Status.ts"

/** Agents that one record names; how many there are is in its status. */
export const MAX_NAMED = 1000

export const NodeRecord = Schema.Struct({
  life: Name.annotateKey({ description: "Of this run of the node, and of no other" }),
  status: NodeStatus,
  agents: Schema.Array(AgentStatus).pipe(
    Schema.check(Schema.isMaxLength(MAX_NAMED, { message: `expected at most ${MAX_NAMED} entries` }))
  )
})
export type NodeRecord = typeof NodeRecord.Type

/** A record, and when whoever keeps the list got it: milliseconds since the epoch, by their clock. */
export const Listed = Schema.Struct({
  ...NodeRecord.fields,
  seenAt: Schema.Finite,
  standing: Schema.optionalKey(Schema.Literals(["suspected", "dead"])).annotateKey({
    description: "As the node that was asked judges by what it hears in their ledger. None: alive, or nothing is known"
  })
})
export type Listed = typeof Listed.Type
