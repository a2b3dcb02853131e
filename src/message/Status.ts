/** How an agent is, and how a node is: said on every move and every heartbeat. What is newest is true. */
import { Schema } from "effect"
import { type AgentState, moves } from "../domain/AgentState.ts"
import { AgentId } from "../domain/Ids.ts"
import { Count, Name, Reason, Time } from "./Fields.ts"

/** The most words in one list of a status, such as what an agent can do. */
export const MAX_WORDS = 100

const Words = Schema.Array(Name).pipe(
  Schema.check(Schema.isMaxLength(MAX_WORDS, { message: `expected at most ${MAX_WORDS} entries` }))
)

const AGENT_STATES = Object.keys(moves) as ReadonlyArray<AgentState>

export const AgentStatus = Schema.Struct({
  agent: AgentId,
  node: Name.annotateKey({ description: "Where it runs" }),
  state: Schema.Literals(AGENT_STATES),
  since: Time.annotateKey({ description: "When it moved there, milliseconds since the epoch by its node's clock" }),
  reason: Schema.optionalKey(Reason).annotateKey({ description: "Why it moved there" }),
  task: Schema.optionalKey(Name).annotateKey({
    description: "The task that it performs, or whose conversation it holds"
  }),
  model: Schema.optionalKey(Name),
  taskTypes: Words.annotateKey({ description: "The types of task that it takes. Empty: any" }),
  capabilities: Words.annotateKey({ description: "What it can do, in the words of its config" })
})
export type AgentStatus = typeof AgentStatus.Type

/**
 * What a node does at the moment.
 * - `full`: all
 * - `no_new_work`: it finishes what it has
 * - `store_and_forward`: it has lost its server, and keeps results and events until the link is back
 * - `draining`: it ends when what it has is finished
 */
export const NODE_MODES = ["full", "no_new_work", "store_and_forward", "draining"] as const

export const NodeStatus = Schema.Struct({
  node: Name,
  version: Name.annotateKey({ description: "Of its MisterSmith" }),
  mode: Schema.Literals(NODE_MODES),
  startedAt: Time,
  beat: Count.annotateKey({ description: "Grows by one with each heartbeat of this life of the node" }),
  everyMillis: Count.annotateKey({ description: "When to expect the next" }),
  agents: Count.annotateKey({ description: "How many agents it has" }),
  slots: Schema.Struct({ total: Count, free: Count }).annotateKey({ description: "How many tasks at a time" }),
  running: Count.annotateKey({ description: "Tasks that it performs" }),
  leads: Schema.optionalKey(Count).annotateKey({
    description: "It leads the fleet, in this epoch; of two that say so the one with the greater does"
  }),
  taskTypes: Words.annotateKey({ description: "The types of task that its agents take. Empty: any" }),
  capabilities: Words
})
export type NodeStatus = typeof NodeStatus.Type
