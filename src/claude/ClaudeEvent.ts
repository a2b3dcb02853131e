/**
 * What the CLI prints: lines of JSON, decoded into events.
 *
 * Promises: nothing on a child's stdout makes any of this throw; an event has every field of its schema; a line of a
 * kind not listed here is counted and passed over; a line that is not JSON, or of a listed kind whose fields do not
 * fit, is counted and its beginning kept (the last 20, 2 KiB each). Synchronous, because one Effect for every line
 * costs half of the speed.
 *
 * The kind of a line is its `type`, or `type/subtype` where the type alone does not say. The schemas are in
 * ClaudeMessage, ClaudeResult, ClaudeNotice and ClaudeControl. None of them transforms, so that a line is checked and
 * handed on as it was parsed: properties that are not in the schema stay in the object, and out of the type.
 */
import { Result, Schema, SchemaIssue } from "effect"
import * as SchemaJITCompiler from "effect/schema/SchemaJITCompiler"
import { Lines, type LinesOptions } from "../process/Lines.ts"
import * as Control from "./ClaudeControl.ts"
import * as Message from "./ClaudeMessage.ts"
import * as Notice from "./ClaudeNotice.ts"
import * as Turn from "./ClaudeResult.ts"

/** Every kind that is decoded. */
const schemas = {
  assistant: Message.Assistant,
  user: Message.User,
  result: Turn.Result,
  "stream_event/message_start": Message.MessageStart,
  "stream_event/content_block_start": Message.BlockStart,
  "stream_event/content_block_delta": Message.BlockDelta,
  "stream_event/content_block_stop": Message.BlockStop,
  "stream_event/message_delta": Message.MessageDelta,
  "stream_event/message_stop": Message.MessageStop,
  "system/init": Notice.Init,
  "system/status": Notice.Status,
  "system/api_retry": Notice.ApiRetry,
  "system/model_fallback": Notice.ModelFallback,
  "system/model_refusal_no_fallback": Notice.ModelRefusalNoFallback,
  "system/task_started": Notice.TaskStarted,
  "system/task_updated": Notice.TaskUpdated,
  "system/task_notification": Notice.TaskNotification,
  "system/background_tasks_changed": Notice.BackgroundTasksChanged,
  "system/hook_started": Notice.HookStarted,
  "system/hook_response": Notice.HookResponse,
  "system/session_state_changed": Notice.SessionStateChanged,
  "system/commands_changed": Notice.CommandsChanged,
  rate_limit_event: Notice.RateLimit,
  command_lifecycle: Notice.CommandLifecycle,
  control_request: Control.ControlRequest,
  control_response: Control.ControlResponse,
  control_cancel_request: Control.ControlCancelRequest
} as const

type Schemas = typeof schemas
export type EventKind = keyof Schemas
/** The event of one kind. */
export type EventOf<Kind extends EventKind> = Schemas[Kind]["Type"] & { readonly kind: Kind }

/**
 * Kinds that are known and carry nothing the runtime needs. The first group is in the CLI's own type declarations; the
 * second is found in its session file, never on stdout.
 */
const passedOver: ReadonlySet<string> = new Set([
  "keep_alive",
  "auth_status",
  "prompt_suggestion",
  "tool_progress",
  "tool_use_summary",
  "stream_event/ping",
  "system/files_persisted",
  "system/hook_progress",
  "system/informational",
  "system/local_command_output",
  "system/memory_recall",
  "system/notification",
  "system/task_progress",

  "attachment",
  "last-prompt",
  "mode",
  "queue-operation"
])

/**
 * A line of a known kind that does not fit its schema, in its place among the events: whoever waits for such a line, a
 * `result` or an answer, must not wait for ever.
 */
export interface Misfit {
  readonly kind: "misfit"
  readonly of: EventKind
  /** The CLI waits for an answer to this id. */
  readonly requestId: string | undefined
  readonly reason: string
}

export type ClaudeEvent = { [Kind in EventKind]: EventOf<Kind> }[EventKind] | Misfit

/** A line that could not be used, and why. */
export interface BrokenLine {
  readonly of: EventKind | undefined
  readonly reason: string
  /** Its first 2 KiB. */
  readonly head: string
}

