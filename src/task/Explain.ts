/**
 * Why a task is where it is, in a sentence or two for an operator: who could take it and what they do, until when it is
 * parked, for which tasks it waits, how it ended. A pure function of what is known about it at one moment.
 */
import type { AgentSnapshot } from "../agent/AgentPool.ts"
import { type Here, isHere } from "./Here.ts"
import { ableFor, holderOf, type Policy } from "./Router.ts"
import { begun, type TaskRecord } from "./TaskRecord.ts"

/** Agents and tasks that a sentence names. */
const NAMED = 10

/** What is known around it. */
export interface Around {
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly agents: ReadonlyArray<AgentSnapshot>
  readonly meant: Policy["meant"]
  /** The task that each agent performs. */
  readonly performs: ReadonlyMap<string, string>
  /** Those of the tasks for which it waits that have not ended. */
  readonly awaited: ReadonlyArray<TaskRecord>
  /** The node begins nothing any more. */
  readonly draining: boolean
  readonly here?: Here | undefined
}

const listed = (all: ReadonlyArray<string>): string =>
  all.slice(0, NAMED).join(", ") + (all.length > NAMED ? ` and ${all.length - NAMED} more` : "")

const quoted = (names: ReadonlyArray<string>) => listed(names.map((name) => `"${name}"`))

const time = (millis: number) => {
  const date = new Date(millis)
  return Number.isNaN(date.getTime()) ? "a time that no calendar has" : date.toISOString()
}

const doing = ({ id, limitedUntil, state }: AgentSnapshot, { performs }: Around): string => {
  const task = performs.get(id)
  if (state === "throttled" && limitedUntil !== undefined) return `waits with its account until ${time(limitedUntil)}`
  return state === "busy" && task !== undefined ? `performs "${task}"` : `is ${state}`
}

/** What it wants of an agent. */
const wish = ({ spec: { agent, capabilities = [], type } }: TaskRecord): string =>
  [
    agent === undefined ? `takes tasks of type "${type}"` : `is "${agent}" and takes tasks of type "${type}"`,
    ...(capabilities.length === 0 ? [] : [`can do ${quoted(capabilities)}`])
  ].join(" and ")

const queued = (task: TaskRecord, around: Around): string => {
  const who = ableFor(task, around.agents)
  const { here } = around
  if (!isHere(task.spec.node, here)) return `is queued for node "${task.spec.node}", and this is "${here?.node}"`
  if (who._tag === "Nobody") {
    if (here?.shared === true && task.spec.node === undefined)
      return `is queued, and waits for another node: nobody on "${here.node}" ${wish(task)}`
    const lacking = who.missing === undefined ? "" : `; missing is ${quoted(who.missing)}`
    return `is queued, and nobody is left who ${wish(task)}${lacking}`
  }
  if (around.draining) return "is queued, and waits for the next run: the node begins nothing any more"
  const { node } = task
  if (node !== undefined && begun(task) > 0 && !isHere(node, here) && here?.others?.lives(node) === true)
    return `is queued, and is left to node "${node}" for a while, which has begun it`
  const holder = holderOf(task, who.able)
  if (holder !== undefined) return `waits for ${holder.id}, which holds its conversation and ${doing(holder, around)}`
  const meant = around.meant(task, who.able)
  const idle = meant.filter(({ state }) => state === "idle")
  if (idle.length > 0)
    return `is queued, and is given out as soon as it is its turn: ${listed(idle.map(({ id }) => id))} can take it`
  const those = listed(meant.map((agent) => `${agent.id} ${doing(agent, around)}`))
  return `is queued, and waits for an agent that ${wish(task)}: ${those}`
}

const parked = ({ dueAt, lastFault, spec }: TaskRecord, { awaited, now }: Around): string => {
  if (dueAt === undefined) {
    if (awaited.length === 0) return "waits for other tasks, all of which have just ended"
    return `waits for ${listed(awaited.map(({ id, state }) => `"${id}" (${state})`))}`
  }
  const until = dueAt <= now ? "and is due now" : `until ${time(dueAt)}`
  if (lastFault !== undefined)
    return `is parked ${until}, to be tried again after ${lastFault.kind}: ${lastFault.message}`
  if (spec.schedule !== undefined) return `is parked ${until}, by its schedule`
  return `is parked ${until}${spec.notBefore === undefined ? "" : ": it was not to begin before"}`
}

const why = (task: TaskRecord, around: Around): string => {
  const { agent, endedAt, lastFault, node, startedAt, state } = task
  const at = endedAt === undefined ? "" : ` at ${time(endedAt)}`
  const because = lastFault === undefined ? "" : `: ${lastFault.message}`
  switch (state) {
    case "queued":
      return queued(task, around)
    case "parked":
      return parked(task, around)
    case "running":
      return `is performed by ${agent ?? "somebody"}${node === undefined ? "" : ` on ${node}`}, attempt ${begun(task)}, begun at ${time(startedAt ?? around.now)}`
    case "waiting":
      return `waits for a person${because}`
    case "succeeded":
      return `has succeeded${at}, by ${agent ?? "nobody"}${node === undefined ? "" : ` on ${node}`}`
    case "cancelled":
      return `was cancelled${at}${because}`
    case "dead":
      return `was given up${at}${because}; \`mister-smith task replay\` does it again`
    default:
      return `has failed${at}${because}`
  }
}

export const explain = (task: TaskRecord, around: Around): string => {
  const sentence = `task "${task.id}" ${why(task, around)}`
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`
}
