/**
 * Looks after the pieces of long texts in the bucket, from time to time: those that a value lacks, and those that no value
 * needs.
 *
 * Promises: a task that this node knows whole gets new pieces in the place of lost ones. A piece is taken away only where this node
 * has found it at two looks, the first LEFT ago, and the leader's value of its task does not refer to it then; whoever has
 * written it for a move begins that move no later than a part of LEFT after it (JetStreamCommit.ts).
 */
import type { JetStreamBucket } from "../state/JetStreamBucket.ts"
import { keysOf, refOf, refsOf } from "./JetStreamBeside.ts"
import { type JetStreamCommit, mentions } from "./JetStreamCommit.ts"
import { taskKey } from "./JetStreamEntry.ts"
import type { JetStreamMirror } from "./JetStreamMirror.ts"

/** How long what no value refers to may be of a move under way, in milliseconds. */
export const LEFT = 10 * 60_000
/** Tasks that are written anew at a look, and texts that are taken away; the rest is found by the next one. */
const AT_ONCE = 100
/** Texts that are remembered as nobody's. */
const MAX_LEFT = 10_000

/** All pieces. */
const PIECES = "beside.>"

export class JetStreamPieces {
  private readonly bucket: JetStreamBucket
  private readonly mirror: JetStreamMirror
  private readonly commit: JetStreamCommit
  private readonly now: () => number
  /** When it was first found, by the id of its pieces. */
  private left: ReadonlyMap<string, number> = new Map()

  constructor(
    bucket: JetStreamBucket,
    mirror: JetStreamMirror,
    commit: JetStreamCommit,
    now: () => number = () => performance.now()
  ) {
    this.bucket = bucket
    this.mirror = mirror
    this.commit = commit
    this.now = now
  }

  async audit(): Promise<void> {
    // What a value refers to that is known by now was written before it.
    const known = [...this.mirror.entries()].filter((entry) => refsOf(entry).length > 0)
    const waiting = this.mirror.beside.waiting()
    const there = new Set(await this.bucket.keys(PIECES))
    for (const piece of waiting) if (!there.has(piece)) this.mirror.beside.drop(piece)
    await this.fetch(there)
    let renewed = 0
    for (const entry of known) {
      const key = taskKey(entry.record.id)
      const lost = refsOf(entry).filter((ref) =>
        keysOf(entry.record.id, ref).some((piece) => !there.has(piece) || this.mirror.beside.isErased(piece))
      )
      if (lost.length === 0) continue
      // It may have come to be otherwise meanwhile, or have been forgotten.
      const { bytes } = await this.bucket.read(key)
      if (this.mirror.entry(entry.record.id) !== entry || !lost.every(({ id }) => mentions(bytes, id))) continue
      await this.commit.renew(key, new Set(lost.map(({ id }) => id)))
      if (++renewed === AT_ONCE) break
    }
    await this.sweep(there)
  }

  /** What is there, and was not heard. */
  private async fetch(there: ReadonlySet<string>): Promise<void> {
    const lacks = [...this.mirror.beside.allEarly()].flatMap(([, early]) => early.lacks)
    for (const piece of lacks.filter((key) => there.has(key)).slice(0, AT_ONCE)) {
      const { bytes } = await this.bucket.read(piece)
      if (bytes !== undefined) this.mirror.piece(piece, bytes)
    }
  }

  private async sweep(there: ReadonlySet<string>): Promise<void> {
    const left = new Map<string, Array<string>>()
    for (const piece of there) {
      const { id } = refOf(piece)
      if (this.mirror.beside.isInUse(id) || left.size >= MAX_LEFT) continue
      const pieces = left.get(id)
      if (pieces === undefined) left.set(id, [piece])
      else pieces.push(piece)
    }
    const now = this.now()
    const since = new Map([...left.keys()].map((id) => [id, this.left.get(id) ?? now]))
    this.left = since
    const old = [...left].filter(([id]) => now - (since.get(id) ?? now) >= LEFT).slice(0, AT_ONCE)
    for (const [id, pieces] of old) {
      const [first = ""] = pieces
      const { bytes } = await this.bucket.read(refOf(first).key)
      if (mentions(bytes, id)) continue
      for (const piece of pieces) await this.bucket.sweep(piece)
    }
  }
}
