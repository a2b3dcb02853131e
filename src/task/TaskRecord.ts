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
  /** Who holds it, or held it last. */
  readonly agent: string | undefined
  readonly submittedAt: number
  /** When its first attempt began. */
  readonly startedAt: number | undefined
  readonly endedAt: number | undefined
  /** When a parked task may run again, milliseconds since the epoch. */
  readonly dueAt: number | undefined
  /** Until when its attempt holds it without a word, milliseconds since the epoch. None: as long as the ledger is open. */
  readonly leaseUntil: number | undefined
  readonly lastFault: FaultReport | undefined
  /** Over all attempts since it was asked for. */
  readonly usage: TaskUsage
  readonly result: TaskResult | undefined
}

/** One attempt at a task. */
export interface AttemptRecord {
  readonly attempt: number
  readonly agent: string
  readonly begunAt: number
  readonly endedAt: number | undefined
  /** What the task became by it; undefined while it holds the task. */
  readonly ended: TaskState | undefined
  readonly fault: FaultReport | undefined
}

/** Which tasks are listed. What is left out does not matter. */
export interface TaskFilter {
  readonly states?: ReadonlyArray<TaskState> | undefined
  readonly type?: string | undefined
  /** Who holds it or held it last. */
  readonly agent?: string | undefined
  /** It has all of these. */
  readonly labels?: Labels | undefined
  /** Milliseconds since the epoch. */
  readonly submittedBefore?: number | undefined
  readonly submittedAfter?: number | undefined
  /** Default 100. */
  readonly limit?: number | undefined
}

/** Why an attempt gives a task back, and when the next may begin. */
export interface Parking {
  readonly until: number
  readonly fault: FaultReport
  readonly usage: TaskUsage
}

/** The attempts that count since it was last asked for. */
export const tries = ({ attempt, before }: TaskRecord): number => attempt - before
