/**
 * What the CLI passes on of the conversation: the assistant's and the user's messages, whole (`assistant`, `user`) and
 * as they are streamed (`stream_event`). Schemas only.
 *
 * The words of the API that may grow, such as a stop reason, are strings. A content block or a delta of a kind not
 * known here passes as Other*, whatever else it holds; one of a known kind must have the fields of that kind.
 */
import { Schema } from "effect"

const NullableString = Schema.optionalKey(Schema.NullOr(Schema.String))

declare const other: unique symbol

/**
 * The `type` or `subtype` of a kind that is not known here: a string, but opaque to the compiler, so that
 * `type === "text"` rules it out. `String(it)` gives the name.
 */
export interface OtherName {
  readonly [other]: never
  toString(): string
}

export const otherThan = (known: ReadonlyArray<string>) =>
  Schema.Unknown.pipe(Schema.refine((name): name is OtherName => typeof name === "string" && !known.includes(name)))

export const TextBlock = Schema.Struct({ type: Schema.Literal("text"), text: Schema.String })
export const ThinkingBlock = Schema.Struct({ type: Schema.Literal("thinking"), thinking: Schema.String })
export const ToolUseBlock = Schema.Struct({
  type: Schema.Literal("tool_use"),
  id: Schema.String,
  name: Schema.String,
  /** Its shape is the tool's affair. */
  input: Schema.Unknown
})
export const ToolResultBlock = Schema.Struct({
  type: Schema.Literal("tool_result"),
  tool_use_id: Schema.String,
  content: Schema.optionalKey(Schema.Union([Schema.String, Schema.Array(Schema.Unknown)])),
  is_error: Schema.optionalKey(Schema.Boolean)
})
export const OtherBlock = Schema.Struct({ type: otherThan(["text", "thinking", "tool_use", "tool_result"]) })

// The known ones in a union of their own: among members that all have a literal `type`, the right one is found at once.
export const ContentBlock = Schema.Union([
  Schema.Union([TextBlock, ToolUseBlock, ToolResultBlock, ThinkingBlock]),
  OtherBlock
])
export type ContentBlock = typeof ContentBlock.Type

/** Tokens of one model call, or of one turn. */
export const Usage = Schema.Struct({
  input_tokens: Schema.Number,
  output_tokens: Schema.Number,
  cache_creation_input_tokens: Schema.optionalKey(Schema.NullOr(Schema.Number)),
  cache_read_input_tokens: Schema.optionalKey(Schema.NullOr(Schema.Number))
})
export type Usage = typeof Usage.Type

/** In every event of the CLI; absent in the lines of its session file. */
const ofSession = { session_id: Schema.optionalKey(Schema.String), uuid: Schema.optionalKey(Schema.String) }
/** The tool call in which a subagent says this; null in the main conversation. */
const ofParent = { parent_tool_use_id: NullableString }

/** One finished content block; several share `message.id`. Its `usage.output_tokens` is not final. */
export const Assistant = Schema.Struct({
  type: Schema.Literal("assistant"),
  message: Schema.Struct({
    id: Schema.String,
    model: Schema.String,
    content: Schema.Array(ContentBlock),
    stop_reason: NullableString,
    usage: Schema.optionalKey(Usage)
  }),
  /** Set where the API failed: `rate_limit`, `authentication_failed`, … */
  error: Schema.optionalKey(Schema.String),
  /** From 2.1.329 on. */
  api_error_status: Schema.optionalKey(Schema.NullOr(Schema.Number)),
  request_id: NullableString,
  ...ofParent,
  ...ofSession
})

/** A tool's result, a message that is echoed, or text that the CLI put in. */
export const User = Schema.Struct({
  type: Schema.Literal("user"),
  message: Schema.Struct({
    role: Schema.String,
    content: Schema.Union([Schema.String, Schema.Array(ContentBlock)])
  }),
  /** The result with structure, a string where the tool failed. */
  tool_use_result: Schema.optionalKey(Schema.Unknown),
  isSynthetic: Schema.optionalKey(Schema.Boolean),
  /** The echo of a message that the turn has consumed; `uuid` is the sender's. */
  isReplay: Schema.optionalKey(Schema.Boolean),
  ...ofParent,
  ...ofSession
})

const streamed = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Struct({
    type: Schema.Literal("stream_event"),
    event: Schema.Struct(fields),
    ...ofParent,
    ...ofSession
  })

export const MessageStart = Schema.Struct({
  ...streamed({
    type: Schema.Literal("message_start"),
    message: Schema.Struct({ id: Schema.String, model: Schema.String, usage: Schema.optionalKey(Usage) })
  }).fields,
  ttft_ms: Schema.optionalKey(Schema.Number)
})
export const BlockStart = streamed({
  type: Schema.Literal("content_block_start"),
  index: Schema.Number,
  content_block: ContentBlock
})
export const BlockDelta = streamed({
  type: Schema.Literal("content_block_delta"),
  index: Schema.Number,
  delta: Schema.Union([
    Schema.Union([
      Schema.Struct({ type: Schema.Literal("text_delta"), text: Schema.String }),
      Schema.Struct({ type: Schema.Literal("input_json_delta"), partial_json: Schema.String }),
      Schema.Struct({ type: Schema.Literal("thinking_delta"), thinking: Schema.String })
    ]),
    Schema.Struct({ type: otherThan(["text_delta", "input_json_delta", "thinking_delta"]) })
  ])
})
export const BlockStop = streamed({ type: Schema.Literal("content_block_stop"), index: Schema.Number })
export const MessageDelta = streamed({
  type: Schema.Literal("message_delta"),
  delta: Schema.Struct({ stop_reason: NullableString }),
  usage: Schema.optionalKey(Schema.Struct({ output_tokens: Schema.Number }))
})
export const MessageStop = streamed({ type: Schema.Literal("message_stop") })
