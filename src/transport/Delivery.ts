/**
 * What waits between a link, which never waits, and one who reads at their own pace. Bounded in messages and bytes: what
 * is more is dropped, the newest first, or ends it; either way it is told, at the first that is dropped and again when the
 * reader has caught up.
 */
import { Cause, Effect, Queue, Stream } from "effect"
import { SlowConsumer, type SubscriptionError } from "./TransportError.ts"

/** What may wait for one subscription, unless it says otherwise. */
export const QUEUE = { messages: 65_536, bytes: 64 * 1024 * 1024 }

export interface Options<A> {
  readonly subject: string
  /** Bytes. */
  readonly sizeOf: (item: A) => number
  readonly messages: number
  readonly bytes: number
  readonly overflow: "drop" | "fail"
  /** It has begun to drop. */
  readonly slow: (fault: SlowConsumer) => void
  /** It keeps up again: half of the room is free. */
  readonly caughtUp: (dropped: number) => void
}

export interface Delivery<A> {
  offer(item: A): void
  fail(fault: SubscriptionError): void
  /** No more will come; what is there is read first. */
  end(): void
  /** Nothing waits, and the reader has come back for more after what it took. */
  readonly isRead: () => boolean
  readonly dropped: () => number
  readonly stream: Stream.Stream<A, SubscriptionError>
}

export const make = <A>(options: Options<A>): Effect.Effect<Delivery<A>> =>
  Effect.map(Queue.unbounded<A, SubscriptionError | Cause.Done>(), (queue) => {
    let messages = 0
    let bytes = 0
    let dropped = 0
    /** Since it last kept up. */
    let missing = 0
    let reading = false
    const fault = () => new SlowConsumer({ subject: options.subject, dropped, limit: options.messages })
    const took = (batch: ReadonlyArray<A>) => {
      messages -= batch.length
      for (const item of batch) bytes -= options.sizeOf(item)
      if (missing === 0 || options.overflow === "fail" || messages > options.messages / 2 || bytes > options.bytes / 2)
        return
      const count = missing
      missing = 0
      options.caughtUp(count)
    }
    return {
      offer: (item) => {
        const size = options.sizeOf(item)
        // One that is larger than all the room is let in alone, or it would never arrive.
        if (messages >= options.messages || (messages > 0 && bytes + size > options.bytes)) {
          dropped++
          if (missing++ > 0) return
          options.slow(fault())
          if (options.overflow === "fail") Queue.failCauseUnsafe(queue, Cause.fail(fault()))
          return
        }
        if (!Queue.offerUnsafe(queue, item)) return
        messages++
        bytes += size
      },
      fail: (fault) => void Queue.failCauseUnsafe(queue, Cause.fail(fault)),
      end: () => void Queue.endUnsafe(queue),
      isRead: () => messages === 0 && !reading,
      dropped: () => dropped,
      stream: Stream.fromPull(
        Effect.succeed(
          Effect.suspend(() => {
            reading = false
            return Effect.map(Queue.takeBetween(queue, 1, AT_ONCE), (batch) => {
              reading = true
              took(batch)
              return batch as [A, ...Array<A>]
            })
          })
        )
      )
    }
  })

/** Taken from the queue in one go: what is taken waits no more, and so must be little beside what may. */
const AT_ONCE = 256
