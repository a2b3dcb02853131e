/**
 * The home of the ledger that a fleet shares: a key-value bucket on NATS servers with JetStream, one for all nodes.
 *
 * Promises: what is answered as accepted, ended, parked or cancelled is kept by the servers, by most of the replicas where
 * there are several; a task is held by one attempt at a time and ended once, whatever node or server dies when, because
 * each of its moves is a compare-and-set on its key, and late ones are refused by what is there. What a node holds without
 * a lease it holds as long as it lives: when it is dead (JetStreamPeers.ts), any other takes it over. Late by a
 * moment is only what a node knows of what others have done: it reads from its mirror (JetStreamMirror.ts), and what it
 * decides on what is old is refused, read anew and decided once more.
 *
 * What may follow what is decided in Ledger.ts, as in every home. JetStreamCommit.ts says what each crash leaves behind.
 */
import { Effect, Layer, PubSub, type Scope, Stream } from "effect"
import type { SecureRandom } from "effect/crypto/SecureRandom"
import type { EventBus } from "../event/EventBus.ts"
import type { Subjects } from "../message/Subject.ts"
import { inModule } from "../observability/Log.ts"
import { JetStreamBucket } from "../state/JetStreamBucket.ts"
import { unconnected } from "../state/JetStreamMeaning.ts"
import type { PeerSettings } from "../supervision/Peers.ts"
import { Farewell } from "../transport/Farewell.ts"
import { NatsConnections } from "../transport/NatsTransport.ts"
import type { SharedLedger } from "./EdgeReports.ts"
import { peersAfter } from "./FailureSettings.ts"
import type { Step } from "./JetStreamCommit.ts"
import { JetStreamDispatch } from "./JetStreamDispatch.ts"
import * as JetStreamGone from "./JetStreamGone.ts"
import { PAUSE } from "./JetStreamIntake.ts"
import * as Outsiders from "./JetStreamOutsiders.ts"
import { JetStreamStore } from "./JetStreamStore.ts"
import { explain } from "./JetStreamUnusable.ts"
import { again, watching } from "./JetStreamWatching.ts"
import * as Ledger from "./Ledger.ts"
import type { Kept } from "./LedgerStore.ts"
import type { OtherNodes } from "./OtherNodes.ts"
import type { LedgerUnusable } from "./TaskError.ts"
import { TaskLedger } from "./TaskLedger.ts"

/** The bucket of a fleet that names none. */
export const BUCKET = "mister-smith"
/** How long a node may be silent before another one takes over what it holds, in milliseconds. */
export const LEASE = 15_000
/** Each node holds all of it in memory. */
export const KEPT: Kept = { tasks: 10_000, dead: 10_000, text: 64 * 1024 * 1024 }

export interface JetStreamLedgerOptions {
  /** The name of this node, which it keeps over its lives and shares with none. */
  readonly node: string
  /** Its place and mark, by which two of one name are told apart. Left out: there are no two. */
  readonly home?: string
  /** Told that another one of this name is there and is watched, whether it lives. */
  readonly waits?: (who: string) => void
  /** Told why the bucket is not there yet, with each try to open it. */
  readonly troubled?: (why: LedgerUnusable) => void
  readonly bucket?: string
  /** Servers that keep each task. Default 1. */
  readonly replicas?: number
  /** Bytes. Default: as many as the servers give. */
  readonly maxBytes?: number
  readonly lease?: number
  /** When another node is suspected, and when it is dead, in place of the lease alone. */
  readonly failure?: PeerSettings
  /** How long a write is tried while no server answers, in milliseconds. */
  readonly patience?: number
  readonly kept?: Kept
  /** How often a task may be broken off. */
  readonly bounds?: { readonly interruptions: number }
  /** Whether there is a connection to the servers: without one nothing is waited for. Left out: there is one. */
  readonly linked?: () => boolean
  /** Where those who are no node hand in tasks and hear how they end; left out, they cannot. */
  readonly outsiders?: Subjects
  /** With `outsiders`: the fleet's events are kept, too, for nodes that tell theirs late. */
  readonly events?: boolean
  /** The queue that gives out the tasks, in milliseconds; left out, whoever claims a task first has it. */
  readonly dispatch?: { readonly grace: number; readonly ackWait: number }
  /** For tests: told of each step of a move of several keys; what it throws ends the move there. */
  readonly at?: (step: Step) => void
}

export const layer = (options: JetStreamLedgerOptions) =>
  Layer.effect(
    TaskLedger,
    Effect.map(make(options), ({ ledger }) => ledger)
  )

