/**
 * What a home of the Transport brings along: one link that carries messages. Checks, queues, requests and deadlines are
 * not its business: `Wired` does them, the same for every home. A wire is given checked subjects and headers only, and
 * calls back at any time, from wherever its bytes arrive.
 */
import { Effect } from "effect"
import type { Headers } from "./Headers.ts"
import type { Packet } from "./Transport.ts"
import {
  type LinkRefused,
  MessageInvalid,
  type PayloadTooLarge,
  type PendingFull,
  type PermissionDenied,
  type PublishError,
  type TransportClosed
} from "./TransportError.ts"
import type { Lane, LinkSnapshot, TransportStatus } from "./TransportStatus.ts"

/** How an answer goes back on the way that the question came. */
export type Answer = (
  reply: string,
  data: Uint8Array,
  headers: Headers | undefined
) => Effect.Effect<void, PublishError>

/** A message as it arrived. Headers are read when they are looked at. A class, because there may be very many of them. */
export abstract class Arrived implements Packet {
  private readonly answering: Answer
  constructor(answer: Answer) {
    this.answering = answer
  }
  abstract get subject(): string
  abstract get reply(): string | undefined
  abstract get data(): Uint8Array
  abstract get headers(): Headers
  /** It is not an answer: the server says that nobody listens. */
  abstract get nobody(): boolean
  respond(data: Uint8Array, options?: { readonly headers?: Headers }): Effect.Effect<void, PublishError> {
    const { reply } = this
    return reply === undefined
      ? Effect.fail(new MessageInvalid({ problem: `nobody waits for an answer to this one to "${this.subject}"` }))
      : this.answering(reply, data, options?.headers)
  }
}

export interface Listener {
  message(arrived: Arrived): void
  /** It will get no more. */
  failed(fault: PermissionDenied): void
}

export interface Listening {
  stop(): void
  /** The server sends no more; completes when what it had sent before has arrived, or the link breaks. */
  readonly drain: Effect.Effect<void>
}

export interface Wire {
  readonly lane: Lane
  /** For answers to requests. */
  readonly inboxPrefix: string
  /** Is called when it is to be done, and has been done where the Effect is `Effect.void`: there may be very many of them. */
  publish(
    subject: string,
    data: Uint8Array,
    headers: Headers,
    reply: string | undefined
  ): Effect.Effect<void, PayloadTooLarge | PendingFull | TransportClosed>
  /** From now on, or from when the link is up. */
  listen(subject: string, queue: string | undefined, listener: Listener): Listening
  readonly isUp: () => boolean
  /** Completes when the link is up. */
  readonly up: Effect.Effect<void, TransportClosed>
  /** A round trip to the server: all that was sent before it has been dealt with. Gives up when the link breaks. */
  readonly roundTrip: Effect.Effect<void>
  /** Times that the link has broken. */
  readonly breaks: () => number
  /** Why it is down, and where to. */
  readonly down: () => { readonly server: string; readonly reason: string }
  readonly ready: Effect.Effect<void, LinkRefused | TransportClosed>
  readonly reload: Effect.Effect<void>
  /** Without `dropped`, which a wire knows nothing of. */
  readonly snapshot: () => Omit<LinkSnapshot, "dropped">
}

/** What a wire tells of. */
export interface WireEvents {
  readonly answer: Answer
  status(status: TransportStatus): void
  /** A message that was published was not allowed. */
  publishDenied(fault: PermissionDenied): void
}

/** Makes the wires of a home. They end with the Scope. */
export type Wires<E, R> = (events: (lane: Lane) => WireEvents) => Effect.Effect<Readonly<Record<Lane, Wire>>, E, R>
