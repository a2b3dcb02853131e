/**
 * Who takes a task: a pure function of the task and a snapshot of the agents. It never waits and never changes
 * anything; the Dispatcher acts on its answer.
 */
import type { AgentSnapshot } from "../agent/AgentPool.ts"
import type { TaskRecord } from "./TaskLedger.ts"

export type Route =
  | { readonly _tag: "Take"; readonly agent: string }
  /** Someone can, but not now. */
  | { readonly _tag: "Wait" }
  /** Nobody who is or can come up takes this. */
  | { readonly _tag: "Nobody" }

/** Would this agent ever take the task? */
export const takes = ({ spec }: TaskRecord, { gone, group, id, taskTypes }: AgentSnapshot): boolean =>
  !gone &&
  (spec.agent === undefined || spec.agent === group || spec.agent === id) &&
  (taskTypes.length === 0 || taskTypes.includes(spec.type))

const isFree = ({ leaving = false, state }: AgentSnapshot) => state === "idle" && !leaving

/**
 * The agent that holds the conversation of an interrupted attempt is waited for, so that no work is done twice. An
 * agent that holds another task's interrupted conversation is taken last.
 */
export const route = (
  task: TaskRecord,
  agents: ReadonlyArray<AgentSnapshot>,
  interrupted: ReadonlySet<string>
): Route => {
  const able = agents.filter((agent) => takes(task, agent))
  if (able.length === 0) return { _tag: "Nobody" }
  const holder = task.attempt === 0 ? undefined : able.find(({ holds }) => holds === task.id)
  if (holder !== undefined) return isFree(holder) ? { _tag: "Take", agent: holder.id } : { _tag: "Wait" }
  const idle = able.filter(isFree)
  const free = idle.find(({ holds }) => holds === undefined || !interrupted.has(holds)) ?? idle[0]
  return free === undefined ? { _tag: "Wait" } : { _tag: "Take", agent: free.id }
}
