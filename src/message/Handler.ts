/**
 * Who handles the messages of a type: what it is given, how often and for how long it may try, and what its failure is to
 * others. One that fails is tried again as often as it says, where its fault's recovery is `retry`, or where it died or took
 * too long; every other fault counts at once.
 */
import { Cause, Clock, Duration, Effect, Exit, Option } from "effect"
import { type Fault, isFault } from "../domain/Fault.ts"
import { redact } from "../domain/Redaction.ts"
import * as Envelope from "./Envelope.ts"
import { MAX_FAULT } from "./FaultView.ts"
import type { Message, MessageType } from "./Message.ts"
import { HandlerFailed, HandlerTimedOut } from "./MessageError.ts"
import type * as Middleware from "./Middleware.ts"

/** How long a handler may take at each try, unless it says otherwise. */
export const HANDLER_TIME = Duration.minutes(1)
/** The pause before a handler's second try; it doubles with each. */
export const RETRY_PAUSE = Duration.millis(100)
/** The most tries of a handler. */
export const MAX_TRIES = 10

/** A message that arrived and may be believed. */
export interface Received<T extends MessageType = MessageType> {
  readonly envelope: Envelope.Envelope<T>
  readonly subject: string
  /** The public key that it was signed by. */
  readonly signedBy: string | undefined
  /** Milliseconds since the epoch, by our clock. */
  readonly receivedAt: number
  /** Whether someone waits for an answer. */
  readonly asked: boolean
}

export interface Handler {
  readonly type: MessageType
  /** Default 1: what is not known to be safe to do twice is not done twice. */
  readonly tries?: number
  /** Of each try. Default HANDLER_TIME. */
  readonly timeLimit?: Duration.Input
  handle(received: Received): Effect.Effect<Middleware.Answer, Fault>
}

/** Whoever handles the messages of a type. */
export const on = <T extends MessageType>(
  type: T,
  // biome-ignore lint/suspicious/noConfusingVoidType: one that says nothing is an Effect<void>
  handle: (received: Received<T>) => Effect.Effect<Message | void, Fault>,
  options: { readonly tries?: number; readonly timeLimit?: Duration.Input } = {}
): Handler => ({
  ...options,
  type,
  // The router looks the handler up by the type of the message.
  handle: (received) => Effect.map(handle(received as Received<T>), (answer) => answer ?? undefined)
})

/** What it answers, after as many tries as it may have; a message that has expired is not tried. `skewMillis` is what clocks may differ. */
export const attempt = (handler: Handler, received: Received, skewMillis: number) => {
  const tries = Math.min(Math.max(1, handler.tries ?? 1), MAX_TRIES)
  const millis = Duration.toMillis(handler.timeLimit ?? HANDLER_TIME)
  const once = Effect.suspend(() => handler.handle(received)).pipe(
    Effect.timeoutOrElse({
      duration: millis,
      orElse: () => Effect.fail(new HandlerTimedOut({ type: handler.type, millis }))
    })
  )
  const from = (nth: number): Effect.Effect<Middleware.Answer, Fault> =>
    Effect.gen(function* () {
      const late = Envelope.expired(received.envelope, {
        receivedAt: received.receivedAt,
        now: yield* Clock.currentTimeMillis,
        skew: skewMillis
      })
      if (late !== undefined) return yield* late
      const exit = yield* Effect.exit(once)
      if (Exit.isSuccess(exit) || nth >= tries || !mayTryAgain(exit.cause)) return yield* exit
      yield* Effect.sleep(Duration.toMillis(RETRY_PAUSE) * 2 ** (nth - 1))
      return yield* from(nth + 1)
    })
  return from(1)
}

/** The typed failure of a handler; undefined where it died or interrupted itself. */
export const faultOf = (cause: Cause.Cause<Fault>): Fault | undefined => {
  const fault = Option.getOrUndefined(Cause.findErrorOption(cause))
  return isFault(fault) ? fault : undefined
}

const mayTryAgain = (cause: Cause.Cause<Fault>): boolean => {
  const fault = faultOf(cause)
  if (fault?._tag === "MessageExpired") return false
  return fault === undefined || fault._tag === "HandlerTimedOut" || fault.recovery === "retry"
}

/** What others are told of a death: not the stack. */
export const defectOf = (type: string, cause: Cause.Cause<unknown>) =>
  new HandlerFailed({
    type,
    fault: {
      kind: "Defect",
      message: redact(deathOf(cause)).slice(0, MAX_FAULT),
      severity: "high",
      recovery: "ignore"
    }
  })

const deathOf = (cause: Cause.Cause<unknown>): string => {
  if (Cause.hasInterruptsOnly(cause)) return "it interrupted itself"
  const defect = Cause.squash(cause)
  return defect instanceof Error ? defect.message : "it died"
}
