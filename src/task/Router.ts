/**
 * Who takes a task: a pure function of the task and a snapshot of the agents. It never waits and never changes
 * anything; the Dispatcher acts on its answer. The rules that hold whatever the strategy are here and nowhere else: only
 * an agent that takes the type, is the one that is wanted and can do all that is required is offered to a strategy, and
 * only while it is idle.
 */
import type { AgentSnapshot } from "../agent/AgentPool.ts"
import { lacks } from "./Needs.ts"
import type { TaskRecord } from "./TaskLedger.ts"

export type Route =
  | { readonly _tag: "Take"; readonly agent: string }
  /** Someone can, but not now. */
  | { readonly _tag: "Wait" }
  /** Nobody who is or can come up takes this. What they lack, where they would take it else. */
  | { readonly _tag: "Nobody"; readonly missing?: ReadonlyArray<string> }

/** The part of it that is not the same everywhere. */
export interface Policy {
  /** Of those who may take it, whom it waits for: at least one, and the same for a whole lane of the queue. */
  meant(task: TaskRecord, able: ReadonlyArray<AgentSnapshot>): ReadonlyArray<AgentSnapshot>
  /** One of the idle, of which there is at least one. */
  choose(task: TaskRecord, idle: ReadonlyArray<AgentSnapshot>): string
}

/** Anyone, in the order of the config. */
export const first: Policy = {
  meant: (_task, able) => able,
  choose: (_task, idle) => idle[0]?.id ?? ""
}

/** Would this agent take the task, if it is able to do it? */
const takes = ({ spec }: TaskRecord, { gone, group, id, taskTypes }: AgentSnapshot): boolean =>
  !gone &&
  (spec.agent === undefined || spec.agent === group || spec.agent === id) &&
  (taskTypes.length === 0 || taskTypes.includes(spec.type))

export const isFree = ({ leaving = false, state }: AgentSnapshot) => state === "idle" && !leaving

export type Able =
  | { readonly _tag: "Able"; readonly able: ReadonlyArray<AgentSnapshot> }
  | Extract<Route, { readonly _tag: "Nobody" }>

/** Who may take it at all, whatever the strategy and whether idle or not. */
export const ableFor = (task: TaskRecord, agents: ReadonlyArray<AgentSnapshot>): Able => {
  const takers = agents.filter((agent) => takes(task, agent))
  const able = takers.filter(({ capabilities }) => lacks(task.spec, capabilities).length === 0)
  if (able.length > 0) return { _tag: "Able", able }
  if (takers.length === 0) return { _tag: "Nobody" }
  // Of the one that comes nearest.
  const [missing = []] = takers
    .map(({ capabilities }) => lacks(task.spec, capabilities))
    .sort((one, other) => one.length - other.length)
  return { _tag: "Nobody", missing }
}

/** The agent that holds the conversation of an interrupted attempt. */
export const holderOf = (task: TaskRecord, able: ReadonlyArray<AgentSnapshot>): AgentSnapshot | undefined =>
  task.attempt === 0 ? undefined : able.find(({ holds }) => holds === task.id)

/**
 * The agent that holds the conversation of an interrupted attempt is waited for, so that no work is done twice. An
 * agent that holds another task's interrupted conversation is taken last. The agent that a task prefers is taken where it
 * is among the rest, and not waited for.
 */
export const route = (
  task: TaskRecord,
  agents: ReadonlyArray<AgentSnapshot>,
  interrupted: ReadonlySet<string>,
  policy: Policy = first
): Route => {
  const answer = ableFor(task, agents)
  if (answer._tag === "Nobody") return answer
  const holder = holderOf(task, answer.able)
  if (holder !== undefined) return isFree(holder) ? { _tag: "Take", agent: holder.id } : { _tag: "Wait" }
  const idle = policy.meant(task, answer.able).filter(isFree)
  if (idle.length === 0) return { _tag: "Wait" }
  const free = idle.filter(({ holds }) => holds === undefined || !interrupted.has(holds))
  const candidates = free.length > 0 ? free : idle
  const { prefer } = task.spec
  const preferred = candidates.filter(({ group, id }) => prefer !== undefined && (id === prefer || group === prefer))
  return { _tag: "Take", agent: policy.choose(task, preferred.length > 0 ? preferred : candidates) }
}
