/**
 * Takes what arrives on subjects to whoever handles it, and answers those who asked.
 *
 * Promises:
 * - nothing that arrives, and no handler or middleware that fails, dies, interrupts itself or hangs, ends a subscription
 * - as many messages are handled at a time as the router may, over all its subscriptions; what is more waits with whoever
 *   moves the bytes, which has a bound of its own
 * - who asked gets an answer: that of the handler, Done where it says nothing, or a Refusal with the fault
 * - what cannot be handled is counted, and goes to a dead-letter subject with the reason and its bytes (DeadLetters.ts)
 *
 * Messages of one subscription are handled side by side, unless it is `ordered`. Which handler is tried again is Handler.ts. A
 * fault that who asked was told of is no dead letter.
 */
import {
  Cause,
  Clock,
  Context,
  type Duration,
  Effect,
  Exit,
  Fiber,
  Option,
  type Scope,
  Semaphore,
  Stream
} from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import { type Fault, report } from "../domain/Fault.ts"
import { inModule } from "../observability/Log.ts"
import * as DeadLetters from "./DeadLetters.ts"
import * as Envelope from "./Envelope.ts"
import { viewOf } from "./FaultView.ts"
import { attempt, defectOf, faultOf, type Handler, type Received } from "./Handler.ts"
import type { Message, MessageType } from "./Message.ts"
import {
  type DecodeError,
  HandlerFailed,
  type MessageExpired,
  MessageUnhandled,
  PeerFailed,
  ReplyUnexpected,
  type VerifyError
} from "./MessageError.ts"
import type { MessagePort, Packet } from "./MessagePort.ts"
import * as Middleware from "./Middleware.ts"
import * as Signing from "./Signing.ts"
import type { DeadReason, Subjects } from "./Subject.ts"

/** Messages handled at a time, unless it is set otherwise. */
export const CONCURRENCY = 64
export { type Handler, on, type Received } from "./Handler.ts"

/** What is said, and of its envelope what is not made up by the router. */
export type Draft<T extends MessageType = MessageType> = Message<T> &
  Partial<
    Pick<
      Envelope.Envelope,
      "id" | "target" | "correlationId" | "causationId" | "priority" | "ttlMillis" | "traceparent"
    >
  >

export interface Options {
  /** Who we are to others, such as `node:edge-1`. */
  readonly source: string
  readonly subjects: Subjects
  readonly handlers: ReadonlyArray<Handler>
  readonly middleware?: ReadonlyArray<Middleware.Middleware>
  /** Default CONCURRENCY. */
  readonly concurrency?: number
  /** Bytes. Default Envelope.MAX_MESSAGE. */
  readonly maxMessage?: number
  /** Default Envelope.CLOCK_SKEW. */
  readonly skewMillis?: number
  /** Signs what we say. */
  readonly signer?: Signing.Signer | undefined
  /** Checks what others say. `required`: what is not signed does not count. */
  readonly verify?: { readonly verifier: Signing.Verifier; readonly required: boolean } | undefined
}

/** Since the router was made. */
export interface Counts {
  readonly received: number
  readonly handled: number
  /** Answered with a Refusal. */
  readonly refused: number
  /** Answers that could not be sent. */
  readonly unanswered: number
  readonly dead: Readonly<Record<DeadReason, number>>
  /** Dead letters that could not be published. */
  readonly deadLost: number
  /** `after` of a middleware that died or took too long. */
  readonly afterFailed: number
}

export interface RouterShape {
  publish(subject: string, draft: Draft): Effect.Effect<void, Fault>
  /** The answer, of the type that is expected. Fails with PeerFailed where the peer could not. */
  request<T extends MessageType>(
    subject: string,
    draft: Draft,
    options: { readonly answer: T; readonly deadline: Duration.Input }
  ): Effect.Effect<Envelope.Envelope<T>, Fault>
  /**
   * Live once the Effect completes; ends with the Scope. `ordered`: one message at a time, in the order they came, as
   * commands to one agent need it. The Effect in it completes when whoever moves the bytes has ended the subscription and
   * all is handled, or fails with the reason.
   */
  listen(
    subject: string,
    options?: { readonly queue?: string; readonly ordered?: boolean }
  ): Effect.Effect<{ readonly ended: Effect.Effect<void, Fault> }, Fault, Scope.Scope>
  readonly counts: Effect.Effect<Counts>
}

export class MessageRouter extends Context.Service<MessageRouter, RouterShape>()(
  "mister-smith/message/MessageRouter"
) {}

