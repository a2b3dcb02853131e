/**
 * Questions and their answers on one wire: one inbox for all of them, in which each answer finds the one who asked by its
 * last word. An interrupted question is forgotten at once. Late and unasked-for answers are passed over.
 */
import { Deferred, Duration, Effect, Random } from "effect"
import * as CircuitBreaker from "../resource/CircuitBreaker.ts"
import type { Headers } from "./Headers.ts"
import {
  NoResponders,
  PendingFull,
  type PermissionDenied,
  type RequestError,
  RequestTimeout,
  ServerLost
} from "./TransportError.ts"
import type { Arrived, Listening, Wire } from "./Wire.ts"

/** Questions that wait for an answer on one lane. */
export const MAX_WAITING = 65_536
/** Subjects whose failures are remembered; of more, the ones asked longest ago are forgotten. */
export const MAX_CIRCUITS = 1024
/** How long a subject that keeps failing is left alone. */
export const OPEN_FOR = Duration.seconds(5)

interface Asked {
  readonly subject: string
  readonly answer: Deferred.Deferred<Arrived, RequestError>
}

export interface Requests {
  ask(
    subject: string,
    data: Uint8Array,
    headers: Headers,
    deadline: Duration.Duration
  ): Effect.Effect<Arrived, RequestError>
  /** The server did not let a message through, which may have been a question. */
  publishDenied(fault: PermissionDenied): void
}

/** Whether it speaks against whoever is asked. That nobody listens is known at once, and costs nothing to ask again. */
const isFailure = (error: unknown): boolean => error instanceof RequestTimeout || error instanceof ServerLost

export const make = Effect.fnUntraced(function* (wire: Wire): Effect.fn.Return<Requests> {
  const random = yield* Random.Random
  const word = () => Math.floor(random.nextDoubleUnsafe() * 36 ** 10).toString(36)
  const inbox = `${wire.inboxPrefix}.${word()}${word()}`
  const waiting = new Map<string, Asked>()
  const circuits = new Map<string, CircuitBreaker.CircuitBreaker>()
  let asked = 0
  let listening: Listening | undefined

  const listen = () => {
    if (listening !== undefined) return
    listening = wire.listen(`${inbox}.*`, undefined, {
      message: (arrived) => {
        const one = waiting.get(arrived.subject.slice(inbox.length + 1))
        if (one === undefined) return
        Deferred.doneUnsafe(
          one.answer,
          arrived.nobody ? Effect.fail(new NoResponders({ subject: one.subject })) : Effect.succeed(arrived)
        )
      },
      failed: (fault) => {
        // Asked for anew with the next question: it may be allowed by then.
        listening = undefined
        for (const { answer } of waiting.values()) Deferred.doneUnsafe(answer, Effect.fail(fault))
      }
    })
  }

  const send = (subject: string, data: Uint8Array, headers: Headers): Effect.Effect<Arrived, RequestError> =>
    Effect.suspend(() => {
      if (waiting.size >= MAX_WAITING) return Effect.fail(new PendingFull({ lane: wire.lane, limit: MAX_WAITING }))
      listen()
      const token = (++asked).toString(36)
      const answer = Deferred.makeUnsafe<Arrived, RequestError>()
      waiting.set(token, { subject, answer })
      const sent: Effect.Effect<void, RequestError> = Effect.suspend(() =>
        wire.publish(subject, data, headers, `${inbox}.${token}`)
      )
      return Effect.onExitPrimitive(Effect.andThen(sent, Deferred.await(answer)), () => {
        waiting.delete(token)
        return undefined
      })
    })

  const attempt = (subject: string, data: Uint8Array, headers: Headers, deadline: Duration.Duration) =>
    Effect.suspend(() => {
      const breaks = wire.breaks()
      const sent = send(subject, data, headers)
      return Effect.timeoutOrElse(wire.isUp() ? sent : Effect.andThen(wire.up, sent), {
        duration: deadline,
        orElse: () =>
          Effect.suspend(() =>
            Effect.fail(
              !wire.isUp() || wire.breaks() !== breaks
                ? new ServerLost({ lane: wire.lane, ...wire.down() })
                : new RequestTimeout({ subject, millis: Duration.toMillis(deadline) })
            )
          )
      })
    })

  const circuitOf = (subject: string) => {
    const known = circuits.get(subject)
    if (known === undefined)
      return Effect.map(
        CircuitBreaker.make({ name: `requests to ${subject}`, openFor: OPEN_FOR, isFailure }),
        (circuit) => {
          const [oldest] = circuits.keys()
          if (circuits.size >= MAX_CIRCUITS && oldest !== undefined) circuits.delete(oldest)
          circuits.set(subject, circuit)
          return circuit
        }
      )
    // The latest asked stands last.
    circuits.delete(subject)
    circuits.set(subject, known)
    return Effect.succeed(known)
  }

  return {
    ask: (subject, data, headers, deadline) =>
      Effect.flatMap(circuitOf(subject), (circuit) => circuit.run(attempt(subject, data, headers, deadline))),
    publishDenied: (fault) => {
      for (const { answer, subject } of waiting.values()) {
        if (subject !== fault.subject) continue
        // One denial for each message: the first that was sent.
        if (Deferred.isDoneUnsafe(answer)) continue
        Deferred.doneUnsafe(answer, Effect.fail(fault))
        return
      }
    }
  }
})
