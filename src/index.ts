/** All that an embedding program may import. What is not listed here may change without notice. */

export {
  AgentNotPerforming,
  AgentNotRunning,
  AgentUnknown,
  InboxFull,
  ModelRefused,
  SessionMissing,
  SessionOwned,
  StoppedUnreadable
} from "./agent/AgentError.ts"
export type { AgentSnapshot } from "./agent/AgentPool.ts"
export type { LimitError, PauseError, StartAgentError, StopError } from "./agent/AgentTree.ts"
export type { Move } from "./agent/Moves.ts"
export { ReloadRolledBack, ReloadUnderWay } from "./agent/ReloadError.ts"
export {
  BaseUnknown,
  BranchTaken,
  GitFailed,
  GitMissing,
  NoRoom,
  RepositoryLocked,
  RepositoryUnusable,
  WorkspaceBlocked,
  WorkspacesFull
} from "./agent/WorkspaceError.ts"
export type { Config, ConfigInput } from "./config/Config.ts"
export { ConfigInvalid, ConfigUnreadable } from "./config/ConfigError.ts"
export { load as loadConfig, make as makeConfig } from "./config/Load.ts"
export type { AgentStep, Plan, SettingChange } from "./config/Plan.ts"
export type { AgentState } from "./domain/AgentState.ts"
export type { Fault, FaultReport, Recovery, Severity } from "./domain/Fault.ts"
export { AgentId, TaskId, TaskType } from "./domain/Ids.ts"
export type { TaskResult, TaskState, TaskUsage, TaskWorkspace } from "./domain/Task.ts"
export { VERSION } from "./domain/Version.ts"
export type { Event, Published } from "./event/Event.ts"
export { Fleet } from "./fleet/Fleet.ts"
export { NodeNameTaken, RegistryUnusable } from "./fleet/FleetError.ts"
export type { Held, LeaseShape, Led, Term } from "./fleet/Lease.ts"
export { LeaseFull, LeaseLost, LeaseUnusable } from "./fleet/LeaseError.ts"
export type { Listed } from "./fleet/NodeRecord.ts"
export { MisterSmith, type ReloadOptions, type StartError, type SubmitError } from "./MisterSmith.ts"
export { LimitUnenforceable, PauseFailed, RungUnavailable, TreeSurvived } from "./process/ProcessError.ts"
export type { ProcessLimits, Unenforced } from "./process/ProcessLimits.ts"
export type { TreeUsage } from "./process/Usage.ts"
export { DataDirInUse, DataDirUnusable } from "./state/StateError.ts"
export { StateUnusable } from "./state/StateStoreError.ts"
export {
  ChildNotFound,
  ChildRunning,
  ChildStartFailed,
  StopNotKept,
  SupervisorEnded
} from "./supervision/ChildError.ts"
export type { ChildInfo, SupervisorInfo } from "./supervision/Snapshot.ts"
export { FailureRecord, SupervisorGaveUp } from "./supervision/SupervisionError.ts"
export type { AgentLoad } from "./task/AgentLoad.ts"
export { PluginBroken, PluginMissing, PluginNotAFunction } from "./task/RoutingError.ts"
export type { RoutingAgent, RoutingContext, RoutingPlugin, RoutingTask } from "./task/RoutingPlugin.ts"
export {
  BrokenOffTooOften,
  DependencyFailed,
  EvidenceMissing,
  FileUnusable,
  LedgerFull,
  LedgerUnusable,
  NotBegunInTime,
  TaskConflict,
  TaskEnded,
  TaskInvalid,
  TaskNotDead,
  TaskOverdue,
  TaskUnknown
} from "./task/TaskError.ts"
export type { SubmitOptions } from "./task/TaskLedger.ts"
export type { AttemptRecord, MissingProof, TaskFilter, TaskRecord } from "./task/TaskRecord.ts"
export type { TaskInput } from "./task/TaskSpec.ts"
