/**
 * What is done around the handling of every message: counted, logged, checked. They lie around the handler as the layers of
 * an onion do.
 *
 * Order: `before` of the first, …, `before` of the last, the handler with all its tries, `after` of the last, …, `after` of
 * the first. Once for each message.
 *
 * Errors: a `before` that fails, dies or takes too long is the outcome, as if the handler had failed with it at its only
 * try; what lies within it is not begun, and `after` runs for those only whose `before` had succeeded. `after` is told the
 * outcome, also when the handler is interrupted, and changes nothing about it: one that dies or takes too long is counted.
 */
import { type Cause, Duration, Effect, type Exit } from "effect"
import type { Fault } from "../domain/Fault.ts"
import type { Received } from "./Handler.ts"
import type { Message } from "./Message.ts"
import { HandlerTimedOut } from "./MessageError.ts"

/** How long `before` and `after` may take, each. */
export const MIDDLEWARE_TIME = Duration.seconds(5)

/** What a handler answers, if anything. */
export type Answer = Message | undefined

export interface Middleware {
  readonly name: string
  before?(received: Received): Effect.Effect<void, Fault>
  after?(received: Received, outcome: Exit.Exit<Answer, Fault>): Effect.Effect<void>
}

/** The handler with all of them around it. */
export const around = (
  middleware: ReadonlyArray<Middleware>,
  received: Received,
  handler: Effect.Effect<Answer, Fault>,
  afterFailed: (name: string, cause: Cause.Cause<unknown>) => Effect.Effect<void>
): Effect.Effect<Answer, Fault> =>
  middleware.reduceRight<Effect.Effect<Answer, Fault>>(
    (inner, each) =>
      Effect.andThen(
        before(each, received),
        Effect.onExit(inner, (outcome) =>
          Effect.suspend(() => each.after?.(received, outcome) ?? Effect.void).pipe(
            Effect.timeout(MIDDLEWARE_TIME),
            Effect.catchCause((cause) => afterFailed(each.name, cause))
          )
        )
      ),
    handler
  )

const before = (each: Middleware, received: Received): Effect.Effect<void, Fault> =>
  Effect.suspend(() => each.before?.(received) ?? Effect.void).pipe(
    Effect.timeoutOrElse({
      duration: MIDDLEWARE_TIME,
      orElse: () =>
        Effect.fail(new HandlerTimedOut({ type: received.envelope.type, millis: Duration.toMillis(MIDDLEWARE_TIME) }))
    })
  )
