/**
 * Moves bytes between a subject and whoever listens to it. Knows nothing of agents or tasks, and nothing of what the bytes
 * mean. At most once: what must not be lost goes through the ledger, or is asked for with `request`.
 *
 * Promises, in memory and over NATS alike:
 * - what one sender publishes on one lane arrives in order
 * - a subscription that is too slow is bounded, and told of in `status` with what it cost; it never holds up the others
 * - of a queue group, one at random gets a message
 * - nothing that arrives, and no failure of whoever reads a subscription, ends a link
 * - a link that breaks is built again for ever; subscriptions live on
 * - every wait has an end: a request has its deadline, a publish waits at most until a server that hangs is given up
 */
import { Context, type Duration, Effect, Layer, type Scope, type Stream } from "effect"
import type { Headers } from "./Headers.ts"
import * as MemoryWire from "./MemoryWire.ts"
import type {
  LinkRefused,
  PublishError,
  RequestError,
  SubscribeError,
  SubscriptionError,
  TransportClosed
} from "./TransportError.ts"
import type { Lane, LinkSnapshot, TransportStatus } from "./TransportStatus.ts"
import * as Wired from "./Wired.ts"

/** A message that arrived. Its bytes may be shared with other readers: they are not to be changed. */
export interface Packet {
  readonly subject: string
  readonly data: Uint8Array
  readonly headers: Headers
  /** Where an answer is expected. */
  readonly reply: string | undefined
  /** Answers it, on the lane that it came by. Fails with MessageInvalid where nobody asked for an answer. */
  respond(data: Uint8Array, options?: { readonly headers?: Headers }): Effect.Effect<void, PublishError>
}

export interface PublishOptions {
  readonly headers?: Headers
  /** Where an answer is to go. `request` sees to that by itself. */
  readonly reply?: string
  /** Default control. */
  readonly lane?: Lane
}

export interface SubscribeOptions {
  /** Of all subscriptions of the same group that a message fits, one gets it. */
  readonly queue?: string
  /** Default control. */
  readonly lane?: Lane
  /** How much may wait for whoever reads. Default QUEUE. */
  readonly capacity?: { readonly messages?: number; readonly bytes?: number }
  /** What happens to what is more: it is dropped, or the stream fails with SlowConsumer. Default drop. */
  readonly overflow?: "drop" | "fail"
}

export interface RequestOptions {
  /** How long all of it may take, the wait for a link that is down included. */
  readonly deadline: Duration.Input
  readonly headers?: Headers
  /** Default control. */
  readonly lane?: Lane
}

export interface TransportShape {
  /**
   * Completes when the message has been taken over, not when anyone has read it. While a link is down, up to
   * `maxPending` bytes of messages wait for it and are sent in order; what is more fails with PendingFull. While it is
   * up and the server takes less than is published, it waits.
   */
  publish(subject: string, data: Uint8Array, options?: PublishOptions): Effect.Effect<void, PublishError>
  /**
   * Live at the server once the Effect completes, or as soon as the link is up again. Ends with the Scope, or with `drain`.
   * The Stream is for one reader, at a time.
   */
  subscribe(
    subject: string,
    options?: SubscribeOptions
  ): Effect.Effect<Stream.Stream<Packet, SubscriptionError>, SubscribeError, Scope.Scope>
  /** The first answer. Subjects that keep failing are left alone for a while: CircuitOpen. */
  request(subject: string, data: Uint8Array, options: RequestOptions): Effect.Effect<Packet, RequestError>
  /** Completes when all that was published on these lanes so far has reached the server. Waits for a link that is down. */
  readonly flush: Effect.Effect<void, TransportClosed>
  /**
   * Takes no more: subscriptions end when what has arrived is read, new ones and requests are refused with TransportClosed.
   * Completes when all is read, or after DRAIN_TIME, and what was published has left. Publishing, and so answering,
   * goes on until the Scope of the Layer closes.
   */
  readonly drain: Effect.Effect<void>
  /** Each change from now on, of all lanes. Live once the Effect completes; ends with the Scope. */
  readonly status: Effect.Effect<Stream.Stream<TransportStatus>, never, Scope.Scope>
  readonly snapshot: Effect.Effect<Readonly<Record<Lane, LinkSnapshot>>>
  /** Completes when all links are up; fails at once with what waiting alone does not cure. */
  readonly ready: Effect.Effect<void, LinkRefused | TransportClosed>
  /** Reads all secrets again and builds the links anew with them. What is waiting is sent first. */
  readonly reload: Effect.Effect<void>
}

export class Transport extends Context.Service<Transport, TransportShape>()("mister-smith/transport/Transport") {
  /** Within this process. */
  static readonly layerMemory = Layer.effect(
    this,
    Effect.flatMap(MemoryWire.hub(), (hub) => Wired.make(MemoryWire.make(hub)))
  )
  /** One of several ends in this process, as each node of a fleet has one. */
  static readonly layerAt = (hub: MemoryWire.Hub) =>
    Layer.effect(
      this,
      Effect.suspend(() => Wired.make(MemoryWire.make(hub)))
    )
}
