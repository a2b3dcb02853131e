/**
 * Compares what a node knows of the tasks with what the leader of the bucket has, from time to time: servers with replicas that
 * are killed lose a key now and then, and a purge by hand keeps from a node what it has not been told yet. What the bucket lacks is put back, by whichever node finds out first; what the node
 * lacks it reads. A task that was forgotten elsewhere a moment ago may come back by that: it has ended, and is forgotten again.
 */
import { isFinal } from "../domain/Task.ts"
import type { JetStreamBucket, Value } from "../state/JetStreamBucket.ts"
import { refsOf } from "./JetStreamBeside.ts"
import { encode, taskKey } from "./JetStreamEntry.ts"
import type { JetStreamMirror } from "./JetStreamMirror.ts"
import { heldOf } from "./JetStreamShape.ts"

/** How often it is tidied between two looks: a minute, with the usual lease. */
export const EVERY = 12
/** Put back or read at a time; the rest is found by the next look. */
const AT_ONCE = 1_000

/** All tasks. */
const TASKS = "task.>"

const sameAs =
  (bytes: Uint8Array) =>
  ({ bytes: found }: Value): boolean =>
    found !== undefined && Buffer.compare(found, bytes) === 0

/** `renew` writes a task with what stands beside it. */
export const audit = async (
  bucket: JetStreamBucket,
  mirror: JetStreamMirror,
  renew: (key: string, lost: ReadonlySet<string>) => Promise<unknown> = () => Promise.resolve()
): Promise<void> => {
  const known = [...mirror.entries()].map(({ record }) => taskKey(record.id))
  // What has come to be known before the leader was asked is there by now.
  const there = new Set(await bucket.keys(TASKS))
  const lost = known.filter((key) => !there.has(key)).slice(0, AT_ONCE)
  for (const key of lost) {
    const { entry, held, revision: was } = mirror.at(key)
    if (held === undefined || held.lock !== undefined || (await bucket.read(key)).revision !== 0) continue
    const refs = entry === undefined ? [] : refsOf(entry)
    if (was === 0 && refs.length > 0) {
      // Another bucket, which has nothing of it.
      await renew(key, new Set(refs.map(({ id }) => id)))
      continue
    }
    const bytes = encode(held)
    const revision = await bucket.put(key, bytes, 0, sameAs(bytes))
    if (revision !== undefined) mirror.hear(key, revision, bytes)
  }
  // What is known here to have come after it goes over it.
  for (const key of [...mirror.further].slice(0, AT_ONCE)) {
    mirror.further.delete(key)
    const { held, lock, revision } = mirror.at(key)
    if (held === undefined || lock !== undefined || revision === 0) continue
    const bytes = encode(held)
    const written = await bucket.put(key, bytes, revision, sameAs(bytes))
    if (written !== undefined) mirror.hear(key, written, bytes)
  }
  // A server that was killed may number its copies otherwise, or not tell the watch of one: of what has not ended, the
  // leader's value counts.
  const open = [...mirror.entries()].filter(({ record }) => !isFinal(record.state)).slice(0, AT_ONCE)
  for (const { record } of open) {
    const key = taskKey(record.id)
    const before = mirror.at(key)
    const { bytes, revision } = await bucket.read(key)
    if (bytes === undefined || mirror.at(key) !== before) continue
    const held = heldOf(bytes)
    // What no node has written tells nothing.
    if (held === undefined) continue
    if (held.by !== before.held?.by || held.lock?.tx !== before.lock?.tx) mirror.correct(key, revision, bytes)
  }
  const unknown = [...there].filter((key) => mirror.at(key).revision === 0).slice(0, AT_ONCE)
  for (const key of unknown) {
    const { bytes, revision } = await bucket.read(key)
    if (revision !== 0) mirror.hear(key, revision, bytes)
  }
}
