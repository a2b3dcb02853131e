/** What every home of the Transport shares: from wires that carry messages to the contract. */
import { Duration, Effect, Latch, PubSub, type Scope, Stream } from "effect"
import * as Delivery from "./Delivery.ts"
import { type Headers, NO_HEADERS, trimmed, wrongHeaders } from "./Headers.ts"
import * as Requests from "./Requests.ts"
import { wrongPattern, wrongQueue, wrongSubject } from "./Subjects.ts"
import type { Packet, TransportShape } from "./Transport.ts"
import { MessageInvalid, type PermissionDenied, type PublishError, TransportClosed } from "./TransportError.ts"
import { LANES, type Lane, STATUS_KEPT, type TransportStatus } from "./TransportStatus.ts"
import type { Listening, Wire, Wires } from "./Wire.ts"

/** How long a `drain` waits for those who read. */
export const DRAIN_TIME = Duration.seconds(10)
const sizeOf = ({ data }: Packet) => data.length

/** How often it looks. */
const DRAIN_STEP = Duration.millis(10)

interface Numbered {
  readonly seq: number
  readonly status: TransportStatus
}

interface Subscribed {
  readonly lane: Lane
  readonly delivery: Delivery.Delivery<Packet>
  readonly listening: Listening
}

type Publish = (
  lane: Lane,
  subject: string,
  data: Uint8Array,
  headers?: Headers,
  reply?: string
) => Effect.Effect<void, PublishError>

export const make = <E, R>(wires: Wires<E, R>): Effect.Effect<TransportShape, E, R | Scope.Scope> =>
  Effect.gen(function* () {
    const statuses = yield* Effect.acquireRelease(PubSub.sliding<Numbered>(STATUS_KEPT), PubSub.shutdown)
    let seq = 0
    const report = (status: TransportStatus) => void PubSub.publishUnsafe(statuses, { seq: ++seq, status })

    const requests = new Map<Lane, Requests.Requests>()
    const dropped: Record<Lane, number> = { control: 0, bulk: 0 }
    const publish: Publish = (lane, subject, data, headers = NO_HEADERS, reply) => {
      const wrong =
        wrongSubject(subject) ??
        (reply === undefined ? undefined : wrongSubject(reply)) ??
        (headers === NO_HEADERS ? undefined : wrongHeaders(headers))
      return wrong === undefined
        ? lanes[lane].publish(subject, data, headers === NO_HEADERS ? headers : trimmed(headers), reply)
        : Effect.fail(new MessageInvalid({ problem: wrong }))
    }

    const lanes: Readonly<Record<Lane, Wire>> = yield* wires((lane) => ({
      status: report,
      answer: (reply, data, headers) => Effect.suspend(() => publish(lane, reply, data, headers)),
      publishDenied: (fault) => requests.get(lane)?.publishDenied(fault)
    }))
    for (const lane of LANES) requests.set(lane, yield* Requests.make(lanes[lane]))

    const subscribed = new Set<Subscribed>()
    let draining = false
    const drained = yield* Latch.make(false)
    const droppedNow = (of: Lane) =>
      [...subscribed].reduce((sum, { delivery, lane }) => (lane === of ? sum + delivery.dropped() : sum), 0)

    const subscribe: TransportShape["subscribe"] = Effect.fn("Transport.subscribe")(function* (subject, options = {}) {
      const { capacity = {}, lane = "control", overflow = "drop", queue } = options
      const wrong = wrongPattern(subject) ?? (queue === undefined ? undefined : wrongQueue(queue))
      if (wrong !== undefined) return yield* new MessageInvalid({ problem: wrong })
      if (draining) return yield* new TransportClosed()
      const wire: Wire = lanes[lane]
      const delivery = Delivery.make<Packet>({
        subject,
        sizeOf,
        messages: capacity.messages ?? Delivery.QUEUE.messages,
        bytes: capacity.bytes ?? Delivery.QUEUE.bytes,
        overflow,
        slow: (fault) => report({ type: "slow", lane, fault }),
        caughtUp: (dropped) => report({ type: "caught_up", lane, subject, dropped })
      })
      let denied: PermissionDenied | undefined
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const listening = wire.listen(subject, queue, {
            message: (arrived) => delivery.offer(arrived),
            failed: (fault) => {
              denied = fault
              delivery.fail(fault)
            }
          })
          const one: Subscribed = { lane, delivery, listening }
          subscribed.add(one)
          return one
        }),
        (one) =>
          Effect.sync(() => {
            const { listening } = one
            subscribed.delete(one)
            dropped[lane] += delivery.dropped()
            listening.stop()
            delivery.end()
          })
      )
      if (wire.isUp()) yield* wire.roundTrip
      if (denied !== undefined) return yield* denied
      return delivery.stream
    })

    const request: TransportShape["request"] = (
      subject,
      data,
      { deadline, headers = NO_HEADERS, lane = "control" }
    ) => {
      const wrong = wrongSubject(subject) ?? wrongHeaders(headers)
      if (wrong !== undefined) return Effect.fail(new MessageInvalid({ problem: wrong }))
      const asking = requests.get(lane)
      if (draining || asking === undefined) return Effect.fail(new TransportClosed())
      return asking.ask(subject, data, trimmed(headers), Duration.fromInputUnsafe(deadline))
    }

    const flush = Effect.forEach(LANES, (lane) => Effect.andThen(lanes[lane].up, lanes[lane].roundTrip), {
      concurrency: "unbounded",
      discard: true
    })

    const drain = Effect.suspend(() => {
      if (draining) return drained.await
      draining = true
      return Effect.forEach([...subscribed], ({ listening }) => listening.drain, {
        concurrency: "unbounded",
        discard: true
      }).pipe(
        Effect.andThen(
          Effect.sync(() => {
            for (const { delivery } of subscribed) delivery.end()
          })
        ),
        Effect.andThen(
          Effect.sleep(DRAIN_STEP).pipe(
            Effect.repeat({ while: () => [...subscribed].some(({ delivery }) => !delivery.isRead()) })
          )
        ),
        Effect.andThen(flush),
        Effect.timeoutOption(DRAIN_TIME),
        Effect.ignore,
        Effect.ensuring(drained.open)
      )
    })

    return {
      publish: (subject, data, options) =>
        Effect.suspend(() => publish(options?.lane ?? "control", subject, data, options?.headers, options?.reply)),
      subscribe,
      request,
      flush,
      drain,
      status: Effect.suspend(() => {
        let last = seq
        return Effect.map(PubSub.subscribe(statuses), (subscription) =>
          Stream.fromSubscription(subscription).pipe(
            Stream.flatMap(({ seq, status }) => {
              const missed = seq - last - 1
              last = seq
              return Stream.fromIterable<TransportStatus>(missed > 0 ? [{ type: "gap", missed }, status] : [status])
            })
          )
        )
      }),
      snapshot: Effect.sync(() => {
        const of = (lane: Lane) => ({ ...lanes[lane].snapshot(), dropped: dropped[lane] + droppedNow(lane) })
        return { control: of("control"), bulk: of("bulk") }
      }),
      ready: Effect.forEach(LANES, (lane) => lanes[lane].ready, { concurrency: "unbounded", discard: true }),
      reload: Effect.forEach(LANES, (lane) => lanes[lane].reload, { concurrency: "unbounded", discard: true })
    }
  })
