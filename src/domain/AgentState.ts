/**
 * What an agent can be, and what may follow what. An illegal move is refused and reported by whoever tried it; it never
 * throws.
 */

export type AgentState =
  /** its CLI is starting and has not answered `initialize` */
  | "initializing"
  /** ready, nothing to do */
  | "idle"
  /** performing a task */
  | "busy"
  /** a person must answer first */
  | "waiting"
  /** its account must wait until a known time */
  | "throttled"
  /** an operator said so */
  | "paused"
  /** its last life failed; backing off before the next */
  | "error"
  | "restarting"
  | "stopping"
  | "terminated"

const live: ReadonlyArray<AgentState> = [
  "waiting",
  "throttled",
  "paused",
  "error",
  "restarting",
  "stopping",
  "terminated"
]

/** The one table of legal moves. */
export const moves: Record<AgentState, ReadonlyArray<AgentState>> = {
  initializing: ["idle", "throttled", "paused", "error", "restarting", "stopping", "terminated"],
  idle: ["busy", ...live],
  busy: ["idle", ...live],
  waiting: ["idle", "busy", "throttled", "paused", "error", "restarting", "stopping", "terminated"],
  throttled: ["idle", "busy", "waiting", "paused", "error", "restarting", "stopping", "terminated"],
  paused: ["idle", "busy", "waiting", "throttled", "error", "restarting", "stopping", "terminated"],
  error: ["restarting", "initializing", "stopping", "terminated"],
  restarting: ["initializing", "error", "stopping", "terminated"],
  stopping: ["terminated", "error"],
  terminated: ["initializing", "restarting"]
}

export const canMove = (from: AgentState, to: AgentState): boolean => moves[from].includes(to)
