/**
 * What the CLI reports about itself: `system` and the few kinds beside it. Schemas only.
 *
 * What may be a new word in the next version, such as a status, is a string. What only some versions print is optional.
 */
import { Schema } from "effect"

const optionalString = Schema.optionalKey(Schema.String)
const nullableString = Schema.optionalKey(Schema.NullOr(Schema.String))

const system = <const Subtype extends string, const Fields extends Schema.Struct.Fields>(
  subtype: Subtype,
  fields: Fields
) =>
  Schema.Struct({
    type: Schema.Literal("system"),
    subtype: Schema.Literal(subtype),
    session_id: optionalString,
    uuid: optionalString,
    ...fields
  })

/** At the start of every turn, not of the process. */
export const Init = Schema.Struct({
  type: Schema.Literal("system"),
  subtype: Schema.Literal("init"),
  session_id: Schema.String,
  uuid: optionalString,
  cwd: Schema.String,
  model: Schema.String,
  permissionMode: Schema.String,
  claude_code_version: Schema.String,
  apiKeySource: Schema.String,
  tools: Schema.Array(Schema.String),
  mcp_servers: Schema.Array(Schema.Struct({ name: Schema.String, status: Schema.String })),
  slash_commands: Schema.optionalKey(Schema.Array(Schema.String)),
  agents: Schema.optionalKey(Schema.Array(Schema.String)),
  skills: Schema.optionalKey(Schema.Array(Schema.String)),
  plugins: Schema.optionalKey(Schema.Array(Schema.Struct({ name: Schema.String }))),
  memory_paths: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown)),
  output_style: optionalString,
  fast_mode_state: optionalString
})

/** `requesting`, `compacting`, or null when that is over. Also when the permission mode changes. */
export const Status = system("status", {
  status: Schema.NullOr(Schema.String),
  permissionMode: optionalString,
  compact_result: optionalString,
  compact_error: optionalString
})

/** Before each wait for another attempt at an API call. A null status: there was no HTTP answer. */
export const ApiRetry = system("api_retry", {
  attempt: Schema.Number,
  max_retries: Schema.Number,
  retry_delay_ms: Schema.Number,
  error_status: Schema.NullOr(Schema.Number),
  error: Schema.String
})
export type ApiRetry = typeof ApiRetry.Type

export const ModelFallback = system("model_fallback", {
  trigger: Schema.String,
  original_model: Schema.String,
  fallback_model: Schema.String,
  content: optionalString
})

export const ModelRefusalNoFallback = system("model_refusal_no_fallback", {
  original_model: Schema.String,
  api_refusal_category: nullableString,
  api_refusal_explanation: nullableString,
  content: optionalString
})

/** A Bash or agent task: in the background, or in the foreground for more than about three seconds. */
export const TaskStarted = system("task_started", {
  task_id: Schema.String,
  tool_use_id: optionalString,
  description: optionalString,
  task_type: optionalString,
  is_backgrounded: Schema.optionalKey(Schema.Boolean)
})
/** Holds only what has changed. */
export const TaskUpdated = system("task_updated", {
  task_id: Schema.String,
  patch: Schema.Struct({ status: optionalString, end_time: Schema.optionalKey(Schema.Number), error: optionalString })
})
/** A task has ended: `completed`, `failed`, `stopped`. */
export const TaskNotification = system("task_notification", {
  task_id: Schema.String,
  tool_use_id: optionalString,
  status: Schema.String,
  output_file: optionalString,
  summary: optionalString
})
/** The whole set, each time it changes. From 2.1.329 on. */
export const BackgroundTasksChanged = system("background_tasks_changed", {
  tasks: Schema.Array(Schema.Struct({ task_id: Schema.String, task_type: optionalString, description: optionalString }))
})

const hook = { hook_id: Schema.String, hook_name: Schema.String, hook_event: Schema.String }
export const HookStarted = system("hook_started", hook)
export const HookResponse = system("hook_response", {
  ...hook,
  outcome: Schema.String,
  exit_code: Schema.optionalKey(Schema.Number),
  stdout: optionalString,
  stderr: optionalString
})

/** `running`, `idle`, `requires_action`. */
export const SessionStateChanged = system("session_state_changed", { state: Schema.String })

/** The list itself is left where it is: nothing here offers slash commands. */
export const CommandsChanged = system("commands_changed", {})

/** Only with a subscription's credentials. */
export const RateLimitInfo = Schema.Struct({
  /** `allowed`, `allowed_warning`, `rejected`. */
  status: Schema.String,
  /** When the window begins anew, in seconds since the epoch. */
  resetsAt: Schema.optionalKey(Schema.Number),
  /** Which window: `five_hour`, … */
  rateLimitType: optionalString,
  /** Of the window, 0 to 1. */
  utilization: Schema.optionalKey(Schema.Number),
  overageStatus: optionalString,
  isUsingOverage: Schema.optionalKey(Schema.Boolean)
})
export type RateLimitInfo = typeof RateLimitInfo.Type

export const RateLimit = Schema.Struct({
  type: Schema.Literal("rate_limit_event"),
  rate_limit_info: RateLimitInfo,
  session_id: optionalString,
  uuid: optionalString
})

/** What became of a message that was sent: `started`, `completed`. From 2.1.329 on. */
export const CommandLifecycle = Schema.Struct({
  type: Schema.Literal("command_lifecycle"),
  command_uuid: Schema.String,
  state: Schema.String,
  session_id: optionalString,
  uuid: optionalString
})
