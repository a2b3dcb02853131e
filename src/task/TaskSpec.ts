/** What a person may say about a task. */
import { Effect, Schema } from "effect"
import { Budget } from "../agent/Budget.ts"
import { AgentId, NodeId, TaskId, TaskType } from "../domain/Ids.ts"
import { wholeNumber } from "../domain/Setting.ts"
import { After } from "./After.ts"
import { SessionSpec } from "./Continuing.ts"
import { EvidenceSpec } from "./EvidenceSpec.ts"
import { FileSpecs } from "./FileSpec.ts"
import { Labels, TraceParent } from "./Labels.ts"
import * as Needs from "./Needs.ts"
import { NotBefore } from "./NotBefore.ts"
import { ScheduleSpec } from "./ScheduleSpec.ts"
import { TaskRetry } from "./TaskRetry.ts"
import { Timeouts } from "./Timeouts.ts"

/** The longest prompt, in characters. */
export const MAX_PROMPT = 1024 * 1024

export const TaskSpec = Schema.Struct({
  id: Schema.optionalKey(TaskId).annotateKey({
    description: "Its name; submitting the same again is answered with the first. Default: made up"
  }),
  type: TaskType.pipe(Schema.withDecodingDefaultKey(Effect.succeed("task"))).annotateKey({
    description: 'Its type, by which agents take it. Default "task"'
  }),
  prompt: Schema.String.pipe(
    Schema.check(Schema.isNonEmpty({ message: "expected text that is not empty" })),
    Schema.check(Schema.isMaxLength(MAX_PROMPT, { message: `expected at most ${MAX_PROMPT} characters` }))
  ).annotateKey({ description: "What the agent is told" }),
  agent: Schema.optionalKey(AgentId).annotateKey({
    description: "The agent that must do it. Default: any that takes its type"
  }),
  prefer: Schema.optionalKey(AgentId).annotateKey({
    description:
      "The agent, or the group, that does it where it is idle; where not, any other that may. Default: whom routing chooses"
  }),
  node: Schema.optionalKey(NodeId).annotateKey({
    description:
      "The node of a fleet that must do it, by its fleet.node. Default: any; with files, the one where it was submitted"
  }),
  capabilities: Schema.optionalKey(Needs.Capabilities).annotateKey({
    description: `What whoever performs it must be able to do: an agent gets it only where its own capabilities hold all of these. At most ${Needs.MAX_CAPABILITIES}. Default none`
  }),
  schema: Schema.optionalKey(
    Schema.Record(Schema.String, Schema.Unknown).pipe(
      Schema.check(
        Schema.makeFilter((schema) => schema["type"] === "object", {
          message: 'expected the JSON Schema of an object, with "type": "object"',
          toJsonSchema: () => ({ required: ["type"], properties: { type: { const: "object" } } })
        })
      )
    )
  ).annotateKey({
    description: 'A JSON Schema with "type": "object" for the answer, which then comes as validated data. Default: text'
  }),
  evidence: Schema.optionalKey(EvidenceSpec).annotateKey({
    description:
      "Proofs that the runtime itself verifies after the turn; the task is complete only when all of them hold. Default none"
  }),
  priority: Schema.optionalKey(wholeNumber(-10, 10)).annotateKey({
    description: "What is higher begins first; after each 10 minutes of waiting a task counts as one higher. Default 0"
  }),
  notBefore: Schema.optionalKey(NotBefore).annotateKey({
    description:
      'When it may begin at the earliest: a time with its zone ("2030-01-31T08:00:00Z"), or so long after it was submitted ("2 hours"). Default: at once'
  }),
  after: Schema.optionalKey(After).annotateKey({
    description:
      'Tasks that must have ended before it begins: their ids, or { "task": id, "onFailure": "cancel" or "run" }. Where one of them fails it is cancelled, or runs all the same. Default none'
  }),
  session: Schema.optionalKey(SessionSpec).annotateKey({
    description:
      'Goes on with the conversation of another task when that has ended: its id, or { "of": id, "onMissing": "fail" or "anew" }. Default: a conversation of its own'
  }),
  files: Schema.optionalKey(FileSpecs).annotateKey({
    description:
      'Files that it comes with: their paths, or { "path": path, "name": name }. They are copied when it is submitted, and lie in the agent\'s workspace while it is worked on. Default none'
  }),
  budget: Schema.optionalKey(Budget).annotateKey({
    description: "What all attempts at it may cost together; what is reached ends it. Default: no bound"
  }),
  labels: Schema.optionalKey(Labels).annotateKey({
    description: "Short texts under short keys, by which it is found again. Default none"
  }),
  traceparent: Schema.optionalKey(TraceParent).annotateKey({
    description: "The W3C trace that it belongs to; its events and its result carry it. Default none"
  }),
  schedule: Schema.optionalKey(ScheduleSpec).annotateKey({
    description:
      'When it is done again and again: a cron expression such as "0 3 * * *" (UTC), or { "cron": "0 3 * * *", "timeZone": "Europe/Berlin" }. Default: once'
  }),
  timeouts: Schema.optionalKey(Timeouts).annotateKey({
    description: "How long it may wait for an agent, be attempted, and take in all. Default: without end"
  }),
  retry: Schema.optionalKey(TaskRetry).annotateKey({
    description: "When it is tried again. What is left out is as the config's retry says"
  })
})
export type TaskSpec = typeof TaskSpec.Type
/** As a program or a person writes it; only the prompt is needed. */
export type TaskInput = typeof TaskSpec.Encoded
