/** What an agent is asked to do for a task, and how that ended. */
import type { Deferred, Duration, Effect, Redacted, Result, Scope } from "effect"
import type { ClaudeFailure, TurnOk } from "../claude/ClaudeFailure.ts"
import type { TaskUsage, TaskWorkspace } from "../domain/Task.ts"
import type { SpawnError } from "../process/ProcessError.ts"
import type {
  AgentDefect,
  AgentGone,
  BudgetSpent,
  ClaudeNotFound,
  FilesLost,
  HomeUnavailable,
  ModelRefused,
  SessionMissing,
  SessionOwned
} from "./AgentError.ts"
import type { Budget } from "./Budget.ts"
import type { WorkspaceError } from "./WorkspaceError.ts"

/** What an agent is asked to do. */
export interface Work {
  readonly task: string
  readonly prompt: string
  /** A JSON Schema for the answer. */
  readonly schema: unknown
  /** From 1; above, an earlier attempt may have left its conversation with this agent. */
  readonly attempt: number
  /** What a turn may take, where that is less than the agent allows. */
  readonly turnLimit?: Duration.Duration | undefined
  /** The conversation that it is to go on with, where an earlier attempt has not begun to. */
  readonly session?: Continued
  /** What all attempts at the task may cost together, and what the earlier ones have. */
  readonly budget?: { readonly limit: Budget; readonly spent: TaskUsage }
  /** Asked before the first turn: what is to be said beside the prompt. What it acquires is released when the attempt has ended. */
  readonly prepare?: (place: WorkPlace) => Effect.Effect<string, FilesLost, Scope.Scope>
  /**
   * Asked after a turn that went well: what else is to be said in the same conversation, or nothing. The agent is busy
   * meanwhile, and what is under way here ends with the attempt. Who asks sees to it that this comes to an end.
   */
  readonly followUp?: (ok: TurnOk, place: WorkPlace) => Effect.Effect<string | undefined>
}

/** The conversation of another task. */
export interface Continued {
  readonly of: string
  /** As the CLI calls it. */
  readonly session: string
  /** The task with which it began: it goes on where that was performed, because a CLI resumes only there. */
  readonly place: string
  readonly onMissing: "fail" | "anew"
}

/** Where an agent works, and with which environment. */
export interface WorkPlace {
  readonly workspace: string
  readonly env: Readonly<Record<string, string | Redacted.Redacted>>
}

/** Why an attempt failed. */
export type PerformError =
  | LifeError
  | AgentGone
  | AgentDefect
  | ModelRefused
  | SessionOwned
  | SessionMissing
  | WorkspaceError

/** What ends a life. */
export type LifeError = ClaudeFailure | SpawnError | HomeUnavailable | ClaudeNotFound | FilesLost | BudgetSpent

/** How an attempt ended, and what it has cost in either case. */
export interface Attempt {
  readonly outcome: Result.Result<TurnOk, PerformError>
  readonly usage: TaskUsage
  /** The conversation it ran in. */
  readonly session: string | undefined
  /** The last that the agent said in it, where it did not come to its answer. */
  readonly words?: string | undefined
  /** The place that the task has for itself. */
  readonly workspace?: TaskWorkspace
}

/** Work that is under way. */
export interface Job {
  readonly work: Work
  readonly done: Deferred.Deferred<Attempt>
  /** By whom. */
  readonly cancelled: Deferred.Deferred<string>
}
