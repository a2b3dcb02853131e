/** Tasks as they travel: the list without its long texts, and one task whole. */
import { Schema } from "effect"
import { TASK_STATES, type TaskResult } from "../domain/Task.ts"
import { brief } from "../event/Event.ts"
import { edgesOf } from "../task/After.ts"
import { Labels } from "../task/Labels.ts"
import { ScheduleSpec } from "../task/ScheduleSpec.ts"
import type { AttemptRecord, TaskRecord } from "../task/TaskLedger.ts"
import { TaskRetry } from "../task/TaskRetry.ts"
import { TaskSpec } from "../task/TaskSpec.ts"
import { Timeouts } from "../task/Timeouts.ts"
import { FaultView } from "./FaultView.ts"

export const TaskStateView = Schema.Literals(TASK_STATES)

const UsageView = Schema.Struct({
  turns: Schema.Finite,
  inputTokens: Schema.Finite,
  outputTokens: Schema.Finite,
  costUsd: Schema.Finite
})

export const ResultView = Schema.Struct({
  task: Schema.String,
  status: Schema.Literals(["succeeded", "failed"]),
  text: Schema.String,
  /** The validated answer of a task with a schema. */
  output: Schema.optionalKey(Schema.Unknown),
  fault: Schema.optional(FaultView),
  agent: Schema.optional(Schema.String),
  session: Schema.optional(Schema.String),
  attempts: Schema.Finite,
  denied: Schema.Array(Schema.String),
  usage: UsageView,
  tookMillis: Schema.Finite,
  /** The trace that its task belongs to. */
  traceparent: Schema.optionalKey(Schema.String),
  workspace: Schema.optionalKey(
    Schema.Struct({
      path: Schema.String,
      branch: Schema.optionalKey(Schema.String),
      head: Schema.optionalKey(Schema.String)
    })
  )
})

const { after, budget, evidence, files, notBefore, prefer, priority, traceparent } = TaskSpec.fields

/** What was asked beside the prompt, as it was said. */
const asked = { prefer, priority, notBefore, after, budget, evidence, files, traceparent }

const common = {
  id: Schema.String,
  type: Schema.String,
  state: TaskStateView,
  /** How often it was begun. */
  attempt: Schema.Finite,
  /** How often it was broken off since it was last asked for, which was no try. */
  interruptions: Schema.Finite,
  /** Who performs it, or did last. */
  agent: Schema.optional(Schema.String),
  /** In a fleet, the node on which that is. */
  node: Schema.optional(Schema.String),
  submittedAt: Schema.Finite,
  startedAt: Schema.optional(Schema.Finite),
  dueAt: Schema.optional(Schema.Finite),
  labels: Schema.optional(Labels)
}

/** One line of the list. */
export const TaskSummary = Schema.Struct({
  ...common,
  /** The beginning of what the agent is told. */
  prompt: Schema.String,
  /** Why it waits or has failed. */
  problem: Schema.optional(Schema.String),
  costUsd: Schema.Finite,
  priority,
  /** Those for which it waits, or has waited: the first so many. */
  waitsFor: Schema.optionalKey(Schema.Array(Schema.String))
})
export type TaskSummary = typeof TaskSummary.Type

export const TaskList = Schema.Struct({
  /** In the order of their submission. */
  tasks: Schema.Array(TaskSummary),
  /** There are earlier ones. */
  more: Schema.Boolean
})

