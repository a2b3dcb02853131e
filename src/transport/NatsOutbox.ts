/**
 * What leaves by one connection. While there is none, messages wait, in order and bounded; the client would throw them
 * away. While there is one, what has left is counted until a round trip shows that it has arrived: a server that hangs is
 * sent no more than the same bound, and whoever publishes waits. When the connection breaks, the count tells what may be lost.
 */
import { Effect } from "effect"
import { type Headers, NO_HEADERS, sizeOf } from "./Headers.ts"
import { NatsBuffer } from "./NatsBuffer.ts"
import { headersOf } from "./NatsMessage.ts"
import type { NatsConnectionImpl } from "./NatsSocket.ts"
import { PayloadTooLarge, PendingFull, TransportClosed } from "./TransportError.ts"
import type { Lane } from "./TransportStatus.ts"
import type { Wire } from "./Wire.ts"

/** Round trips that one filling of the bound is confirmed with. */
const CONFIRMED_IN = 8
/** Bytes of one message beside its subject, data and headers. */
const OVERHEAD = 64

export interface Options {
  readonly lane: Lane
  /** Bytes that may wait, and that may be on their way. */
  readonly maxPending: number
  /** One that had waited is larger than the server takes. */
  readonly dropped: (fault: PayloadTooLarge) => void
}

export interface NatsOutbox {
  readonly publish: Wire["publish"]
  /** The link is up, again or for the first time: what has waited leaves. */
  opened(nc: NatsConnectionImpl): void
  /** It broke. Answers how many messages may not have arrived. */
  broke(): number
  /** A round trip: when it comes back, all that was sent before has arrived. */
  confirm(nc: NatsConnectionImpl): Promise<void>
  /** The same, where something has left since the last. Nobody waits for it. */
  confirmRest(): void
  close(): void
  readonly published: () => number
  readonly pendingBytes: () => number
}

interface Pending {
  readonly subject: string
  readonly data: Uint8Array
  readonly headers: Headers
  readonly reply: string | undefined
  readonly size: number
}

interface Open {
  readonly nc: NatsConnectionImpl
  readonly buffer: NatsBuffer
}

export const make = ({ dropped, lane, maxPending }: Options): NatsOutbox => {
  /** While the link is up. */
  let open: Open | undefined
  let closed = false
  let life = 0
  let published = 0
  // What waits for the link, oldest first.
  let pending: Array<Pending> = []
  let pendingBytes = 0
  // What has left, but may not have arrived.
  let unconfirmed = 0
  let unconfirmedBytes = 0
  let unflushedBytes = 0
  // And of that, what a round trip is under way for.
  let confirming = 0
  let confirmingBytes = 0
  /** Those who wait until there is room. */
  let held: Array<() => void> = []

  const free = () => {
    const waiting = held
    held = []
    for (const resume of waiting) resume()
  }

  const confirm = (nc: NatsConnectionImpl): Promise<void> => {
    const began = life
    const messages = unconfirmed - confirming
    const bytes = unconfirmedBytes - confirmingBytes
    unflushedBytes = 0
    confirming += messages
    confirmingBytes += bytes
    return nc.flush().then(() => {
      if (began !== life) return
      confirming -= messages
      confirmingBytes -= bytes
      unconfirmed -= messages
      unconfirmedBytes -= bytes
      free()
    })
  }

  /** For each message: without an object of its own. */
  const send = (
    { buffer, nc }: Open,
    subject: string,
    data: Uint8Array,
    headers: Headers,
    reply: string | undefined,
    size: number
  ): PayloadTooLarge | undefined => {
    // As it is now: a server that is told to take less says so at any time.
    const limit = nc.protocol.info?.max_payload ?? Number.POSITIVE_INFINITY
    if (size > limit) return new PayloadTooLarge({ subject, size: data.length, limit })
    // Without the connection's own checks, which are made already.
    if (headers === NO_HEADERS) buffer.publish(subject, data, reply)
    else nc.protocol.publish(subject, data, { ...(reply === undefined ? {} : { reply }), headers: headersOf(headers) })
    published++
    unconfirmed++
    const bytes = size + subject.length + OVERHEAD
    unconfirmedBytes += bytes
    unflushedBytes += bytes
    if (unflushedBytes >= maxPending / CONFIRMED_IN) confirm(nc).catch(ignore)
    return undefined
  }

  const publish: Wire["publish"] = (subject, data, headers, reply) => {
    if (closed) return Effect.fail(new TransportClosed())
    const size = data.length + (headers === NO_HEADERS ? 0 : sizeOf(headers))
    // The connection may have ended a moment before it is told.
    if (open?.nc.protocol.connected === true && pending.length === 0) {
      if (unconfirmedBytes >= maxPending) {
        return Effect.callback<void>((resume) => {
          held.push(() => resume(Effect.void))
        }).pipe(Effect.andThen(Effect.suspend(() => publish(subject, data, headers, reply))))
      }
      const fault = send(open, subject, data, headers, reply, size)
      return fault === undefined ? Effect.void : Effect.fail(fault)
    }
    if (pendingBytes + size + OVERHEAD > maxPending) return Effect.fail(new PendingFull({ lane, limit: maxPending }))
    pendingBytes += size + OVERHEAD
    // The sender may go on to change it.
    pending.push({ subject, data: data.slice(), headers, reply, size })
    return Effect.void
  }

  return {
    publish,
    opened: (nc) => {
      const to = { nc, buffer: NatsBuffer.of(nc.protocol) }
      open = to
      const waiting = pending
      pending = []
      pendingBytes = 0
      for (const each of waiting) {
        const fault = send(to, each.subject, each.data, each.headers, each.reply, each.size)
        if (fault !== undefined) dropped(fault)
      }
      free()
    },
    broke: () => {
      const lost = unconfirmed
      open = undefined
      life++
      unconfirmed = 0
      unconfirmedBytes = 0
      unflushedBytes = 0
      confirming = 0
      confirmingBytes = 0
      free()
      return lost
    },
    confirm,
    confirmRest: () => {
      if (open?.nc.protocol.connected === true && unflushedBytes > 0) confirm(open.nc).catch(ignore)
    },
    close: () => {
      closed = true
      open = undefined
      free()
    },
    published: () => published,
    pendingBytes: () => pendingBytes
  }
}

/** That the link broke is told elsewhere. */
const ignore = () => {}
