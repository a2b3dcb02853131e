/**
 * What waits between a link, which never waits, and one who reads at their own pace. Bounded in messages and bytes: what
 * is more is dropped, the newest first, or ends it; either way it is told, at the first that is dropped and again when the
 * reader has caught up.
 */
import { Cause, Effect, type Pull, Stream } from "effect"
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

export const make = <A>(options: Options<A>): Delivery<A> => {
  let items: Array<A> = []
  /** Those before it were taken. */
  let head = 0
  let bytes = 0
  let dropped = 0
  /** Since it last kept up. */
  let missing = 0
  let reading = false
  let ended: Pull.Pull<never, SubscriptionError> | undefined
  let wake: (() => void) | undefined
  let woken = false

  const fault = () => new SlowConsumer({ subject: options.subject, dropped, limit: options.messages })

  const rouse = () => {
    if (wake === undefined || woken) return
    woken = true
    // After all that came in one go.
    queueMicrotask(() => {
      woken = false
      wake?.()
    })
  }

  const end = (how: Pull.Pull<never, SubscriptionError>) => {
    ended ??= how
    rouse()
  }

  const take = (): [A, ...Array<A>] => {
    const all = items.length - head <= AT_ONCE
    // Most of the time all that waits is taken, and is taken as it is.
    const batch = (all && head === 0 ? items : items.slice(head, head + AT_ONCE)) as [A, ...Array<A>]
    if (all) {
      items = []
      head = 0
      bytes = 0
    } else {
      head += batch.length
      for (const item of batch) bytes -= options.sizeOf(item)
      if (head >= COMPACT) {
        items = items.slice(head)
        head = 0
      }
    }
    const left = items.length - head
    if (missing > 0 && options.overflow === "drop" && left <= options.messages / 2 && bytes <= options.bytes / 2) {
      const count = missing
      missing = 0
      options.caughtUp(count)
    }
    return batch
  }

  const pull: Pull.Pull<[A, ...Array<A>], SubscriptionError> = Effect.suspend(() => {
    reading = items.length > head
    if (reading) return Effect.succeed(take())
    if (ended !== undefined) return ended
    return Effect.flatMap(
      Effect.callback<void>((resume) => {
        // The fiber may have yielded since it was looked.
        if (items.length > head || ended !== undefined) return resume(Effect.void)
        wake = () => {
          wake = undefined
          resume(Effect.void)
        }
        return Effect.sync(() => {
          wake = undefined
        })
      }),
      () => pull
    )
  })

  return {
    offer: (item) => {
      if (ended !== undefined) return
      const waiting = items.length - head
      const size = options.sizeOf(item)
      // One that is larger than all the room is let in alone, or it would never arrive.
      if (waiting >= options.messages || (waiting > 0 && bytes + size > options.bytes)) {
        dropped++
        if (missing++ > 0) return
        options.slow(fault())
        if (options.overflow === "fail") end(Effect.fail(fault()))
        return
      }
      items.push(item)
      bytes += size
      rouse()
    },
    fail: (fault) => end(Effect.fail(fault)),
    end: () => end(Cause.done()),
    isRead: () => items.length === head && !reading,
    dropped: () => dropped,
    stream: Stream.fromPull(Effect.succeed(pull))
  }
}

/** Taken in one go: what is taken waits no more, and so must be little beside what may. */
const AT_ONCE = 512
/** Places of what was taken that are kept before the rest moves up. */
const COMPACT = 16_384
