/**
 * This node among those that share its ledger: what it may take, and what is left to others. Agents of two nodes may have one
 * name; what an agent is said to hold counts only on the node that held the task last, and where a task is to be done only
 * on one node, every other leaves it alone. Pure, but for what it is told of the ledger.
 */
import type { AgentSnapshot } from "../agent/AgentPool.ts"
import type { Handing } from "./Handing.ts"
import type { OtherNodes } from "./OtherNodes.ts"
import type { Route } from "./Router.ts"
import type { TaskRecord } from "./TaskRecord.ts"

export interface Here {
  /** What this node is called among others. */
  readonly node: string
  /** Other nodes take from the same ledger: what nobody here takes is not refused. */
  readonly shared: boolean
  /** The node that holds this task, or held it last, as far as that is known at this moment. */
  lastNode(task: string): string | undefined
  /** How those others are. */
  readonly others?: OtherNodes
  /** The queue that gives out the tasks, where there is one. That it has something to say is told with `others.changes`. */
  readonly handing?: Handing | undefined
}

/** Is it this node that is meant? Where nothing is said it is. */
export const isHere = (node: string | undefined, here: Here | undefined): boolean =>
  node === undefined || here === undefined || node === here.node

/** The agents, with what they hold only where no other node has held it since. */
export const own = (agents: ReadonlyArray<AgentSnapshot>, here: Here | undefined): ReadonlyArray<AgentSnapshot> =>
  here?.shared === true
    ? agents.map((agent) =>
        agent.holds === undefined || isHere(here.lastNode(agent.holds), here) ? agent : { ...agent, holds: undefined }
      )
    : agents

/** What the answer of this node's router means, where it is not the only one. */
export const among = ({ spec }: TaskRecord, here: Here | undefined, route: Route): Route => {
  if (here === undefined) return route
  if (!isHere(spec.node, here)) return here.shared ? { _tag: "Wait" } : { _tag: "Nobody" }
  return route._tag === "Nobody" && here.shared && spec.node === undefined ? { _tag: "Wait" } : route
}
