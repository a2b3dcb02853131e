/**
 * What can become of a task, and what may follow what. Each attempt has a number, the fence: whoever reports about a
 * task names the attempt, and a superseded one is refused.
 */
import type { FaultReport } from "./Fault.ts"

export type TaskState =
  | "queued"
  | "running"
  /** due at a time: a rate limit, the pause before another attempt */
  | "parked"
  /** for a person */
  | "waiting"
  | "succeeded"
  /** its failure is final by its nature, or what it brought is not what was asked for */
  | "failed"
  | "cancelled"
  /** given up: its tries are used up by failures that another might have cured, or it was broken off too often */
  | "dead"

/** The one table of legal moves. */
export const moves: Record<TaskState, ReadonlyArray<TaskState>> = {
  queued: ["running", "cancelled", "failed"],
  running: ["queued", "parked", "waiting", "succeeded", "failed", "cancelled", "dead"],
  parked: ["queued", "cancelled", "failed", "dead"],
  waiting: ["queued", "running", "cancelled", "failed", "dead"],
  succeeded: [],
  failed: [],
  cancelled: [],
  dead: []
}

/** All of them, in the order of a life. */
export const TASK_STATES = Object.keys(moves) as ReadonlyArray<TaskState>

export const isFinal = (state: TaskState): boolean => moves[state].length === 0

/** What work has cost. Turns are round trips to the model; input counts what was read from and written to the cache; dollars are the CLI's own estimate. */
export interface TaskUsage {
  readonly turns: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costUsd: number
}

export const noUsage: TaskUsage = { turns: 0, inputTokens: 0, outputTokens: 0, costUsd: 0 }

export const addUsage = (a: TaskUsage, b: TaskUsage): TaskUsage => ({
  turns: a.turns + b.turns,
  inputTokens: a.inputTokens + b.inputTokens,
  outputTokens: a.outputTokens + b.outputTokens,
  costUsd: a.costUsd + b.costUsd
})

/** What has been spent between two readings of a counter that only grows. */
export const usageSince = (before: TaskUsage, after: TaskUsage): TaskUsage => ({
  turns: after.turns - before.turns,
  inputTokens: after.inputTokens - before.inputTokens,
  outputTokens: after.outputTokens - before.outputTokens,
  costUsd: after.costUsd - before.costUsd
})

/** Where a task was performed, and where work stands there. */
export interface TaskWorkspace {
  readonly path: string
  /** Of a git worktree of the task's own. */
  readonly branch?: string
  /** The commit that it is at. */
  readonly head?: string
}

/** How a task ended. The value a program that submits one gets back, and a line of `--json`. */
export interface TaskResult {
  readonly task: string
  /** What was given up has failed too. */
  readonly status: "succeeded" | "failed"
  /** The agent's last words; empty where it failed before any. */
  readonly text: string
  /** The validated answer of a task that has a schema. */
  readonly output: unknown
  readonly fault: FaultReport | undefined
  readonly agent: string | undefined
  readonly session: string | undefined
  readonly attempts: number
  /** Tools that the agent's permissions denied on the way. A task can succeed in spite of them; its reader must know. */
  readonly denied: ReadonlyArray<string>
  readonly usage: TaskUsage
  /** From the start of the first attempt to the end of the last, pauses included. */
  readonly tookMillis: number
  /** The trace that its task belongs to, where it names one. */
  readonly traceparent?: string
  /** Of the last attempt, where it got one of its own. */
  readonly workspace?: TaskWorkspace
}
