/** The supervision tree and the agents in it as they travel. */
import { Schema } from "effect"
import type { AgentSnapshot } from "../agent/AgentPool.ts"
import { NODE_MODES } from "../message/Status.ts"
import type { TreeUsage } from "../process/Usage.ts"
import type { SupervisorInfo } from "../supervision/Snapshot.ts"
import type { TaskRecord } from "../task/TaskLedger.ts"
import { FaultAt } from "./FaultView.ts"

/** This node, and what it was started with. */
export const NodeView = Schema.Struct({
  name: Schema.String,
  version: Schema.String,
  pid: Schema.Finite,
  dataDir: Schema.String,
  startedAt: Schema.Finite,
  /** What it does at the moment, among others; left out by one that is alone. */
  mode: Schema.optionalKey(Schema.Literals(NODE_MODES)),
  /** Why it cannot reach its fleet. */
  why: Schema.optionalKey(Schema.String),
  /** What it keeps for its fleet, which it cannot reach: ends of attempts, tasks of its own, events. */
  waiting: Schema.optionalKey(Schema.Struct({ reports: Schema.Finite, tasks: Schema.Finite, events: Schema.Finite }))
})
export type NodeView = typeof NodeView.Type

/** A supervisor and what is below it. */
export interface SupervisorView {
  readonly path: string
  readonly strategy: string
  readonly phase: string
  /** Why it gave up. */
  readonly failure?: string | undefined
  readonly children: ReadonlyArray<ChildView>
}

export interface ChildView {
  readonly id: string
  readonly kind: string
  readonly restart: string
  readonly status: string
  readonly restarts: number
  /** Milliseconds since it was ready. */
  readonly uptimeMillis?: number | undefined
  /** Milliseconds until its next life. */
  readonly restartInMillis?: number | undefined
  readonly lastFailure?: typeof FaultAt.Type | undefined
  readonly lastEnding?: string | undefined
  /** Why it is down, where its last ending does not tell. */
  readonly note?: string | undefined
  readonly supervisor?: SupervisorView | undefined
}

export const SupervisorView: Schema.Codec<SupervisorView> = Schema.Struct({
  path: Schema.String,
  strategy: Schema.String,
  phase: Schema.String,
  failure: Schema.optional(Schema.String),
  children: Schema.Array(
    Schema.Struct({
      id: Schema.String,
      kind: Schema.String,
      restart: Schema.String,
      status: Schema.String,
      restarts: Schema.Finite,
      uptimeMillis: Schema.optional(Schema.Finite),
      restartInMillis: Schema.optional(Schema.Finite),
      lastFailure: Schema.optional(FaultAt),
      lastEnding: Schema.optional(Schema.String),
      note: Schema.optional(Schema.String),
      supervisor: Schema.optional(Schema.suspend((): Schema.Codec<SupervisorView> => SupervisorView))
    })
  )
}).annotate({ identifier: "Supervisor" })

/** What an agent's CLI and all it has started use. Sizes in bytes. */
export const UsageView = Schema.Struct({
  at: Schema.Finite,
  cpuMillis: Schema.Finite,
  /** Of one core: 250 is two cores and a half. */
  cpuPercent: Schema.optional(Schema.Finite),
  memory: Schema.Finite,
  memoryPeak: Schema.Finite,
  processes: Schema.Finite,
  threads: Schema.Finite,
  descriptors: Schema.optional(Schema.Finite),
  ioRead: Schema.optional(Schema.Finite),
  ioWritten: Schema.optional(Schema.Finite)
})

export const AgentView = Schema.Struct({
  id: Schema.String,
  /** The id in the config, which replicas share. */
  group: Schema.String,
  /** Empty: any. */
  taskTypes: Schema.Array(Schema.String),
  state: Schema.String,
  /** It will not come up again by itself. */
  gone: Schema.Boolean,
  /** The task it performs. */
  task: Schema.optional(Schema.String),
  /** The task whose conversation it still holds. */
  holds: Schema.optional(Schema.String),
  /** The conversation that it is busy with, as the CLI calls it. */
  session: Schema.optional(Schema.String),
  /** The account that it shares with others, where it is named. */
  account: Schema.optional(Schema.String),
  /** Until when its account must wait, in milliseconds since the epoch. */
  limitedUntil: Schema.optional(Schema.Finite),
  /** What its attempts have cost in this run. */
  costUsd: Schema.optional(Schema.Finite),
  usage: Schema.optional(UsageView)
})
export type AgentView = typeof AgentView.Type

export const TreeView = Schema.Struct({
  node: NodeView,
  tree: SupervisorView,
  agents: Schema.Array(AgentView)
})
export type TreeView = typeof TreeView.Type

export const treeOf = (
  node: NodeView,
  tree: SupervisorInfo,
  agents: ReadonlyArray<AgentSnapshot & { readonly usage: TreeUsage | undefined }>,
  tasks: ReadonlyArray<TaskRecord>
): TreeView => {
  const running = new Map(tasks.flatMap(({ agent, id, state }) => (state === "running" && agent ? [[agent, id]] : [])))
  return { node, tree, agents: agents.map((agent) => ({ ...agent, task: running.get(agent.id) })) }
}
