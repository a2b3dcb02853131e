/**
 * The home of the StateStore that a fleet shares: one key-value bucket on NATS servers, whose keys begin with the bucket of
 * the contract. What is answered is kept by the servers, by most of the replicas where there are several; what a power loss
 * of a single server can cost is said in docs/nats.md.
 *
 * Reads come from the stream's leader. The revision of a write is its place in the stream, so that no two are the same,
 * whatever bucket they are in. What is removed leaves nothing behind. Of the bound on keys only so many more may be
 * made as nodes make one at the same moment.
 */
import { Effect, Option, Schema } from "effect"
import type { NatsConnection } from "nats"
import { BucketUnusable } from "./BucketError.ts"
import { nameOf, wordOf } from "./BucketKey.ts"
import { JetStreamBucket, type Value } from "./JetStreamBucket.ts"
import { explain, unconnected } from "./JetStreamMeaning.ts"
import { ABSENT, type Entry, refusal, StateStore } from "./StateStore.ts"
import { StateConflict, type StateFull, StateUnusable } from "./StateStoreError.ts"

/** The bucket of a fleet that names none. */
export const BUCKET = "mister-smith-state"
/** How often others may have been faster before an unconditional write is given up. */
const TRIES = 100
/** Values that are read at a time. */
const AT_ONCE = 64

/** `by` is of this write alone: by it whoever lost the answer knows its own. */
const Kept = Schema.Struct({ by: Schema.String, value: Schema.String })
const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Kept))
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export interface JetStreamStateOptions {
  readonly bucket?: string
  readonly replicas?: number
  /** Bytes. Default: as many as the servers give. */
  readonly maxBytes?: number
  /** How long a write is tried while no server answers, in milliseconds. */
  readonly patience?: number
}

/** Each waits for its first server. */
export interface Connections {
  readonly control: Effect.Effect<NatsConnection, unknown>
  readonly bulk: Effect.Effect<NatsConnection, unknown>
}

/** Opened when it is first needed: a node begins also while no server is there. */
export const make = (connections: Connections, options: JetStreamStateOptions = {}): StateStore["Service"] => {
  const { bucket: name = BUCKET, maxBytes = -1, patience, replicas = 1 } = options
  const unusable = (error: unknown) => {
    const { detail, problem } = explain(name, error)
    return new StateUnusable({ where: `the bucket ${name}`, problem, detail })
  }
  let opened: JetStreamBucket | undefined
  const open = Effect.suspend(() => {
    if (opened !== undefined) return Effect.succeed(opened)
    return Effect.all([connections.control, connections.bulk]).pipe(
      Effect.mapError((error) => unusable(unconnected(name, error))),
      Effect.flatMap(([control, bulk]) =>
        Effect.tryPromise({
          try: () =>
            JetStreamBucket.open({
              control,
              bulk,
              name,
              replicas,
              maxBytes,
              ...(patience === undefined ? {} : { patience })
            }),
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
  /** What is refused is thrown. */
  const ask = <A, E = never>(question: (home: JetStreamBucket) => Promise<A>) =>
    Effect.flatMap(open, (home) =>
      Effect.tryPromise({
        try: () => question(home),
        catch: (error): E | StateUnusable => (error instanceof Refused ? (error.fault as E) : unusable(error))
      })
    )
  return StateStore.of(service(ask))
}

class Refused extends Error {
  readonly fault: StateConflict | StateFull
  constructor(fault: StateConflict | StateFull) {
    super(fault.message)
    this.fault = fault
  }
}

type Ask = <A, E = never>(question: (home: JetStreamBucket) => Promise<A>) => Effect.Effect<A, E | StateUnusable>

const contended = ({ where }: JetStreamBucket) =>
  new BucketUnusable({ where, problem: "contended", detail: `${TRIES} tries` })

const before = (bucket: string) => `${wordOf(bucket)}.`
const at = (bucket: string, key: string) => `${before(bucket)}${wordOf(key)}`
const valueOf = ({ bytes }: Value) =>
  bytes === undefined ? undefined : Option.getOrUndefined(decode(decoder.decode(bytes)))?.value
const entryOf = (key: string, there: Value): Entry | undefined => {
  const value = valueOf(there)
  return value === undefined ? undefined : { key, value, revision: there.revision }
}

const service = (ask: Ask): StateStore["Service"] => {
  const write = async (
    home: JetStreamBucket,
    bucket: string,
    key: string,
    value: string,
    there: Value
  ): Promise<number | undefined> => {
    const isNew = valueOf(there) === undefined
    const others = isNew ? (await home.keys(`${before(bucket)}*`)).length : 0
    const full = refusal(bucket, key, value, others)
    if (full !== undefined) throw new Refused(full)
    const bytes = encoder.encode(JSON.stringify({ by: crypto.randomUUID(), value }))
    const isMine = (found: Value) => found.bytes !== undefined && Buffer.compare(found.bytes, bytes) === 0
    return home.put(at(bucket, key), bytes, there.revision, isMine)
  }
  /** Leaves nothing behind, unless it has been written anew meanwhile. */
  const erase = async (home: JetStreamBucket, place: string, expected: number): Promise<boolean> => {
    const erased = await home.put(place, undefined, expected, ({ bytes }) => bytes === undefined)
    if (erased === undefined) return false
    await home.sweep(place, erased).catch(() => undefined)
    return true
  }
  const revisionOf = (there: Value) => (valueOf(there) === undefined ? ABSENT : there.revision)
  const unchanged = (bucket: string, key: string, seen: number, there: Value) => {
    const current = revisionOf(there)
    if (current !== seen) throw new Refused(new StateConflict({ bucket, key, seen, current }))
  }
  return {
    get: (bucket, key) => ask(async (home) => entryOf(key, await home.read(at(bucket, key)))),
    put: (bucket, key, value) =>
      ask<number, StateFull>(async (home) => {
        for (let tries = 0; tries < TRIES; tries++) {
          const revision = await write(home, bucket, key, value, await home.read(at(bucket, key)))
          if (revision !== undefined) return revision
        }
        throw contended(home)
      }),
    swap: (bucket, key, value, seen) =>
      ask<number, StateFull | StateConflict>(async (home) => {
        for (let tries = 0; tries < TRIES; tries++) {
          const there = await home.read(at(bucket, key))
          unchanged(bucket, key, seen, there)
          const revision = await write(home, bucket, key, value, there)
          if (revision !== undefined) return revision
        }
        throw contended(home)
      }),
    remove: (bucket, key, seen) =>
      ask<void, StateConflict>(async (home) => {
        for (let tries = 0; tries < TRIES; tries++) {
          const there = await home.read(at(bucket, key))
          if (seen !== undefined) unchanged(bucket, key, seen, there)
          if (there.revision === ABSENT) return
          if (await erase(home, at(bucket, key), there.revision)) return
        }
        throw contended(home)
      }),
    list: (bucket) =>
      ask(async (home) => {
        const keys = await home.keys(`${before(bucket)}*`)
        const found: Array<Entry> = []
        for (let from = 0; from < keys.length; from += AT_ONCE) {
          const some = keys.slice(from, from + AT_ONCE).map(async (place) => {
            return entryOf(nameOf(place.slice(before(bucket).length)), await home.read(place))
          })
          found.push(...(await Promise.all(some)).filter((entry) => entry !== undefined))
        }
        return found.sort(({ key: a }, { key: b }) => (a < b ? -1 : Number(a > b)))
      })
  }
}
