/** What the ledger knows of a task, and of each attempt at it. */
import type { FaultReport } from "../domain/Fault.ts"
import type { TaskResult, TaskState, TaskUsage } from "../domain/Task.ts"
import type { Labels } from "./Labels.ts"
import type { TaskSpec } from "./TaskSpec.ts"

export interface TaskRecord {
  readonly id: string
  /** With its id. */
  readonly spec: TaskSpec
  readonly state: TaskState
  /** How often it has been claimed; the number of the attempt that holds it. It only grows. */
  readonly attempt: number
  /** Those of its attempts that were made before it was asked for again after it had failed. */
  readonly before: number
  /** Those since then that were broken off by what was not their own failure; they count as no tries. */
  readonly interruptions: number
  /** Who holds it, or held it last. */
  readonly agent: string | undefined
  /** The node of the fleet on which this was. None: the only one that there is. */
  readonly node?: string | undefined
  readonly submittedAt: number
  /** When its first attempt began. */
  readonly startedAt: number | undefined
  readonly endedAt: number | undefined
  /** When a parked task may run again, milliseconds since the epoch. */
  readonly dueAt: number | undefined
  /** Until when its attempt holds it without a word, milliseconds since the epoch. None: as long as the ledger is open. */
  readonly leaseUntil: number | undefined
  /** Until when it must be begun, while it is in the queue for the first time of a life, and until when it must be over. */
  readonly beginBy: number | undefined
  readonly endBy: number | undefined
  /** Of a scheduled task: the id of the first of its series, and the time for which this one is meant. */
  readonly series: string | undefined
  readonly occursAt: number | undefined
  readonly lastFault: FaultReport | undefined
  /** Over all attempts since it was asked for. */
  readonly usage: TaskUsage
  readonly result: TaskResult | undefined
}

/** One attempt at a task. */
export interface AttemptRecord {
  readonly attempt: number
  readonly agent: string
  /** In a fleet, that of the agent. */
  readonly node?: string | undefined
  readonly begunAt: number
  readonly endedAt: number | undefined
  /** What the task became by it; undefined while it holds the task. */
  readonly ended: TaskState | undefined
  readonly fault: FaultReport | undefined
  /** Left out where it had none. */
  readonly words?: string
  readonly missing?: ReadonlyArray<MissingProof>
}

/** What an attempt that brought no answer leaves behind. */
export interface Remains {
  /** The agent's last words, of which the end is kept. */
  readonly words?: string | undefined
  /** What its evidence was found to lack when it was last looked at. */
  readonly missing?: ReadonlyArray<MissingProof> | undefined
}

export interface MissingProof {
  readonly proof: string
  readonly found: string
}

/** Characters kept of an agent's last words. */
export const MAX_WORDS = 2_000

/** Which tasks are listed. What is left out does not matter. */
export interface TaskFilter {
  readonly states?: ReadonlyArray<TaskState> | undefined
  readonly type?: string | undefined
  /** Who holds it or held it last. */
  readonly agent?: string | undefined
  /** In a fleet, where this is. */
  readonly node?: string | undefined
  /** It has all of these. */
  readonly labels?: Labels | undefined
  /** Milliseconds since the epoch. */
  readonly submittedBefore?: number | undefined
  readonly submittedAfter?: number | undefined
  /** Default 100. */
  readonly limit?: number | undefined
}

/** Why an attempt gives a task back, and when the next may begin. */
export interface Parking extends Remains {
  readonly until: number
  /** It was broken off by what is not its own failure: it counts as no try, but only so often. Default false. */
  readonly interrupted?: boolean
  readonly fault: FaultReport
  readonly usage: TaskUsage
}

/** Why an attempt gives a task to a person. */
export type Asking = Pick<Parking, "fault" | "usage" | keyof Remains>

/** How often it was begun since it was last asked for. */
export const begun = ({ attempt, before }: Pick<TaskRecord, "attempt" | "before">): number => attempt - before

/** Those of them that count. */
export const tries = (record: TaskRecord): number => begun(record) - record.interruptions

/** When something must be done about it next, if ever. */
export const nextDate = ({ beginBy, dueAt, endBy, leaseUntil }: TaskRecord): number | undefined => {
  const dates = [beginBy, dueAt, endBy, leaseUntil].filter((at) => at !== undefined)
  return dates.length === 0 ? undefined : Math.min(...dates)
}

/** As it was, when JSON has left out what is undefined. */
export const revived = (record: TaskRecord): TaskRecord => ({
  ...record,
  agent: record.agent,
  startedAt: record.startedAt,
  endedAt: record.endedAt,
  dueAt: record.dueAt,
  leaseUntil: record.leaseUntil,
  beginBy: record.beginBy,
  endBy: record.endBy,
  series: record.series,
  occursAt: record.occursAt,
  lastFault: record.lastFault,
  result: record.result
})