/** Why a message is not taken, as dead letters tell them apart. */
const reasonOf = (fault: DecodeError | VerifyError | MessageExpired | MessageUnhandled): DeadReason => {
  switch (fault._tag) {
    case "MessageTooLarge":
    case "MessageUnreadable":
      return "unreadable"
    case "MessageVersionUnknown":
    case "MessageTypeUnknown":
    case "MessageUnhandled":
      return "unknown"
    case "MessageExpired":
      return "expired"
    case "MessageReplayed":
      return "replayed"
    case "SignatureInvalid":
    case "SignatureMissing":
      return "unsigned"
  }
}

/** JetStream expects its own words at such subjects. */
const isAck = (reply: string) => reply.startsWith("$JS.")

export const make = Effect.fn("MessageRouter.make")(function* (
  port: MessagePort,
  options: Options
): Effect.fn.Return<RouterShape, never, SecureRandom> {
  const random = yield* SecureRandom
  const { signer, skewMillis = Envelope.CLOCK_SKEW, verify } = options
  const limit = options.maxMessage ?? Envelope.MAX_MESSAGE
  const concurrency = options.concurrency ?? CONCURRENCY
  const middleware = options.middleware ?? []
  const permits = yield* Semaphore.make(concurrency)
  const handlers = new Map<string, Handler>(options.handlers.map((handler) => [handler.type, handler]))
  const counts = { received: 0, handled: 0, refused: 0, unanswered: 0, afterFailed: 0 }

  const seal = Effect.fnUntraced(function* (draft: Draft) {
    const span = yield* Effect.option(Effect.currentSpan)
    return {
      ...draft,
      version: Envelope.VERSION,
      id: draft.id ?? (yield* random.uuidV7()),
      source: options.source,
      sentAt: yield* Clock.currentTimeMillis,
      ...(draft.traceparent === undefined && Option.isSome(span)
        ? { traceparent: Envelope.traceparentOf(span.value) }
        : {})
    } as Envelope.Envelope
  })

  /** `place`: the subject, or what stands for it in an answer. */
  const headersFor = (place: string, data: Uint8Array) =>
    signer === undefined
      ? Effect.succeed({})
      : Effect.map(signer.sign(place, data), (header) => ({ headers: { [Signing.HEADER]: header } }))

  const publish = Effect.fnUntraced(function* (subject: string, draft: Draft, most = limit) {
    const data = yield* Envelope.encode(yield* seal(draft), most)
    yield* port.publish(subject, data, yield* headersFor(subject, data))
  })

  // The bound for what is read must not cut off what tells why something was not.
  const dead = DeadLetters.make(options.subjects, (subject, message) => publish(subject, message, Envelope.MAX_MESSAGE))

  const believe = (place: string, packet: Packet): Effect.Effect<string | undefined, VerifyError> => {
    const header = packet.headers[Signing.HEADER]
    return verify === undefined || (header === undefined && !verify.required)
      ? Effect.succeed(undefined)
      : verify.verifier.verify(place, packet.data, header)
  }

  const answer = (
    packet: Packet,
    question: {
      readonly id?: string | undefined
      readonly correlationId?: string | undefined
      readonly source?: string | undefined
    },
    message: Message,
    believed = true
  ) =>
    Effect.gen(function* () {
      const { correlationId = question.id, id, source } = question
      const envelope = yield* seal({
        ...message,
        ...(correlationId === undefined ? {} : { correlationId }),
        ...(id === undefined ? {} : { causationId: id }),
        ...(source === undefined ? {} : { target: source })
      })
      const data = yield* Envelope.encode(envelope, limit)
      // Whoever is not believed could have our signature on an answer to someone else's question.
      yield* packet.respond(data, believed ? yield* headersFor(answerTo(id), data) : {})
      if (message.type === "Refusal") counts.refused++
    })

  /** An answer that cannot be sent, such as one that is too large, is answered with why; where that fails it is counted. */
  const respond = (packet: Packet, question: Parameters<typeof answer>[1], message: Message, believed = true) =>
    packet.reply === undefined || isAck(packet.reply)
      ? Effect.void
      : answer(packet, question, message, believed).pipe(
          Effect.catch((fault) => answer(packet, question, refusal(fault), believed)),
          Effect.catchCause((cause) => {
            counts.unanswered++
            return Effect.logWarning("a request could not be answered", cause)
          })
        )

  const handle = Effect.fnUntraced(function* (packet: Packet, received: Received, handler: Handler) {
    const { envelope, receivedAt } = received
    const outcome = yield* Middleware.around(
      middleware,
      received,
      attempt(handler, received, skewMillis),
      (name, cause) => {
        counts.afterFailed++
        return Effect.logWarning(`after of the middleware "${name}" failed`, cause)
      }
    ).pipe(Effect.exit)
    if (Exit.isSuccess(outcome)) {
      counts.handled++
      return yield* respond(packet, envelope, outcome.value ?? { type: "Done", body: {} })
    }
    const fault = faultOf(outcome.cause)
    yield* respond(packet, envelope, refusal(fault ?? defectOf(envelope.type, outcome.cause)))
    if (fault?._tag === "MessageExpired") return yield* dead.bury(packet, receivedAt, "expired", fault)
    // Who asked has the fault, and decides what follows.
    if (received.asked && fault !== undefined && fault._tag !== "HandlerTimedOut") return
    const failed =
      fault === undefined
        ? defectOf(envelope.type, outcome.cause)
        : new HandlerFailed({ type: envelope.type, fault: viewOf(report(fault)) })
    yield* Effect.logWarning(failed.message, outcome.cause)
    yield* dead.bury(packet, receivedAt, "failed", failed)
  })

  const take = Effect.fnUntraced(function* (packet: Packet) {
    counts.received++
    const receivedAt = yield* Clock.currentTimeMillis
    let believed = verify === undefined
    const read = yield* Effect.gen(function* () {
      const tooLarge = Envelope.tooLarge(packet.data, limit)
      if (tooLarge !== undefined) return yield* tooLarge
      // Before it is parsed: what is not believed need not be understood.
      const signedBy = yield* believe(packet.subject, packet)
      believed = true
      const envelope = yield* Envelope.decode(packet.data, limit)
      const handler = handlers.get(envelope.type)
      if (handler === undefined) return yield* new MessageUnhandled({ type: envelope.type, subject: packet.subject })
      const asked = packet.reply !== undefined && !isAck(packet.reply)
      return { handler, received: { envelope, subject: packet.subject, signedBy, receivedAt, asked } }
    }).pipe(Effect.exit)
    if (Exit.isFailure(read)) {
      const fault = Option.getOrUndefined(Cause.findErrorOption(read.cause))
      if (fault === undefined) return yield* read
      yield* respond(packet, Envelope.peek(packet.data, limit), refusal(fault), believed)
      return yield* dead.bury(packet, receivedAt, reasonOf(fault), fault)
    }
    const { handler, received } = read.value
    const parent = Envelope.parentOf(received.envelope)
    yield* handle(packet, received, handler).pipe(
      Effect.withSpan(`message.${handler.type}`, parent === undefined ? {} : { parent })
    )
  })

  const listen: RouterShape["listen"] = Effect.fn("MessageRouter.listen")(function* (subject, how = {}) {
    const packets = yield* port.subscribe(subject, how.queue === undefined ? {} : { queue: how.queue })
    const fiber = yield* packets.pipe(
      Stream.mapEffect(
        (packet) =>
          permits.withPermit(take(packet)).pipe(
            // Nothing should come here; if it does it is one message, not the subscription.
            Effect.catchCause((cause) => Effect.logError("a message could not be handled", cause))
          ),
        { concurrency: how.ordered === true ? 1 : concurrency, unordered: true }
      ),
      Stream.runDrain,
      inModule("message"),
      Effect.forkScoped
    )
    return { ended: Fiber.join(fiber) }
  })

  return {
    listen,
    publish: Effect.fn("MessageRouter.publish")(function* (subject, draft) {
      yield* publish(subject, draft)
    }),
    request: Effect.fn("MessageRouter.request")(function* <T extends MessageType>(
      subject: string,
      draft: Draft,
      { answer: type, deadline }: { readonly answer: T; readonly deadline: Duration.Input }
    ): Effect.fn.Return<Envelope.Envelope<T>, Fault> {
      const question = yield* seal(draft)
      const data = yield* Envelope.encode(question, limit)
      const packet = yield* port.request(subject, data, { deadline, ...(yield* headersFor(subject, data)) })
      const tooLarge = Envelope.tooLarge(packet.data, limit)
      if (tooLarge !== undefined) return yield* tooLarge
      yield* believe(answerTo(question.id), packet)
      const reply = yield* Envelope.decode(packet.data, limit)
      if (reply.type === "Refusal") return yield* new PeerFailed({ subject, fault: reply.body.fault })
      const unexpected = (problem: string) => new ReplyUnexpected({ subject, problem })
      if (reply.causationId !== question.id) return yield* unexpected("it answers another one")
      if (reply.type !== type) return yield* unexpected(`it is a ${reply.type}, not a ${type}`)
      return reply as Envelope.Envelope<T>
    }),
    counts: Effect.sync(() => ({ ...counts, dead: dead.counts(), deadLost: dead.lost() }))
  }
})

/** What an answer to this question is signed for. */
const answerTo = (id: string | undefined) => `${Signing.ANSWER} ${id ?? ""}`

const refusal = (fault: Fault): Message<"Refusal"> => ({ type: "Refusal", body: { fault: viewOf(report(fault)) } })
