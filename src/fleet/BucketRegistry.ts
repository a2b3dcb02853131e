/**
 * The list of nodes in a key-value bucket on the servers, by node. The bucket is made by the first who needs it, and what is
 * older than its age goes by itself: all of it has one age, because servers before 2.11 know none for a single key.
 *
 * With replicas, 2.9 may keep two writes over one revision. Nothing is decided by who wrote here: two nodes of one name that do
 * so at one moment both hear of it with the next, when the one that was told over is refused. So there is no fence.
 */
import { Duration, Effect, Option, Schema, Stream } from "effect"
import { type KV, type KvEntry, type NatsConnection, NatsError, nanos } from "nats"
import * as Streams from "../state/JetStreamStreams.ts"
import type { TransportClosed } from "../transport/TransportError.ts"
import { NodeNameTaken, RegistryUnusable } from "./FleetError.ts"
import { tokenOf } from "./FleetSettings.ts"
import { type Listed, NodeRecord } from "./NodeRecord.ts"
import { byName, type RegistryShape } from "./Registry.ts"

/** What the server may take for one thing that it is asked. */
const PATIENCE = Duration.seconds(5)

/** Records that are read at a time. */
const AT_ONCE = 64

export interface Options {
  readonly bucket: string
  /** What it is to be made with, and its age kept at. Who says nothing uses what is there, and changes nothing. */
  readonly made?: { readonly expire: Duration.Duration; readonly replicas: number }
}

/** The bucket of a fleet, by its prefix. No two prefixes have the same. */
export const bucketOf = (prefix?: string): string => `mister-smith-nodes${tokenOf(prefix)}`

const text = new TextEncoder()
const bytes = new TextDecoder()
const decode = Schema.decodeUnknownOption(Schema.fromJsonString(NodeRecord))

const unusable = (cause: unknown) =>
  new RegistryUnusable({ reason: reasonOf(cause), ...(isNone(cause) ? { none: true } : {}) })

const reasonOf = (cause: unknown): string => {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return /^503$|no responders/i.test(reason)
    ? "no JetStream answers for it: it is off, has no leader now, or the list was deleted"
    : reason
}

/** No such stream. */
const isNone = (error: unknown): boolean => error instanceof NatsError && error.api_error?.err_code === 10059

/** No such message. */
const isMissing = (error: unknown): boolean => error instanceof NatsError && error.api_error?.err_code === 10037

/** Someone else has written since. */
const isOvertaken = (error: unknown): boolean => error instanceof Error && /wrong last sequence/i.test(error.message)

const listedOf = (entry: Pick<KvEntry, "key" | "created" | "string"> & { operation: string }): Listed | undefined => {
  if (entry.operation !== "PUT") return undefined
  const record = Option.getOrUndefined(decode(entry.string()))
  // What a later version writes, or whoever else may: nobody of ours.
  return record === undefined || record.status.node !== entry.key
    ? undefined
    : { ...record, seenAt: entry.created.getTime() }
}

export const make = (
  connection: Effect.Effect<NatsConnection, TransportClosed>,
  { bucket, made }: Options
): RegistryShape => {
  let opened: KV | undefined
  /** Of what this end has written, by node. */
  const revisions = new Map<string, number>()

  const open = async (client: NatsConnection): Promise<KV> => {
    if (opened !== undefined) return opened
    const { views } = client.jetstream()
    if (made === undefined) {
      opened = await views.kv(bucket, { bindOnly: true })
      return opened
    }
    const ttl = Duration.toMillis(made.expire)
    const make = () => views.kv(bucket, { history: 1, ttl, replicas: made.replicas })
    // Where another node makes it at this moment, with another age, the server refuses ours: then it is there.
    const kv = await make().catch(make)
    const manager = await client.jetstreamManager()
    const { config } = await Streams.whenMade(`in the bucket ${bucket}`, () => manager.streams.info(`KV_${bucket}`))
    if (config.max_age !== nanos(ttl)) {
      await manager.streams.update(config.name, {
        ...config,
        max_age: nanos(ttl),
        duplicate_window: Math.min(config.duplicate_window, nanos(ttl))
      })
    }
    opened = kv
    return kv
  }

  const use = <A>(act: (kv: KV, client: NatsConnection) => Promise<A>): Effect.Effect<A, RegistryUnusable> =>
    connection.pipe(
      Effect.flatMap((client) =>
        Effect.tryPromise({ try: async () => act(await open(client), client), catch: (cause) => cause })
      ),
      Effect.timeout(PATIENCE),
      Effect.mapError((cause) => {
        // Another look may find a bucket that has to be made again.
        opened = undefined
        return unusable(cause)
      })
    )

  /** From the stream's leader: with replicas, `kv.get` may be answered by one that is behind. */
  const read = async (client: NatsConnection, node: string) => {
    const manager = await client.jetstreamManager()
    const stored = await manager.streams
      .getMessage(`KV_${bucket}`, { last_by_subj: `$KV.${bucket}.${node}` })
      .catch((error) => {
        if (isMissing(error)) return undefined
        throw error
      })
    if (stored === undefined) return undefined
    const operation = stored.header.get("KV-Operation") || "PUT"
    const listed = listedOf({ key: node, operation, created: stored.time, string: () => bytes.decode(stored.data) })
    return { listed, revision: stored.seq }
  }

  return {
    announce: Effect.fnUntraced(function* (record) {
      const { node } = record.status
      const data = text.encode(JSON.stringify(record))
      const revision = revisions.get(node)
      const written = yield* use(async (kv, client) => {
        if (revision === undefined) return { revision: await kv.put(node, data) }
        try {
          return { revision: await kv.update(node, data, revision) }
        } catch (error) {
          if (!isOvertaken(error)) throw error
          const there = (await read(client, node))?.listed
          // What had been there may have grown too old meanwhile, or was ours although nobody said so.
          if (there === undefined || there.life === record.life) return { revision: await kv.put(node, data) }
          return { taken: there.life }
        }
      })
      if (written.taken !== undefined) {
        revisions.delete(node)
        return yield* new NodeNameTaken({ node, life: written.taken })
      }
      revisions.set(node, written.revision)
    }),
    leave: (node, life) =>
      use(async (kv, client) => {
        revisions.delete(node)
        const there = await read(client, node)
        if (there?.listed?.life !== life) return
        await kv.delete(node, { previousSeq: there.revision }).catch((error) => {
          // A later life has come between.
          if (!isOvertaken(error)) throw error
        })
      }),
    heard: Stream.unwrap(
      Effect.map(
        Effect.acquireRelease(
          use((kv) => kv.watch()),
          (entries) => Effect.sync(() => entries.stop())
        ),
        (entries) =>
          Stream.fromAsyncIterable(entries, unusable).pipe(
            Stream.map((entry) => ({ node: entry.key, at: entry.created.getTime(), listed: listedOf(entry) }))
          )
      )
    ),
    list: use(async (_, client) => {
      // Not `kv.keys()`: it ends early where its reader waits for something else in between.
      const before = `$KV.${bucket}.`
      const manager = await client.jetstreamManager()
      const { state } = await manager.streams.info(`KV_${bucket}`, { subjects_filter: `${before}>` })
      const nodes = Object.keys(state.subjects ?? {}).map((subject) => subject.slice(before.length))
      const found: Array<Listed> = []
      for (let at = 0; at < nodes.length; at += AT_ONCE) {
        const some = await Promise.all(nodes.slice(at, at + AT_ONCE).map((node) => read(client, node)))
        found.push(...some.flatMap((there) => there?.listed ?? []))
      }
      return byName(found)
    })
  }
}
