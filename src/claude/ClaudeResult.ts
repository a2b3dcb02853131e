/**
 * `result`, the end of a turn. The schema only: whether the turn succeeded is decided in ClaudeFailure.ts, because
 * `subtype: "success"` does not say so.
 *
 * The subtype is a string, so that a result of a newer kind still ends its turn.
 */
import { Schema } from "effect"
import { Usage } from "./ClaudeMessage.ts"

/** Of one model, since the process began. */
export const ModelUsage = Schema.Struct({
  inputTokens: Schema.Number,
  outputTokens: Schema.Number,
  cacheReadInputTokens: Schema.Number,
  cacheCreationInputTokens: Schema.Number,
  costUSD: Schema.Number,
  contextWindow: Schema.optionalKey(Schema.Number),
  maxOutputTokens: Schema.optionalKey(Schema.Number)
})
export type ModelUsage = typeof ModelUsage.Type

/** A tool call that the permissions did not allow. The turn went on without it. */
export const PermissionDenial = Schema.Struct({
  tool_name: Schema.String,
  tool_use_id: Schema.String,
  tool_input: Schema.Unknown
})
export type PermissionDenial = typeof PermissionDenial.Type

export const Result = Schema.Struct({
  type: Schema.Literal("result"),
  /** `success`, `error_during_execution`, `error_max_turns`, `error_max_budget_usd`, … */
  subtype: Schema.String,
  is_error: Schema.Boolean,
  session_id: Schema.String,
  /** Round trips to the model in this turn. */
  num_turns: Schema.Number,
  duration_ms: Schema.Number,
  duration_api_ms: Schema.optionalKey(Schema.Number),
  ttft_ms: Schema.optionalKey(Schema.Number),
  /** The last words, or what failed. Absent in the error subtypes. */
  result: Schema.optionalKey(Schema.String),
  /** What failed, in the error subtypes. */
  errors: Schema.optionalKey(Schema.Array(Schema.String)),
  structured_output: Schema.optionalKey(Schema.Unknown),
  /** The HTTP status that ended the turn; null where there was none. */
  api_error_status: Schema.optionalKey(Schema.NullOr(Schema.Number)),
  stop_reason: Schema.optionalKey(Schema.NullOr(Schema.String)),
  terminal_reason: Schema.optionalKey(Schema.NullOr(Schema.String)),
  /** The CLI's own estimate, since the process began. */
  total_cost_usd: Schema.Number,
  /** Of this turn. */
  usage: Usage,
  /** By model, since the process began. */
  modelUsage: Schema.Record(Schema.String, ModelUsage),
  /** What began the turn, where no message of ours did: `{"kind":"task-notification"}` when a background task has ended. */
  origin: Schema.optionalKey(Schema.Unknown),
  permission_denials: Schema.optionalKey(Schema.Array(PermissionDenial)),
  /** From 2.1.329 on. */
  queued_turn_count: Schema.optionalKey(Schema.Number),
  result_index: Schema.optionalKey(Schema.Number),
  uuid: Schema.optionalKey(Schema.String)
})
export type Result = typeof Result.Type
