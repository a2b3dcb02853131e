/**
 * The lease of a fleet, in a bucket of its own on NATS servers, to which only the leader writes: that it is still there, and
 * what it decides.
 *
 * The fence is the order of the bucket itself. Each write of a leader says which write it knows as the last, its own, and
 * the server refuses it where there is any other after it. A new term begins with a write: from then on nothing
 * that an earlier leader still has on its way is taken, under whatever key, also where it had looked a moment before.
 *
 * No two clocks are compared. Whoever wants to lead looks at the bucket again and again, and takes over when it has found
 * nothing new in it for the lease, by its own clock; one who was halted himself finds what has been written meanwhile. The
 * leader holds its term for over when its last write that was answered was begun so long ago, so before anyone may take
 * it; where an answer is not to be had, it holds it for over as well, because it does not know any more what is last.
 */
import { Deferred, Duration, Effect, Fiber, Option, Result, Schema, Semaphore, SubscriptionRef } from "effect"
import { millis } from "../domain/Monotonic.ts"
import { inModule } from "../observability/Log.ts"
import { wordOf } from "../state/BucketKey.ts"
import { JetStreamBucket, type Value } from "../state/JetStreamBucket.ts"
import { explain, unconnected } from "../state/JetStreamMeaning.ts"
import { Farewell } from "../transport/Farewell.ts"
import { NatsConnections } from "../transport/NatsTransport.ts"
import { type Held, Lease, type LeaseShape, nobody, type Reign, refusal, same, whileReigning } from "./Lease.ts"
import { LeaseLost, LeaseUnusable } from "./LeaseError.ts"

/** The bucket of a fleet that names none. */
export const BUCKET = "mister-smith-lease"
/** How often it is looked, or renewed, in the time of a lease. */
const LOOKS = 3
/** Before who may not is asked again: each time is told at the servers, and here. */
const DENIED = Duration.minutes(1)
/** Who leads. */
const LEADER = "leader"
/** Before what a leader writes. */
const LED = "led."

const Record = Schema.Struct({
  /** Which write this is. */
  by: Schema.String,
  /** The node; none: the term has been laid down. */
  leader: Schema.optionalKey(Schema.String),
  epoch: Schema.Int
})
const Written = Schema.Struct({ by: Schema.String, epoch: Schema.Int, value: Schema.String })
const decodeRecord = Schema.decodeUnknownOption(Schema.fromJsonString(Record))
const decodeWritten = Schema.decodeUnknownOption(Schema.fromJsonString(Written))
const encoder = new TextEncoder()
const decoder = new TextDecoder()
const encode = (value: unknown) => encoder.encode(JSON.stringify(value))

/** How many keys a new one would come beside; 0 where it is there. */
const othersThan = async (bucket: JetStreamBucket, key: string): Promise<number> =>
  (await bucket.read(key)).bytes === undefined ? (await bucket.last()).messages - 1 : 0

export interface JetStreamLeaseOptions {
  readonly node: string
  /** After how long without a word of the leader another one takes over. */
  readonly lease: Duration.Duration
  readonly bucket?: string
  readonly replicas?: number
  /** For tests: before a write leaves this process, when all has been looked at. */
  readonly at?: (key: string) => void
}