export interface Decoded {
  readonly events: ReadonlyArray<ClaudeEvent>
  /** The kinds of the lines that were passed over because no one here knows them. */
  readonly unknown: ReadonlyArray<string>
  /** How many lines were passed over on purpose. */
  readonly passedOver: number
  readonly broken: ReadonlyArray<BrokenLine>
}

/** How a kind is checked, and what is said of a line that does not fit. */
interface Check {
  readonly kind: EventKind
  readonly fits: (value: unknown) => boolean
  readonly explain: (value: unknown) => string
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()
/** Where and what was expected; never what was found. */
const explanation = (issue: SchemaIssue.Issue): string => {
  const { message, path = [] } = format(issue).issues[0] ?? { message: "does not fit" }
  return path.length === 0 ? message : `${path.map(String).join(".")}: ${message}`
}

const check = (kind: EventKind): Check => {
  const schema: Schema.Codec<unknown, unknown> = schemas[kind]
  // Compiled at its first use; where code may not be generated, the same schema is interpreted.
  SchemaJITCompiler.enable(schema.ast)
  const decode = Schema.decodeUnknownResult(schema)
  return {
    kind,
    fits: Schema.is(schema),
    explain: (value) => {
      const decoded = decode(value)
      return Result.isFailure(decoded) ? explanation(decoded.failure.issue) : "does not fit"
    }
  }
}

/** By type, and for types that say too little by subtype. Two look-ups are faster than one under a joined name. */
const checks = new Map<string, Check | Map<string, Check>>()
for (const kind of Object.keys(schemas) as ReadonlyArray<EventKind>) {
  const [type = kind, subtype] = kind.split("/")
  if (subtype === undefined) checks.set(type, check(kind))
  else {
    const family = checks.get(type)
    if (family instanceof Map) family.set(subtype, check(kind))
    else checks.set(type, new Map([[subtype, check(kind)]]))
  }
}

/** Of a broken line, in bytes. */
const KEPT_HEAD = 2048
/** So many of the last broken lines are kept. */
const KEPT_LINES = 20
/** So many names of unknown kinds are counted apart; the rest together. */
const KEPT_KINDS = 50
const KEPT_NAME = 64
const KEPT_REASON = 256
const NONE: ReadonlyArray<ClaudeEvent> = []

type Json = Record<string, unknown>
const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

/** Never by String(): an object may bring a toString of its own. */
const word = (value: unknown): string => (typeof value === "string" ? value : "")

/** What tells the members of a family apart. */
const subtypeOf = (type: string, value: Json): string =>
  type === "stream_event" ? (isObject(value["event"]) ? word(value["event"]["type"]) : "") : word(value["subtype"])

/** The line fits the schema of this kind. */
const named = (value: Json, kind: EventKind): ClaudeEvent => {
  value["kind"] = kind
  return value as unknown as ClaudeEvent
}

const requestIdOf = (kind: EventKind, value: Json): string | undefined =>
  kind === "control_request" && typeof value["request_id"] === "string" ? value["request_id"] : undefined

const encoder = new TextEncoder()
const decoder = new TextDecoder()
/** The first bytes, as a copy: a part of a string would keep the whole of it in memory. */
const headOf = (text: string, bytes = KEPT_HEAD): string =>
  decoder.decode(encoder.encode(text.slice(0, bytes)).subarray(0, bytes))

/** The beginning of a line that was too long: is it one that somebody waits for? The CLI writes the type first. */
const overlongMisfit = (head: string): ReadonlyArray<Misfit> => {
  const of = /^\s*\{"type":"(result|control_request|control_response)"/.exec(head)?.[1] as EventKind | undefined
  if (of === undefined) return []
  const requestId = of === "control_request" ? /"request_id":"([\w-]+)"/.exec(head)?.[1] : undefined
  return [{ kind: "misfit", of, requestId, reason: "longer than a line may be" }]
}

/** Decodes complete lines. Blank ones say nothing. */
export const decodeLines = (lines: ReadonlyArray<string>): Decoded => {
  const events: Array<ClaudeEvent> = []
  const unknown: Array<string> = []
  const broken: Array<BrokenLine> = []
  let skipped = 0
  for (const line of lines) {
    if (line === "") continue
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch {
      if (line.trim() !== "") broken.push({ of: undefined, reason: "not JSON", head: headOf(line) })
      continue
    }
    if (!isObject(value) || typeof value["type"] !== "string") {
      broken.push({ of: undefined, reason: "not an object with a type", head: headOf(line) })
      continue
    }
    const type = value["type"]
    const family = checks.get(type)
    const known = family instanceof Map ? family.get(subtypeOf(type, value)) : family
    if (known === undefined) {
      const kind = family === undefined ? type : `${type}/${subtypeOf(type, value)}`
      if (passedOver.has(kind)) skipped++
      else unknown.push(headOf(kind, KEPT_NAME))
    } else if (known.fits(value)) {
      events.push(named(value, known.kind))
    } else {
      const reason = headOf(known.explain(value), KEPT_REASON)
      broken.push({ of: known.kind, reason, head: headOf(line) })
      events.push({ kind: "misfit", of: known.kind, requestId: requestIdOf(known.kind, value), reason })
    }
  }
  return { events, unknown, passedOver: skipped, broken }
}

/** What a decoder could not use so far, for whoever looks into it. */
export interface Unreadable {
  /** Lines of kinds that no one here knows, by kind. */
  readonly kinds: Readonly<Record<string, number>>
  readonly unknown: number
  readonly broken: number
  readonly overlong: number
  /** Invalid UTF-8 sequences that were replaced. */
  readonly invalid: number
  /** The last broken lines, oldest first, and why. */
  readonly lines: ReadonlyArray<BrokenLine>
  /** The beginnings of the last broken and overlong lines. */
  readonly kept: ReadonlyArray<string>
}

export interface DecoderOptions extends LinesOptions {
  /** Hears every whole line before it is decoded. */
  readonly onLine?: ((line: string) => void) | undefined
}

/** Bytes in, events out. One for each child. */
export class ClaudeDecoder {
  readonly #lines: Lines
  readonly #onLine: DecoderOptions["onLine"]
  readonly #kinds = new Map<string, number>()
  readonly #broken: Array<BrokenLine> = []
  #unknown = 0
  #passedOver = 0
  #brokenCount = 0

  constructor(options: DecoderOptions = {}) {
    this.#lines = new Lines(options)
    this.#onLine = options.onLine
  }

  /** The events of the lines that this chunk completes. */
  push(chunk: Uint8Array): ReadonlyArray<ClaudeEvent> {
    const before = this.#lines.overlong
    const events = this.#decode(this.#lines.push(chunk))
    const dropped = this.#lines.overlong - before
    return dropped === 0 ? events : [...events, ...this.#lines.kept.slice(-dropped).flatMap(overlongMisfit)]
  }

  /** The event of a last line without a newline, when the output has ended. */
  end(): ReadonlyArray<ClaudeEvent> {
    return this.#decode(this.#lines.end())
  }

  /** Lines of kinds that carry nothing the runtime needs. */
  get passedOver(): number {
    return this.#passedOver
  }

  get unreadable(): Unreadable {
    return {
      kinds: Object.fromEntries(this.#kinds),
      unknown: this.#unknown,
      broken: this.#brokenCount,
      overlong: this.#lines.overlong,
      invalid: this.#lines.invalid,
      lines: [...this.#broken],
      kept: [...this.#broken.map(({ head }) => head), ...this.#lines.kept]
    }
  }

  #decode(lines: ReadonlyArray<string>): ReadonlyArray<ClaudeEvent> {
    if (lines.length === 0) return NONE
    if (this.#onLine !== undefined) for (const line of lines) this.#onLine(line)
    const decoded = decodeLines(lines)
    this.#passedOver += decoded.passedOver
    this.#unknown += decoded.unknown.length
    this.#brokenCount += decoded.broken.length
    for (const kind of decoded.unknown) {
      const name = this.#kinds.has(kind) || this.#kinds.size < KEPT_KINDS ? kind : "(others)"
      this.#kinds.set(name, (this.#kinds.get(name) ?? 0) + 1)
    }
    this.#broken.push(...decoded.broken.slice(-KEPT_LINES))
    this.#broken.splice(0, this.#broken.length - KEPT_LINES)
    return decoded.events
  }
}
