/**
 * What a running node lets itself be asked and told. The admin room serves it and does not know who answers: the wiring
 * gives it the node, a test whatever it likes. Every failure is a Fault, and travels to the caller as one.
 */
import { Context, type Effect } from "effect"
import type { AgentSnapshot } from "../agent/AgentPool.ts"
import type { Move } from "../agent/Moves.ts"
import type { Fault } from "../domain/Fault.ts"
import type { TaskResult } from "../domain/Task.ts"
import type { Listed } from "../fleet/NodeRecord.ts"
import type { ProcessLimits, Unenforced } from "../process/ProcessLimits.ts"
import type { TreeUsage } from "../process/Usage.ts"
import type { SupervisorInfo } from "../supervision/Snapshot.ts"
import type { AttemptRecord, SubmitOptions, TaskFilter, TaskRecord } from "../task/TaskLedger.ts"
import type { TaskInput } from "../task/TaskSpec.ts"
import type { PlanView } from "./ReloadView.ts"

export class Operated extends Context.Service<
  Operated,
  {
    submit(task: TaskInput, options?: SubmitOptions): Effect.Effect<TaskRecord, Fault>
    /** Waits for the end of a task. */
    result(task: string): Effect.Effect<TaskResult, Fault>
    task(id: string): Effect.Effect<TaskRecord, Fault>
    /** The attempts at a task, first to last. */
    attempts(task: string): Effect.Effect<ReadonlyArray<AttemptRecord>, Fault>
    /** Ends a task that has not ended, and the work on it. */
    cancel(task: string, why?: string): Effect.Effect<TaskRecord, Fault>
    /** A dead letter goes back to the queue. */
    replay(task: string): Effect.Effect<TaskRecord, Fault>
    /** A dead letter counts as cancelled. */
    drop(task: string): Effect.Effect<TaskRecord, Fault>
    /** The latest first. */
    tasks(filter: TaskFilter): Effect.Effect<ReadonlyArray<TaskRecord>, Fault>
    readonly agents: Effect.Effect<ReadonlyArray<AgentSnapshot>>
    stopAgent(agent: string): Effect.Effect<void, Fault>
    startAgent(agent: string): Effect.Effect<void, Fault>
    /** Stops and starts it; one that is down is started. */
    restartAgent(agent: string): Effect.Effect<void, Fault>
    pauseAgent(agent: string): Effect.Effect<void, Fault>
    resumeAgent(agent: string): Effect.Effect<void, Fault>
    /** Breaks off what it does; its task goes on after a pause. */
    interruptAgent(agent: string): Effect.Effect<void, Fault>
    /** For the rest of its life. */
    setModel(agent: string, model: string): Effect.Effect<void, Fault>
    /** In the turn that it is in, or with its next one. */
    tellAgent(agent: string, text: string): Effect.Effect<"turn" | "inbox", Fault>
    /** Answers with the limits that the kernel does not enforce. */
    limitAgent(agent: string, limits: ProcessLimits): Effect.Effect<ReadonlyArray<Unenforced>, Fault>
    /** Undefined while it has no CLI, or has not been looked at. */
    usage(agent: string): Effect.Effect<TreeUsage | undefined, Fault>
    /** Who is in the fleet, this node among them. */
    readonly nodes: Effect.Effect<ReadonlyArray<Listed>, Fault>
    readonly tree: Effect.Effect<SupervisorInfo>
    /** Begins no more work; completes when what runs has ended, whereupon the node ends. */
    readonly drain: Effect.Effect<void>
    /** Reads the config again: what that changes, and, where not only the plan is asked for, carried out. */
    reload(options: { readonly plan: boolean; readonly now: boolean }): Effect.Effect<PlanView, Fault>
    explain(agent: string): Effect.Effect<string, Fault>
    /** What an agent has been of late, first to last. */
    moves(agent: string): Effect.Effect<ReadonlyArray<Move>, Fault>
    explainTask(task: string): Effect.Effect<string, Fault>
  }
>()("mister-smith/admin/Operated") {}