/** The same, with what a node at the edge of the fleet asks besides. */
export const make = (
  options: JetStreamLedgerOptions
): Effect.Effect<SharedLedger, LedgerUnusable, NatsConnections | EventBus | SecureRandom | Scope.Scope> =>
  Effect.gen(function* () {
    const { bounds, kept = KEPT, lease = LEASE, node } = options
    const { failure = peersAfter(lease) } = options
    const name = options.bucket ?? BUCKET
    const connections = yield* NatsConnections
    const farewell = yield* Farewell
    const opening = Effect.tryPromise({
      try: async (signal) => {
        const [control, bulk] = await Promise.all([
          connected(connections.control, name, signal),
          connected(connections.bulk, name, signal)
        ])
        const { maxBytes = -1, patience, replicas = 1 } = options
        const bucket = await JetStreamBucket.open({
          control,
          bulk,
          name,
          replicas,
          maxBytes,
          troubled: (why) => options.troubled?.(explain(why.where, why)),
          ...(patience === undefined ? {} : { patience })
        })
        return JetStreamStore.open(bucket, {
          node,
          home: options.home,
          peers: failure,
          waits: options.waits ?? (() => {}),
          linked: options.linked ?? (() => true),
          at: options.at
        })
      },
      catch: (error) => explain(`in the bucket ${name}`, error)
    })
    const store = yield* Effect.acquireRelease(
      opening,
      (store) =>
        Effect.andThen(
          farewell.say(Effect.tryPromise(() => store.leave())),
          Effect.sync(() => store.stop())
        ),
      // Whoever waits for a server can be stopped.
      { interruptible: true }
    )
    const others = yield* watching(store)
    const gone = yield* JetStreamGone.make(store, name)
    const tidying = Effect.andThen(
      tellOf(store, name),
      gone.seen(Effect.tryPromise({ try: () => store.upkeep.tidy(), catch: (error) => error }))
    )
    yield* again(store, Effect.as(tidying, failure.every), failure.every)
    const made = yield* Ledger.make(() => store, kept, bounds)
    const given = options.dispatch === undefined ? undefined : yield* handing(store, name, options.dispatch, options)
    const here = made.here === undefined ? undefined : { ...made.here, ...between(others, given) }
    const ledger = { ...made, ...(here === undefined ? {} : { here }) }
    const reach = Effect.mapError(
      gone.seen(Effect.tryPromise({ try: () => store.upkeep.moveIn(), catch: (error) => error })),
      (error) => store.unusable(error)
    )
    const shared = { ledger, knows: (id: string) => store.has(id), reach, away: gone.away }
    const { outsiders } = options
    if (outsiders === undefined) return { ...shared, published: () => Effect.void }
    const { intake, results } = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: async (signal) => {
          const connection = await connected(connections.bulk, name, signal)
          return Outsiders.open({
            connection,
            subjects: outsiders,
            bucket: name,
            node,
            replicas: options.replicas ?? 1,
            events: options.events ?? false
          })
        },
        catch: (error) => store.unusable(error)
      }),
      // Whoever ended a task last would else tell nobody.
      ({ intake, results }) =>
        Effect.andThen(
          farewell.say(Effect.tryPromise(() => results.flush())),
          Effect.sync(() => {
            intake.stop()
            results.stop()
          })
        )
    )
    store.onEnd((entry, again) => results.told(entry, again))
    const taking = Effect.tryPromise({
      try: () => intake.round((spec) => ledger.submit(spec)),
      catch: (error) => error
    })
    yield* again(store, taking, PAUSE)
    return {
      ...shared,
      published: (id: string) =>
        Effect.tryPromise({
          try: () => results.publishedOnce(store.entry(id)),
          catch: (error) => store.unusable(error)
        })
    }
  })

/** The queue that gives out the tasks, and what tells that it has something to say. */
const handing = Effect.fnUntraced(function* (
  store: JetStreamStore,
  bucket: string,
  times: { readonly grace: number; readonly ackWait: number },
  { linked = () => true, replicas = 1 }: JetStreamLedgerOptions
) {
  const connections = yield* NatsConnections
  const farewell = yield* Farewell
  const changed = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)
  const around = yield* Effect.context<never>()
  const troubled = (why: unknown) => {
    const message = why instanceof Error ? why.message : String(why)
    Effect.runForkWith(around)(
      inModule("task")(Effect.logWarning(`tasks are given out without the queue for now: ${message}`))
    )
  }
  const dispatch = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: async (signal) => {
        const connection = await connected(connections.bulk, bucket, signal)
        return JetStreamDispatch.open({
          connection,
          store,
          bucket,
          replicas,
          ...times,
          linked,
          changed: () => PubSub.publishUnsafe(changed, undefined),
          troubled
        })
      },
      catch: (error) => store.unusable(error)
    }),
    (dispatch) => farewell.say(Effect.tryPromise(() => dispatch.stop()))
  )
  return { dispatch, changes: Effect.map(PubSub.subscribe(changed), Stream.fromSubscription) }
})

/** How it is with the other nodes, and what they and the queue have to say. */
const between = (others: OtherNodes, given: Effect.Success<ReturnType<typeof handing>> | undefined) =>
  given === undefined
    ? { others }
    : {
        others: {
          ...others,
          changes: Effect.zipWith(others.changes, given.changes, (one, other) => Stream.merge(one, other))
        },
        handing: given.dispatch
      }

/** Why there is no connection says nothing about the bucket. */
const connected = (connection: NatsConnections["Service"]["control"], bucket: string, signal: AbortSignal) =>
  Effect.runPromise(connection, { signal }).catch((error: unknown) => {
    throw unconnected(`in the bucket ${bucket}`, error)
  })

/** Characters that a warning has of the keys that were passed over. */
const MAX_TOLD = 500

/** That somebody else writes there, or that a task is not all there, a person must hear. */
const tellOf = (store: JetStreamStore, bucket: string) =>
  Effect.suspend(() => {
    const warn = (what: string, keys: ReadonlyArray<string>) =>
      keys.length === 0
        ? Effect.void
        : inModule("task")(Effect.logWarning(`${what}: ${keys.join(", ").slice(0, MAX_TOLD)}`))
    return Effect.andThen(
      warn(`passed over in the bucket ${bucket}, as no node has written it`, store.passedOver()),
      warn(
        `there in the bucket ${bucket}, but without a part of what was written beside it, so that this node cannot use it`,
        store.incomplete()
      )
    )
  })
