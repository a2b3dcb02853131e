/**
 * What is around every message: who says it to whom, in answer to what, and how long it matters. JSON in UTF-8.
 *
 * Promises:
 * - the size is looked at before anything is parsed, and no bytes whatever throw
 * - within a version only keys that may be left out are added: a reader passes over the keys that it does not know, and the
 *   bytes are kept as they came. What an older reader would misread is a new version, which it refuses
 * - only `version`, `id`, `type` and `body` are needed, so that any client can write one by hand
 *
 * A signature is beside it, in a header (Signing.ts): it covers the very bytes.
 */
import { Effect, Option, Schema, SchemaIssue, Tracer } from "effect"
import { redact } from "../domain/Redaction.ts"
import { wholeNumber } from "../domain/Setting.ts"
import { bounded, Name, Time } from "./Fields.ts"
import { bodies, isMessageType, type Message, type MessageType } from "./Message.ts"
import {
  type DecodeError,
  MessageExpired,
  MessageTooLarge,
  MessageTypeUnknown,
  MessageUnreadable,
  MessageVersionUnknown
} from "./MessageError.ts"

/** The version that is written, and the newest that is read. */
export const VERSION = 1
/** Bytes, unless it is set otherwise: what any NATS server takes, with room for headers. */
export const MAX_MESSAGE = 1024 * 1024 - 16 * 1024
/** How far apart the clocks of two machines may be, unless it is set otherwise, in milliseconds. */
export const CLOCK_SKEW = 30_000
/** The longest time to live, in milliseconds: 30 days. */
export const MAX_TTL = 30 * 24 * 3_600_000
/** Characters of what is wrong with a message. */
const MAX_PROBLEM = 1000

const fields = {
  version: Schema.Literal(VERSION).annotateKey({ description: "Of this shape" }),
  id: Name.annotateKey({ description: "Of this message, and of no other" }),
  source: Schema.optionalKey(Name).annotateKey({
    description: "Who says it, such as node:edge-1. Not proven unless signed"
  }),
  target: Schema.optionalKey(Name).annotateKey({ description: "Whom it is for, such as agent:reviewer-1" }),
  correlationId: Schema.optionalKey(Name).annotateKey({ description: "The same for all that belongs together" }),
  causationId: Schema.optionalKey(Name).annotateKey({
    description: "The id of the message that this one answers or follows"
  }),
  priority: Schema.optionalKey(wholeNumber(-10, 10)).annotateKey({
    description: "What is higher matters more. Default 0"
  }),
  sentAt: Schema.optionalKey(Time).annotateKey({ description: "Milliseconds since the epoch, by the sender's clock" }),
  ttlMillis: Schema.optionalKey(wholeNumber(1, MAX_TTL)).annotateKey({
    description: "How long it matters. Default: always"
  }),
  traceparent: Schema.optionalKey(bounded(200)).annotateKey({
    description: "The trace that it belongs to, as W3C Trace Context has it; one that is malformed is passed over"
  })
} as const

const Head = Schema.Struct({ ...fields, type: Schema.String, body: Schema.Unknown })

/** A message of a type in its envelope, as a schema. */
export const of = <T extends MessageType>(type: T) =>
  Schema.Struct({ ...fields, type: Schema.Literal(type), body: bodies[type] })

/** What is around a message. */
export type Envelope<T extends MessageType = MessageType> = Omit<typeof Head.Type, "type" | "body"> & Message<T>

/** Told apart before the rest, because what is newer may have another shape. */
const Version = Schema.Struct({ version: Schema.Int, type: Schema.String })

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const text = new TextEncoder()
const format = SchemaIssue.makeFormatterStandardSchemaV1()
type Codec = Schema.Codec<unknown>
const perType = <A>(build: (schema: Codec) => A): ReadonlyMap<string, A> =>
  new Map(Object.entries(bodies).map(([type, schema]) => [type, build(schema as unknown as Codec)]))

const decodeVersion = Schema.decodeUnknownEffect(Version)
const decodeHead = Schema.decodeUnknownEffect(Head)
const decodeBody = perType((schema) => Schema.decodeUnknownEffect(schema))
const encodeHead = Schema.encodeUnknownEffect(Head)
const encodeBody = perType((schema) => Schema.encodeUnknownEffect(schema))

const unreadable = (problem: string) => new MessageUnreadable({ problem: redact(problem).slice(0, MAX_PROBLEM) })

const misshapen = (within: string) => (error: Schema.SchemaError) =>
  unreadable(
    format(error.issue)
      .issues.map(
        ({ message, path }) =>
          `${[...(within === "" ? [] : [within]), ...(path ?? []).map(String)].join(".")}: ${message}`
      )
      .join("; ")
  )

