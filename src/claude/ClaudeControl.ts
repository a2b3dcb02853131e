/**
 * The control protocol: what either side asks of the other on the stream, and how it is answered. Schemas of what the
 * CLI sends, encoders of what it is sent. Each encoder makes one line, its newline included.
 *
 * Who asks, who waits and for how long is left to ClaudeSession.ts.
 */
import { Option, Schema } from "effect"
import { otherThan } from "./ClaudeMessage.ts"

// --- from the CLI

/** May the tool be called? Waits until it is answered: with `allow` or `deny`. */
export const CanUseTool = Schema.Struct({
  subtype: Schema.Literal("can_use_tool"),
  tool_name: Schema.String,
  input: Schema.Unknown,
  tool_use_id: Schema.optionalKey(Schema.String),
  display_name: Schema.optionalKey(Schema.String),
  description: Schema.optionalKey(Schema.String),
  permission_suggestions: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.Unknown))),
  blocked_path: Schema.optionalKey(Schema.NullOr(Schema.String)),
  decision_reason: Schema.optionalKey(Schema.NullOr(Schema.String))
})
export type CanUseTool = typeof CanUseTool.Type

/** A hook that `initialize` registered. */
export const HookCallback = Schema.Struct({
  subtype: Schema.Literal("hook_callback"),
  callback_id: Schema.String,
  input: Schema.Unknown,
  tool_use_id: Schema.optionalKey(Schema.NullOr(Schema.String))
})

/** JSON-RPC for an MCP server in this process that `initialize` named. */
export const McpMessage = Schema.Struct({
  subtype: Schema.Literal("mcp_message"),
  server_name: Schema.String,
  message: Schema.Unknown
})

/** What a newer CLI may ask. It must be answered all the same, if only with a refusal. */
export const OtherRequest = Schema.Struct({ subtype: otherThan(["can_use_tool", "hook_callback", "mcp_message"]) })

export const ControlRequest = Schema.Struct({
  type: Schema.Literal("control_request"),
  request_id: Schema.String,
  request: Schema.Union([Schema.Union([CanUseTool, HookCallback, McpMessage]), OtherRequest])
})

/** The CLI has stopped waiting for the answer. */
export const ControlCancelRequest = Schema.Struct({
  type: Schema.Literal("control_cancel_request"),
  request_id: Schema.String
})

export const Answer = Schema.Union([
  Schema.Struct({
    subtype: Schema.Literal("success"),
    request_id: Schema.String,
    response: Schema.optionalKey(Schema.Unknown)
  }),
  Schema.Struct({
    subtype: Schema.Literal("error"),
    request_id: Schema.String,
    error: Schema.String,
    /** From 2.1.329 on. */
    error_code: Schema.optionalKey(Schema.String)
  })
])
export type Answer = typeof Answer.Type

export const ControlResponse = Schema.Struct({ type: Schema.Literal("control_response"), response: Answer })

// --- what the answers hold

/** The answer to `initialize`. Its lists of commands, agents and models are left where they are. */
export const Initialized = Schema.Struct({
  output_style: Schema.optionalKey(Schema.String),
  pid: Schema.optionalKey(Schema.Number),
  account: Schema.optionalKey(
    Schema.Struct({
      tokenSource: Schema.optionalKey(Schema.String),
      apiKeySource: Schema.optionalKey(Schema.String),
      apiProvider: Schema.optionalKey(Schema.String)
    })
  )
})
export type Initialized = typeof Initialized.Type

const decodeInitialized = Schema.decodeUnknownOption(Initialized)
const decodeVersion = Schema.decodeUnknownOption(Schema.Struct({ version: Schema.String }))

const contentOf = (answer: Answer) => (answer.subtype === "success" ? answer.response : undefined)

export const initializedOf = (answer: Answer): Initialized | undefined =>
  Option.getOrUndefined(decodeInitialized(contentOf(answer)))

const decodeCancelled = Schema.decodeUnknownOption(Schema.Struct({ cancelled: Schema.Boolean }))

/** From the answer to `cancel_async_message`: false where the message is in a turn already. */
export const cancelledOf = (answer: Answer): boolean | undefined =>
  Option.getOrUndefined(decodeCancelled(contentOf(answer)))?.cancelled

/** From the answer to `get_binary_version`. */
export const versionOf = (answer: Answer): string | undefined =>
  Option.getOrUndefined(decodeVersion(contentOf(answer)))?.version

// --- to the CLI

/** What can be asked of the CLI. */
export type Request =
  | {
      readonly subtype: "initialize"
      readonly systemPrompt?: string | undefined
      readonly appendSystemPrompt?: string | undefined
      readonly jsonSchema?: unknown
      /** By event, such as `PreToolUse`. */
      readonly hooks?: Readonly<Record<string, ReadonlyArray<HookMatcher>>> | undefined
      /** MCP servers that live in this process. */
      readonly sdkMcpServers?: ReadonlyArray<string> | undefined
    }
  /** Ends the running turn; answered at once, also when there is none. */
  | { readonly subtype: "interrupt" }
  /** Ends a background task, such as a shell that outlives its turn. */
  | { readonly subtype: "stop_task"; readonly task_id: string }
  /** Answered, and the process exits in about 50 ms. */
  | { readonly subtype: "end_session" }
  /** Any string is accepted; holds from the next turn on. Without a model: the default. */
  | { readonly subtype: "set_model"; readonly model?: string | undefined }
  /** 2.1.197 answers a mode that does not exist with success. */
  | { readonly subtype: "set_permission_mode"; readonly mode: string }
  | { readonly subtype: "set_max_thinking_tokens"; readonly max_thinking_tokens: number | null }
  | { readonly subtype: "get_binary_version" | "get_context_usage" | "get_session_cost" | "get_usage" | "mcp_status" }
  | { readonly subtype: "stop_task"; readonly task_id: string }
  | { readonly subtype: "cancel_async_message"; readonly message_uuid: string }

export interface HookMatcher {
  readonly matcher?: string | undefined
  readonly hookCallbackIds: ReadonlyArray<string>
}

const line = (message: unknown) => `${JSON.stringify(message)}\n`

export const encodeRequest = (requestId: string, request: Request): string =>
  line({ type: "control_request", request_id: requestId, request })

/** A user's message: text or content blocks. Its uuid comes back in the echo and in the CLI's session file. */
export const encodeMessage = (content: string | ReadonlyArray<unknown>, uuid?: string): string =>
  line({ type: "user", message: { role: "user", content }, parent_tool_use_id: null, uuid })

/** The answer to one of the CLI's requests. */
export const encodeAnswer = (requestId: string, response: unknown): string =>
  line({ type: "control_response", response: { subtype: "success", request_id: requestId, response } })

/** No answer to one of the CLI's requests. For `can_use_tool` it means the same as `deny`. */
export const encodeRefusal = (requestId: string, error: string): string =>
  line({ type: "control_response", response: { subtype: "error", request_id: requestId, error } })

/** For `can_use_tool`. The input must be sent back, changed or as it was. */
export const allow = (updatedInput: unknown) => ({ behavior: "allow", updatedInput }) as const

/** For `can_use_tool`. The message becomes the tool's result; the turn goes on unless it is interrupted. */
export const deny = (message: string, interrupt = false) =>
  ({ behavior: "deny", message, ...(interrupt ? { interrupt } : {}) }) as const
