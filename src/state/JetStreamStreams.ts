/**
 * The streams of a fleet as they must be. Each is made once, by whichever node comes first, and read back: a
 * server passes over settings that it does not know. One that is there and is otherwise is never changed silently: the
 * error names each difference.
 */
import {
  type ConsumerConfig,
  DiscardPolicy,
  type JetStreamManager,
  NatsError,
  nanos,
  RetentionPolicy,
  StorageType,
  type StoredMsg,
  type StreamConfig,
  type StreamInfo
} from "nats"
import { BucketUnusable } from "./BucketError.ts"

export type Wanted = Pick<StreamConfig, "name" | "subjects"> & Partial<StreamConfig>

/** How long a message id is remembered, in milliseconds. */
export const DUPLICATES = 2 * 60_000

export const bucket = (options: {
  readonly name: string
  readonly replicas: number
  readonly maxBytes: number
}): Wanted => ({
  name: `KV_${options.name}`,
  subjects: [`$KV.${options.name}.>`],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  // What is full refuses what is new: nothing that was accepted is driven out.
  discard: DiscardPolicy.New,
  max_msgs_per_subject: 1,
  max_bytes: options.maxBytes,
  max_age: 0,
  num_replicas: options.replicas,
  allow_rollup_hdrs: true,
  deny_delete: false,
  deny_purge: false,
  duplicate_window: nanos(DUPLICATES)
})

/** How long it is known what was to stand over which value; a writer that wakes later is refused by what stands there. */
const FENCED = 2 * 60_000

/** What is to stand over which value: see JetStreamFences.ts. They go by themselves. */
export const fences = ({ name, replicas }: { readonly name: string; readonly replicas: number }): Wanted => ({
  name: `${name}-fences`,
  subjects: [`fence.${name}.>`],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  discard: DiscardPolicy.New,
  max_msgs_per_subject: 1,
  max_age: nanos(FENCED),
  num_replicas: replicas,
  duplicate_window: nanos(DUPLICATES)
})

/** As it is said in an error. */
const shown = (value: unknown) => JSON.stringify(value) ?? "nothing"

export const differences = <A extends object>(
  wanted: A,
  there: Partial<Record<keyof A, unknown>>
): ReadonlyArray<string> =>
  Object.entries(wanted).flatMap(([name, value]) => {
    // What is left out is what it is by default.
    const has = there[name as keyof A] ?? (typeof value === "boolean" ? false : undefined)
    return shown(has) === shown(value) ? [] : [`${name} is ${shown(has)}, not ${shown(value)}`]
  })

const missing = (error: unknown) => error instanceof NatsError && error.api_error?.err_code === 10059

/** Who is refused by what is there. */
export const isWrongLast = (error: unknown): boolean =>
  error instanceof NatsError && [10071, 10164].includes(error.api_error?.err_code ?? 0)

/** For a question whose answer may be that there is no such message. */
export const unlessMissing = (error: unknown): undefined => {
  if (error instanceof NatsError && (error.code === "404" || error.api_error?.err_code === 10037)) return undefined
  throw error
}

/**
 * The first message of a stream from this number on, whatever its subject: by subjects a server that was killed does not find
 * all that it has. The client's type does not know the question, servers from 2.9 on do.
 */
export const messageFrom = (jsm: JetStreamManager, stream: string, seq: number): Promise<StoredMsg | undefined> =>
  jsm.streams.getMessage(stream, { seq, next_by_subj: ">" } as { readonly seq: number }).catch(unlessMissing)

export const ensureConsumer = async (
  jsm: JetStreamManager,
  where: string,
  stream: string,
  wanted: Partial<ConsumerConfig> & { readonly durable_name: string }
): Promise<void> => {
  // The same once more is answered with what is there.
  const { config } = await jsm.consumers.add(stream, wanted)
  const differing = differences(wanted, config as Partial<Record<keyof typeof wanted, unknown>>)
  if (differing.length > 0)
    throw new BucketUnusable({
      where,
      problem: "differs",
      detail: `consumer ${wanted.durable_name} of ${stream}: ${differing.join("; ")}`
    })
}

/** Between two looks whether a stream has been made, in milliseconds, and how many there are. */
const LOOK = 20
const LOOKS = 100

/**
 * Completes with what is said of a stream when it is one. A server of the 2.9 line answers for one that it is still making,
 * as if it had been made in the year 1, and panics when a message of it is asked for then.
 */
export const whenMade = async (where: string, ask: () => Promise<StreamInfo>): Promise<StreamInfo> => {
  for (let looks = 0; looks < LOOKS; looks++) {
    const there = await ask()
    if (!isBeingMade(there)) return there
    await new Promise((resolve) => setTimeout(resolve, LOOK))
  }
  throw new BucketUnusable({ where, problem: "unreachable", detail: "a stream is not made yet" })
}

const isBeingMade = ({ created }: StreamInfo) => new Date(created).getTime() < 0

/** Answers with what is there. */
export const ensure = async (jsm: JetStreamManager, where: string, wanted: Wanted): Promise<StreamInfo> => {
  const there = await whenMade(where, () => infoOf(jsm, wanted))
  const differing = differences(wanted, there.config as Partial<Record<keyof Wanted, unknown>>)
  if (differing.length > 0)
    throw new BucketUnusable({ where, problem: "differs", detail: `stream ${wanted.name}: ${differing.join("; ")}` })
  return there
}

/** It is made where it is not there. */
const infoOf = (jsm: JetStreamManager, wanted: Wanted): Promise<StreamInfo> =>
  jsm.streams.info(wanted.name).catch(async (error: unknown) => {
    if (!missing(error)) throw error
    try {
      return await jsm.streams.add(wanted)
    } catch (refused) {
      // Another node was faster.
      if (refused instanceof NatsError && refused.api_error?.err_code === 10058) return jsm.streams.info(wanted.name)
      throw refused
    }
  })