/** Why JSON.parse or a schema threw, which neither does but for what is nested too deep for the stack. */
const thrown = (cause: unknown) => unreadable(cause instanceof Error ? cause.message : String(cause))

export const tooLarge = (bytes: Uint8Array, limit: number): MessageTooLarge | undefined =>
  bytes.length > limit ? new MessageTooLarge({ size: bytes.length, limit }) : undefined

/** What these bytes say. Any bytes may come. */
export const decode = (bytes: Uint8Array, limit = MAX_MESSAGE): Effect.Effect<Envelope, DecodeError> =>
  Effect.gen(function* () {
    const large = tooLarge(bytes, limit)
    if (large !== undefined) return yield* large
    const json = yield* Effect.try({ try: () => JSON.parse(utf8.decode(bytes)) as unknown, catch: thrown })
    const { type, version } = yield* Effect.mapError(decodeVersion(json), misshapen(""))
    if (version > VERSION) return yield* new MessageVersionUnknown({ version, known: VERSION })
    const decoder = decodeBody.get(type)
    if (decoder === undefined || !isMessageType(type))
      return yield* new MessageTypeUnknown({ type: type.slice(0, 200) })
    const head = yield* Effect.mapError(decodeHead(json), misshapen(""))
    const body = yield* Effect.mapError(decoder(head.body), misshapen("body"))
    return { ...head, type, body } as Envelope
  }).pipe(Effect.catchDefect((defect) => Effect.fail(thrown(defect))))

/** The bytes of a message. Fails where it is not such as `decode` would read. */
export const encode = (
  envelope: Envelope,
  limit = MAX_MESSAGE
): Effect.Effect<Uint8Array, MessageTooLarge | MessageUnreadable> =>
  Effect.gen(function* () {
    const encoder = encodeBody.get(envelope.type)
    if (encoder === undefined) return yield* unreadable(`there is no message of type ${envelope.type}`)
    const body = yield* Effect.mapError(encoder(envelope.body), misshapen("body"))
    const head = yield* Effect.mapError(encodeHead({ ...envelope, body }), misshapen(""))
    const json = yield* Effect.try({ try: () => JSON.stringify(head), catch: thrown })
    const bytes = text.encode(json)
    return yield* tooLarge(bytes, limit) ?? Effect.succeed(bytes)
  }).pipe(Effect.catchDefect((defect) => Effect.fail(thrown(defect))))

const readPeek = Schema.decodeUnknownOption(
  Schema.Struct({ id: Name, correlationId: fields.correlationId, source: fields.source })
)

/** Of a message that cannot be read, what an answer to it needs, as far as that can be told. */
export const peek = (
  bytes: Uint8Array,
  limit = MAX_MESSAGE
): Partial<Pick<Envelope, "id" | "correlationId" | "source">> => {
  if (tooLarge(bytes, limit) !== undefined) return {}
  try {
    return Option.getOrElse(readPeek(JSON.parse(utf8.decode(bytes))), () => ({}))
  } catch {
    return {}
  }
}

/**
 * Whether it is too late for it. Judged twice, because clocks differ: by when it was sent, with `skew` allowed to the
 * clocks of both; and by how long it has waited here since it was received, by one clock alone. One that says no `sentAt`
 * is judged by the second only; one from a clock that is ahead of ours counts as sent now.
 */
export const expired = (
  envelope: Pick<Envelope, "sentAt" | "ttlMillis">,
  times: { readonly receivedAt: number; readonly now: number; readonly skew?: number }
): MessageExpired | undefined => {
  const { sentAt, ttlMillis } = envelope
  if (ttlMillis === undefined) return undefined
  const age = sentAt === undefined ? 0 : times.receivedAt - sentAt
  if (age > ttlMillis + (times.skew ?? CLOCK_SKEW))
    return new MessageExpired({ ttlMillis, ageMillis: age, since: "sent" })
  const waited = times.now - times.receivedAt
  return waited > ttlMillis ? new MessageExpired({ ttlMillis, ageMillis: waited, since: "received" }) : undefined
}

/** Version, trace, parent and flags; no field is all zeros, no version ff. A later version may say more behind them. */
const TRACE = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** The span that a message was sent in; undefined where it says none, or none that can be read. */
export const parentOf = ({ traceparent }: Pick<Envelope, "traceparent">): Tracer.ExternalSpan | undefined => {
  const [, version, traceId, spanId, flags, more] = TRACE.exec(traceparent ?? "") ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  if (version === "00" && more !== undefined) return undefined
  return Tracer.externalSpan({ traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 })
}

/** How a span is said in a message. */
export const traceparentOf = ({ sampled, spanId, traceId }: Tracer.AnySpan): string =>
  `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`