export const TaskView = Schema.Struct({
  ...common,
  ...asked,
  prompt: Schema.String,
  /** The agent that must do it. */
  only: Schema.optional(Schema.String),
  /** The node that must do it. */
  onlyOn: Schema.optional(Schema.String),
  /** What whoever performs it must be able to do. */
  capabilities: Schema.optional(Schema.Array(Schema.String)),
  schema: Schema.optional(Schema.Record(Schema.String, Schema.Unknown)),
  /** Of a scheduled task: the first of its series, and when it is done. */
  series: Schema.optional(Schema.String),
  schedule: Schema.optional(ScheduleSpec),
  timeouts: Schema.optional(Timeouts),
  retry: Schema.optional(TaskRetry),
  /** Until when it must be begun, and over. */
  beginBy: Schema.optional(Schema.Finite),
  endBy: Schema.optional(Schema.Finite),
  lastFault: Schema.optional(FaultView),
  usage: UsageView,
  result: Schema.optional(ResultView)
})
export type TaskView = typeof TaskView.Type

/** One attempt at a task, in the order in which they were begun. */
export const AttemptView = Schema.Struct({
  attempt: Schema.Finite,
  agent: Schema.String,
  node: Schema.optional(Schema.String),
  begunAt: Schema.Finite,
  endedAt: Schema.optional(Schema.Finite),
  /** What the task became by it. */
  ended: Schema.optional(TaskStateView),
  fault: Schema.optional(FaultView),
  /** The agent's last words, of which the end is kept. */
  words: Schema.optionalKey(Schema.String),
  /** What its evidence was found to lack. */
  missing: Schema.optionalKey(Schema.Array(Schema.Struct({ proof: Schema.String, found: Schema.String })))
})

/** A task with what was done for it. */
export const TaskStory = Schema.Struct({ ...TaskView.fields, history: Schema.Array(AttemptView) })
export type TaskStory = typeof TaskStory.Type

export const storyOf = (record: TaskRecord, history: ReadonlyArray<AttemptRecord>): TaskStory => ({
  ...viewOf(record),
  history
})

const commonOf = ({
  agent,
  attempt,
  dueAt,
  id,
  interruptions,
  node,
  spec,
  startedAt,
  state,
  submittedAt
}: TaskRecord) => ({
  id,
  type: spec.type,
  state,
  attempt,
  interruptions,
  agent,
  node,
  submittedAt,
  startedAt,
  dueAt,
  labels: spec.labels
})

export const summaryOf = (record: TaskRecord): TaskSummary => ({
  ...commonOf(record),
  prompt: brief(record.spec.prompt.slice(0, 1000)),
  problem: record.lastFault?.message,
  costUsd: record.usage.costUsd,
  ...(record.spec.priority === undefined ? {} : { priority: record.spec.priority }),
  ...(record.spec.after === undefined ? {} : { waitsFor: [...edgesOf(record.spec).keys()].slice(0, WAITS_NAMED) })
})

/** The most names in one line of the list. */
const WAITS_NAMED = 10

/** Those of these keys that were said. */
const saidOf = (spec: TaskSpec): Pick<TaskSpec, keyof typeof asked> =>
  Object.fromEntries(Object.keys(asked).flatMap((key) => (key in spec ? [[key, spec[key as keyof TaskSpec]]] : [])))

export const viewOf = (record: TaskRecord): TaskView => ({
  ...commonOf(record),
  ...saidOf(record.spec),
  prompt: record.spec.prompt,
  only: record.spec.agent,
  onlyOn: record.spec.node,
  capabilities: record.spec.capabilities,
  schema: record.spec.schema,
  series: record.series,
  schedule: record.spec.schedule,
  timeouts: record.spec.timeouts,
  retry: record.spec.retry,
  beginBy: record.beginBy,
  endBy: record.endBy,
  lastFault: record.lastFault,
  usage: record.usage,
  result: record.result === undefined ? undefined : resultViewOf(record.result)
})

/** JSON has no undefined, and null would be an answer. */
export const resultViewOf = ({ output, ...result }: TaskResult): typeof ResultView.Type =>
  output === undefined ? result : { ...result, output }

/** What travelled, as the value it was. */
export const resultOf = (view: typeof ResultView.Type): TaskResult => ({
  output: undefined,
  fault: undefined,
  agent: undefined,
  session: undefined,
  ...view
})
