/**
 * How each agent of this node is, put together from its events and from what the pool knows of it, so that a move can be
 * told to others when it happens. Tells an agent only once the pool has told of it.
 */
import type { AgentSnapshot } from "../agent/AgentPool.ts"
import type { AgentState } from "../domain/AgentState.ts"
import { AgentId } from "../domain/Ids.ts"
import type { Published } from "../event/Event.ts"
import { type AgentStatus, MAX_WORDS } from "../message/Status.ts"

/** Agents that a roster has room for: those that are gone are forgotten before. */
const MAX_MOVED = 100_000

interface Moved {
  readonly state: AgentState
  readonly since: number
  readonly reason: string
}

/** A move that is known from elsewhere: `at` is when. */
export interface Known {
  readonly agent: AgentSnapshot
  readonly since: number
  readonly reason: string | undefined
}

export interface Roster {
  /** Takes in what has happened. */
  note(event: Published): void
  /** These are all agents there are. */
  know(all: ReadonlyArray<Known>): void
  readonly status: (agent: string) => AgentStatus | undefined
  readonly all: () => ReadonlyArray<AgentStatus>
  /** Which attempt at a task runs. */
  readonly attemptOf: (task: string) => number | undefined
  /** How many tasks run. */
  readonly running: () => number
}

export const make = (node: string): Roster => {
  let known: ReadonlyMap<string, Known> = new Map()
  const moved = new Map<string, Moved>()
  const performs = new Map<string, string>()
  const attempts = new Map<string, number>()

  const status = (id: string): AgentStatus | undefined => {
    const one = known.get(id)
    if (one === undefined) return undefined
    const { agent } = one
    const { reason, since, state } = moved.get(id) ?? { state: agent.state, since: one.since, reason: one.reason }
    const task = performs.get(id) ?? agent.holds
    return {
      agent: AgentId.make(id),
      node,
      state,
      since,
      ...(reason === undefined ? {} : { reason: reason.slice(0, MAX_REASON) }),
      ...(task === undefined ? {} : { task }),
      ...(agent.model === undefined ? {} : { model: wordOf(agent.model) }),
      taskTypes: agent.taskTypes.slice(0, MAX_WORDS),
      capabilities: wordsOf(agent.capabilities)
    }
  }

  return {
    note: (event) => {
      if (event.type === "agent.state") {
        if (moved.size < MAX_MOVED || moved.has(event.agent))
          moved.set(event.agent, { state: event.to, since: event.at, reason: event.reason })
        return
      }
      if (event.type !== "task.state") return
      if (event.to === "running" && event.agent !== undefined) {
        attempts.set(event.task, event.attempt)
        performs.set(event.agent, event.task)
        return
      }
      attempts.delete(event.task)
      for (const [agent, task] of performs) if (task === event.task) performs.delete(agent)
    },
    know: (all) => {
      known = new Map(all.map((one) => [one.agent.id, one]))
      for (const id of moved.keys()) if (!known.has(id)) moved.delete(id)
    },
    status,
    all: () => [...known.keys()].flatMap((id) => status(id) ?? []),
    attemptOf: (task) => attempts.get(task),
    running: () => attempts.size
  }
}

/** As a reason may travel. */
const MAX_REASON = 1000

/** As words may travel: what is none, with a space in it say, is written as in an address. */
export const wordsOf = (texts: ReadonlyArray<string>): ReadonlyArray<string> => texts.slice(0, MAX_WORDS).map(wordOf)

const wordOf = (text: string): string => (/^[!-~]{1,200}$/.test(text) ? text : encodeURIComponent(text).slice(0, 200))
