/**
 * Work as it travels: what is to be done, how far it is, how it ended. The shapes are those that task/ and domain/ have;
 * what a task may say in full is decided by who accepts it, so that keys which are not known here are kept and passed on.
 */
import { Schema } from "effect"
import { AgentId, TaskId, TaskType } from "../domain/Ids.ts"
import type { TaskResult as Ended } from "../domain/Task.ts"
import { FaultView, viewOf } from "./FaultView.ts"
import { bounded, Count, Name, Time } from "./Fields.ts"

/** The longest prompt, in characters. The size of the whole message bounds it further. */
export const MAX_PROMPT = 1024 * 1024
/** The longest report of what an agent does, in characters. */
export const MAX_DETAIL = 1000

/** As in `tasks` of a config. `type` is that of the subject that it is sent to. */
export const TaskAssignment = Schema.StructWithRest(
  Schema.Struct({
    id: Schema.optionalKey(TaskId).annotateKey({
      description: "Its name. The same again, with the same content, is the same task. Default: the id of the message"
    }),
    type: TaskType,
    prompt: bounded(MAX_PROMPT).pipe(Schema.check(Schema.isNonEmpty({ message: "expected text that is not empty" }))),
    agent: Schema.optionalKey(AgentId)
  }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)
export type TaskAssignment = typeof TaskAssignment.Type

export const TaskProgress = Schema.Struct({
  task: TaskId,
  /** the fence: what a superseded attempt says is to be passed over */
  attempt: Count.annotateKey({
    description: "Which attempt says so; what is said by one before the newest does not count"
  }),
  node: Name,
  agent: Schema.optionalKey(AgentId),
  doing: Schema.Literals(["queued", "running", "parked", "waiting", "text", "tool"]).annotateKey({
    description: "The state that it moved to, or what its agent does: say something (text), use something (tool)"
  }),
  detail: Schema.optionalKey(bounded(MAX_DETAIL)),
  at: Time
})
export type TaskProgress = typeof TaskProgress.Type

const Usage = Schema.Struct({
  turns: Schema.Finite,
  inputTokens: Schema.Finite,
  outputTokens: Schema.Finite,
  costUsd: Schema.Finite
})

export const TaskResult = Schema.Struct({
  task: TaskId,
  attempt: Count.annotateKey({ description: "The attempt that it ended with" }),
  node: Schema.optionalKey(Name),
  status: Schema.Literals(["succeeded", "failed"]),
  text: Schema.String.annotateKey({ description: "The agent's last words; empty where it failed before any" }),
  output: Schema.optionalKey(Schema.Unknown).annotateKey({
    description: "The validated answer of a task with a schema"
  }),
  fault: Schema.optionalKey(FaultView),
  agent: Schema.optionalKey(Name),
  session: Schema.optionalKey(Name),
  attempts: Count,
  denied: Schema.Array(Schema.String).annotateKey({ description: "Tools that were denied on the way" }),
  usage: Usage,
  tookMillis: Schema.Finite,
  traceparent: Schema.optionalKey(Schema.String)
})
export type TaskResult = typeof TaskResult.Type

/** A result as the ledger has it, as it travels. */
export const resultOf = (ended: Ended, from: { readonly attempt: number; readonly node?: string }): TaskResult => {
  const { agent, fault, output, session, task, ...rest } = ended
  return {
    ...rest,
    ...from,
    task: TaskId.make(task),
    ...(output === undefined ? {} : { output }),
    ...(fault === undefined ? {} : { fault: viewOf(fault) }),
    ...(agent === undefined ? {} : { agent }),
    ...(session === undefined ? {} : { session })
  }
}
