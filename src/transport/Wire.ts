/**
 * What a home of the Transport brings along: one link that carries messages. Checks, queues, requests and deadlines are
 * not its business: `Wired` does them, the same for every home. A wire is given checked subjects and headers only, and
 * calls back at any time, from wherever its bytes arrive.
 */
import type { Effect } from "effect"
import type { Headers } from "./Headers.ts"
import type { LinkRefused, PayloadTooLarge, PendingFull, PermissionDenied, TransportClosed } from "./TransportError.ts"
import type { Lane, LinkSnapshot, TransportStatus } from "./TransportStatus.ts"

/** A message as it arrived. Headers are read when they are looked at. */
export interface Arrived {
  readonly subject: string
  readonly reply: string | undefined
  readonly data: Uint8Array
  readonly headers: Headers
  /** It is not an answer: the server says that nobody listens. */
  readonly nobody: boolean
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
  status(status: TransportStatus): void
  /** A message that was published was not allowed. */
  publishDenied(fault: PermissionDenied): void
}

/** Makes the wires of a home. They end with the Scope. */
export type Wires<E, R> = (events: (lane: Lane) => WireEvents) => Effect.Effect<Readonly<Record<Lane, Wire>>, E, R>
