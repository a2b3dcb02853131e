/**
 * The stream of a fleet that gives out tasks: a work-queue of one message for each task that any node may take, under its
 * type, its band and its id, with one durable consumer for each type and band, so that `nats consumer info` says how long
 * each of these queues is.
 */
import {
  AckPolicy,
  type ConsumerConfig,
  createInbox,
  DeliverPolicy,
  DiscardPolicy,
  type NatsConnection,
  nanos,
  RetentionPolicy,
  StorageType
} from "nats"
import { nameOf, wordOf } from "../state/BucketKey.ts"
import * as Streams from "../state/JetStreamStreams.ts"
import type { TaskSpec } from "./TaskSpec.ts"
import { priorityOf } from "./Turn.ts"

export const BANDS = ["high", "normal", "low"] as const
export type Band = (typeof BANDS)[number]

/** For answers that only this connection may hear. */
export const inboxOf = (connection: NatsConnection): string =>
  createInbox((connection as { readonly options?: { readonly inboxPrefix?: string } }).options?.inboxPrefix)

/** One queue of the stream. */
export interface Lane {
  readonly type: string
  readonly band: Band
}

/** Messages that the stream takes; of more, tasks are given out as without it. */
const MAX_MESSAGES = 200_000
/** Messages of a lane that all nodes together may have, run or put off. */
const MAX_ACK_PENDING = 20_000
/** A consumer that nobody has asked for so long goes, in milliseconds. It is made anew, and begins with what is there. */
const UNUSED = 60 * 60_000

export const bandOf = (spec: TaskSpec): Band => bandOfPriority(priorityOf(spec))
export const bandOfPriority = (priority: number): Band => (priority > 0 ? "high" : priority < 0 ? "low" : "normal")

export const laneOf = (spec: TaskSpec): Lane => ({ type: spec.type, band: bandOf(spec) })

export const nameOfStream = (bucket: string): string => `${bucket}-dispatch`

/** dispatch.{bucket}.{type}.{band}.{task} */
export const subjectOf = (bucket: string, { band, type }: Lane, id: string): string =>
  `dispatch.${bucket}.${wordOf(type)}.${band}.${wordOf(id)}`

/** What a subject says; undefined where no node says such a thing. */
export const read = (subject: string): { readonly lane: Lane; readonly id: string } | undefined => {
  const [, , type, band, id, ...rest] = subject.split(".")
  const known = BANDS.find((each) => each === band)
  if (type === undefined || known === undefined || id === undefined || rest.length > 0) return undefined
  return { lane: { type: nameOf(type), band: known }, id: nameOf(id) }
}

export const durableOf = ({ band, type }: Lane): string => `${wordOf(type)}-${band}`

export const stream = (bucket: string, replicas: number): Streams.Wanted => ({
  name: nameOfStream(bucket),
  subjects: [`dispatch.${bucket}.>`],
  retention: RetentionPolicy.Workqueue,
  storage: StorageType.File,
  // What is full takes nothing more: a task without a message is anybody's.
  discard: DiscardPolicy.New,
  max_msgs: MAX_MESSAGES,
  max_age: 0,
  num_replicas: replicas,
  duplicate_window: nanos(Streams.DUPLICATES)
})

export const consumer = (
  bucket: string,
  lane: Lane,
  ackWaitMillis: number
): Partial<ConsumerConfig> & { readonly durable_name: string } => ({
  durable_name: durableOf(lane),
  filter_subject: subjectOf(bucket, lane, "").concat("*"),
  deliver_policy: DeliverPolicy.All,
  ack_policy: AckPolicy.Explicit,
  ack_wait: nanos(ackWaitMillis),
  max_deliver: -1,
  max_ack_pending: MAX_ACK_PENDING,
  inactive_threshold: nanos(UNUSED)
})