/** Takes part until the Scope closes; waits for a server. */
export const make = Effect.fnUntraced(function* (options: JetStreamLeaseOptions) {
  const { node, replicas = 1 } = options
  const name = options.bucket ?? BUCKET
  const lease = Duration.toMillis(options.lease)
  const connections = yield* NatsConnections
  const farewell = yield* Farewell
  const unusable = (cause: unknown) => {
    const { detail, problem, where } = explain(`in the bucket ${name}`, cause)
    return new LeaseUnusable({ where, problem, detail })
  }
  const ask = <A>(question: (bucket: JetStreamBucket) => Promise<A>) =>
    Effect.flatMap(open, (bucket) => Effect.tryPromise({ try: () => question(bucket), catch: unusable }))
  let opened: JetStreamBucket | undefined
  const open = Effect.suspend(() => {
    if (opened !== undefined) return Effect.succeed(opened)
    return Effect.all([connections.control, connections.bulk]).pipe(
      Effect.mapError((error) => unusable(unconnected(`in the bucket ${name}`, error))),
      Effect.flatMap(([control, bulk]) =>
        Effect.tryPromise({
          try: () => JetStreamBucket.open({ control, bulk, name, replicas, maxBytes: -1, patience: lease }),
          catch: unusable
        })
      ),
      Effect.tap((bucket) =>
        Effect.sync(() => {
          opened = bucket
        })
      )
    )
  })

  const holds = yield* SubscriptionRef.make<Held>(nobody)
  const reigns = yield* SubscriptionRef.make<Reign | undefined>(undefined)
  const know = (next: Held) =>
    Effect.suspend(() =>
      same(SubscriptionRef.getUnsafe(holds), next) ? Effect.void : SubscriptionRef.set(holds, next)
    )

  const life = crypto.randomUUID()
  let writes = 0
  /** Answers with its place in the order of the bucket, or undefined where something else has come after `last`. */
  const write = (key: string, value: object, last: number) =>
    Effect.suspend(() => {
      const by = `${life} ${++writes}`
      const bytes = encode({ by, ...value })
      const isMine = (there: Value) => there.bytes !== undefined && Buffer.compare(there.bytes, bytes) === 0
      options.at?.(key)
      return ask((bucket) => bucket.append(key, bytes, last, isMine))
    })

  const look = ask(async (bucket) => {
    // First what is last: where more is written in between, a write on it is refused.
    const last = await bucket.last()
    const { bytes, revision } = await bucket.read(LEADER)
    const record = bytes === undefined ? undefined : Option.getOrUndefined(decodeRecord(decoder.decode(bytes)))
    return { last: Math.max(last.revision, revision), record }
  })
  type Look = Effect.Success<typeof look>

  /** Said once, until it is well again. */
  let told: string | undefined
  const tell = ({ message, problem }: LeaseUnusable) =>
    Effect.suspend(() => {
      if (told === problem) return Effect.void
      told = problem
      return Effect.logWarning(`${message}; until it can be used, this node does not lead`)
    }).pipe(inModule("fleet"))

  /** Until somebody may be succeeded. A look that fails says nothing, and what came before it counts no more. */
  const vacant: Effect.Effect<Look> = Effect.gen(function* () {
    let before: Look | undefined
    let looks = 0
    let deaf = 0
    while (true) {
      const answer = yield* Effect.result(look)
      const found = Result.isSuccess(answer) ? answer.success : undefined
      if (Result.isFailure(answer)) yield* tell(answer.failure)
      if (found === undefined) {
        looks = 0
        before = undefined
        if (++deaf >= LOOKS) yield* know({ ...(yield* SubscriptionRef.get(holds)), leader: undefined, mine: false })
      } else {
        deaf = 0
        told = undefined
        if (found.record?.leader === undefined) return found
        yield* know({ leader: found.record.leader, epoch: found.record.epoch, mine: false })
        looks = before?.last === found.last ? looks + 1 : 0
        if (looks >= LOOKS) return found
        before = found
      }
      const denied = Result.isFailure(answer) && answer.failure.problem === "denied"
      yield* Effect.sleep(denied ? DENIED : lease / LOOKS)
    }
  })

  /** One term, from the write that begins it to its end. */
  const reign = Effect.fnUntraced(function* ({ last: found, record }: Look) {
    // There are never more terms than writes.
    const epoch = record === undefined ? found + 1 : record.epoch + 1
    let since = yield* millis
    const begun = yield* Effect.result(write(LEADER, { leader: node, epoch }, found))
    if (Result.isFailure(begun)) return yield* Effect.andThen(tell(begun.failure), Effect.sleep(lease / LOOKS))
    if (begun.success === undefined) return
    let last = begun.success
    const over = yield* Deferred.make<void>()
    const oneAtATime = yield* Semaphore.make(1)
    const known = new Set<string>()
    const lost = new LeaseLost({ node, epoch })
    const end = Deferred.succeed(over, undefined)
    const next = Effect.fnUntraced(
      function* (key: string, value: object) {
        const now = yield* millis
        if ((yield* Deferred.isDone(over)) || now - since >= lease) return yield* Effect.andThen(end, Effect.fail(lost))
        const revision = yield* Effect.tapError(write(key, value, last), ({ problem }) =>
          // What has come of it is not known, or nothing can be written any more.
          problem === "noRoom" || problem === "tooLarge" ? Effect.void : end
        )
        if (revision === undefined) return yield* Effect.andThen(end, Effect.fail(lost))
        last = revision
        since = now
        return revision
      },
      // Whoever is interrupted would not know what is last.
      Effect.uninterruptible,
      oneAtATime.withPermits(1)
    )
    const own: Reign = {
      epoch,
      over,
      put: Effect.fn("Lease.put")(function* (key, value) {
        const at = `${LED}${wordOf(key)}`
        const others = known.has(at) ? 0 : yield* ask((bucket) => othersThan(bucket, at))
        const full = refusal(key, value, others)
        if (full !== undefined) return yield* full
        const place = yield* next(at, { epoch, value })
        known.add(at)
        return place
      })
    }
    const renewed = Effect.forever(Effect.andThen(Effect.sleep(lease / LOOKS), next(LEADER, { leader: node, epoch })))
    /** By the time that it has been told last, whatever the servers say. */
    const expired = Effect.gen(function* () {
      for (let left = lease; left > 0; left = lease - ((yield* millis) - since)) yield* Effect.sleep(left)
    })
    /** In order: the next one need not wait. */
    const layDown = farewell.say(oneAtATime.withPermits(1)(Effect.suspend(() => write(LEADER, { epoch }, last))))
    yield* know({ leader: node, epoch, mine: true })
    yield* SubscriptionRef.set(reigns, own)
    yield* Effect.forkScoped(Effect.ensuring(Effect.ignore(renewed), end))
    yield* Effect.forkScoped(Effect.ensuring(expired, end))
    // It is over at once, also where a write is still waited for.
    yield* Deferred.await(over).pipe(
      Effect.onInterrupt(() => Effect.andThen(end, layDown)),
      Effect.ensuring(
        Effect.all([end, SubscriptionRef.set(reigns, undefined), know({ leader: undefined, epoch, mine: false })])
      )
    )
  }, Effect.scoped)

  const part = yield* Effect.forkDetach(Effect.forever(Effect.flatMap(vacant, reign)))
  // A write that is under way is not broken off, and may wait for a server for as long as the lease.
  yield* Effect.addFinalizer(() => farewell.say(Fiber.interrupt(part)))
  return Lease.of({
    held: SubscriptionRef.get(holds),
    changes: SubscriptionRef.changes(holds),
    get: (key) =>
      Effect.map(
        ask((bucket) => bucket.read(`${LED}${wordOf(key)}`)),
        ({ bytes }) => {
          const written = bytes === undefined ? undefined : Option.getOrUndefined(decodeWritten(decoder.decode(bytes)))
          return written === undefined ? undefined : { value: written.value, epoch: written.epoch }
        }
      ),
    whileLeader: whileReigning(reigns)
  } satisfies LeaseShape)
})
