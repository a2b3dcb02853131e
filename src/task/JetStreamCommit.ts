/**
 * Writes what a transaction has decided: all of it or nothing, whoever dies at which point.
 *
 * One key: one compare-and-set. Several keys: JetStream knows no such thing, so
 *  1. a record of the move is made, which names its keys: it is open;
 *  2. each key is locked by compare-and-set: its value goes on to say what is true, and says besides what will be;
 *  3. the record is set to committed by compare-and-set: from here on all of it is true;
 *  4. each key is set to what is true now, and the record is taken away.
 *
 * Whoever dies before 3 has done nothing: who meets one of its locks sets the record to aborted, by compare-and-set too, so
 * that there is one verdict, and takes the locks away. Whoever dies after 3 has done it all: who meets a lock, or finds it
 * while it looks through what it knows from time to time, finishes 4. A writer that wakes after it was aborted is refused at
 * 3, because the record is no longer as it was; locks that it makes after that belong to no open record and are taken away.
 */
import type { JetStreamBucket, Put, Value } from "../state/JetStreamBucket.ts"
import { keysOf } from "./JetStreamBeside.ts"
import type { Written } from "./JetStreamDraft.ts"
import { type Beside, besideKey, type Entry, encode, type Held, lean, pieces, txKey } from "./JetStreamEntry.ts"
import type { JetStreamMirror } from "./JetStreamMirror.ts"
import { heldOf, type Tx, txOf } from "./JetStreamShape.ts"
import { explain } from "./JetStreamUnusable.ts"

/** Writes of one move that are under way at once. */
const AT_ONCE = 256
/** How long another node's move may take before it is ended for it, in milliseconds. */
const GRACE = 1_000
const LOOK = 20
/** At how many looks a record may be there before its move is ended for who has begun it. */
const LEFT = 3

/** Where a test ends a node. */
export type Step = "opened" | "locking" | "locked" | "committed" | "rolled"

/** Of two outcomes there is a third: it was stopped there by a test. */
export class Stopped extends Error {}

/** How long after its first piece a value may still be begun: its pieces must not count as left by then. */
const FRESH = 60_000

interface Ready extends Written {
  readonly leanNext: unknown
  /** What was written beside it for this try. */
  readonly made: ReadonlyArray<Beside>
}

export class JetStreamCommit {
  private readonly bucket: JetStreamBucket
  private readonly mirror: JetStreamMirror
  private readonly session: string
  private readonly at: (step: Step) => void
  private count = 0
  /** The moves of this node that are under way. */
  private readonly own = new Map<string, Promise<unknown>>()
  /** Records of moves that were there at the last looks, and at how many. */
  private left: ReadonlyMap<string, number> = new Map()

  constructor(bucket: JetStreamBucket, mirror: JetStreamMirror, session: string, at: (step: Step) => void = () => {}) {
    this.bucket = bucket
    this.mirror = mirror
    this.session = session
    this.at = at
  }

  /**
   * True where all of it is kept; false where others were faster, whose values are known now. `tried` are the earlier
   * tries of the same: one of which the answer was lost may turn out to be what is there.
   */
  async write(writes: ReadonlyArray<Written>, tried: Set<string> = new Set()): Promise<boolean> {
    const locked = writes.flatMap(({ key }) => {
      const { lock } = this.mirror.at(key)
      return lock === undefined ? [] : [{ key, tx: lock.tx }]
    })
    if (locked.length > 0) {
      for (const { key, tx } of locked) if (this.mirror.at(key).lock?.tx === tx) await this.unlock(key, tx)
      return false
    }
    const by = `${this.session}-${(++this.count).toString(36)}`
    tried.add(by)
    const begun = performance.now()
    const ready = await each(writes, (write) => this.beside(write))
    const isLate = () => ready.some(({ made }) => made.length > 0) && performance.now() - begun > FRESH
    const [only] = ready
    const under =
      ready.length === 1 && only !== undefined ? this.single(by, only, isLate) : this.together(by, ready, isLate)
    const written = await under
    // Of what has failed it is not known whether it is there.
    if (!written) void each(ready, (one) => this.unmake(one)).catch(() => undefined)
    return written
  }

  /** A move that others must not end while it is under way. */
  private async together(by: string, ready: ReadonlyArray<Ready>, isLate: () => boolean): Promise<boolean> {
    const under = this.several(by, ready, isLate)
    this.own.set(
      by,
      under.catch(() => undefined)
    )
    try {
      return await under
    } finally {
      this.own.delete(by)
    }
  }

  /** What stands beside a value that was refused is taken away, unless it is there all the same. */
  private async unmake({ entry, key, made }: Ready): Promise<void> {
    if (entry === undefined || made.length === 0) return
    const { bytes } = await this.bucket.read(key)
    for (const ref of made)
      if (!mentions(bytes, ref.id)) for (const piece of keysOf(entry.record.id, ref)) await this.bucket.sweep(piece)
  }

  /** Writes a task that is known whole once more, with new pieces in the place of these, which are lost. */
  async renew(key: string, lost: ReadonlySet<string>): Promise<boolean> {
    const { entry, held, lock, revision } = this.mirror.at(key)
    if (entry === undefined || held === undefined || lock !== undefined) return false
    const { resultIn, specIn, ...rest } = entry
    const stays = (ref: Beside | undefined) => ref !== undefined && !lost.has(ref.id)
    const next: Entry = { ...rest, ...(stays(specIn) ? { specIn } : {}), ...(stays(resultIn) ? { resultIn } : {}) }
    return this.write([{ key, expected: revision, before: held.now, next, entry: next }])
  }

  /** What is long is written first. */
  private async beside(write: Written): Promise<Ready> {
    const { entry } = write
    if (entry === undefined) return { ...write, leanNext: write.next, made: [] }
    const made: Array<Beside> = []
    const { id, result, spec } = entry.record
    const put = async (value: unknown, known: Beside | undefined): Promise<Beside | undefined> => {
      if (known !== undefined || value === undefined) return known
      const parts = pieces(value)
      if (parts === undefined) return undefined
      const ref: Beside = { id: crypto.randomUUID(), parts: parts.length }
      made.push(ref)
      for (const [part, bytes] of parts.entries())
        if ((await this.bucket.put(besideKey(id, ref, part), bytes, 0, sameBytes(bytes))) === undefined)
          throw explain(this.bucket.where, new Error(`${id} stands beside itself`))
      return ref
    }
    const specIn = await put(spec, entry.specIn)
    const resultIn = await put(result, entry.resultIn)
    const full: Entry = {
      ...entry,
      ...(specIn === undefined ? {} : { specIn }),
      ...(resultIn === undefined ? {} : { resultIn })
    }
    return { ...write, entry: full, next: full, leanNext: lean(full), made }
  }

  private put(key: string, held: Held<unknown>, expected: number): Promise<Put> {
    return this.bucket.put(key, encode(held), expected, isBy(held.by, held.lock === undefined))
  }

  /** What is there now, as the leader has it. */
  async catchUp(keys: Iterable<string>): Promise<void> {
    await each([...keys], async (key) => {
      const known = this.mirror.at(key).revision
      const { bytes, revision } = await this.bucket.read(key)
      // With replicas a fence decides what is written over a value that was lost.
      if (revision === 0) this.mirror.gone(key, known, !this.bucket.replicated)
      else this.mirror.hear(key, revision, bytes)
    })
  }

  private async single(by: string, { entry, expected, key, leanNext }: Ready, isLate: () => boolean): Promise<boolean> {
    if (isLate()) return false
    const held: Held<unknown> = { by, now: leanNext }
    const revision = await this.put(key, held, expected)
    if (revision === undefined) {
      await this.catchUp([key])
      return false
    }
    await this.wrote(key, revision, held, entry)
    return true
  }

  /**
   * It is there, and so it is what this node knows: also where the watch has told of what it stands over with a higher number,
   * as after a change of who leads that numbers its copy otherwise.
   */
  private async wrote(key: string, revision: number, held: Held<unknown>, entry: Entry | undefined): Promise<void> {
    this.mirror.wrote(key, revision, held, entry)
    const known = this.mirror.at(key).held
    if (known?.by === held.by && known.lock === undefined) return
    // Who cannot be asked has not been heard to say otherwise.
    const there = await this.bucket.read(key).catch(() => ({ bytes: encode(held), revision }))
    const standing = heldOf(there.bytes)
    if (there.bytes !== undefined && standing?.by === held.by && standing.lock === undefined)
      this.mirror.correct(key, there.revision, there.bytes)
  }

  private async several(by: string, writes: ReadonlyArray<Ready>, isLate: () => boolean): Promise<boolean> {
    const keys = writes.map(({ key }) => key)
    const record = (state: Tx["state"]): Uint8Array => encode({ by, state, keys } satisfies Tx)
    const opened = await this.bucket.put(txKey(by), record("open"), 0, isState("open"))
    if (opened === undefined) return false
    this.at("opened")
    const locks = new Map<string, number>()
    try {
      if (!(await this.lock(by, writes, locks)) || isLate()) {
        await this.settle(by, keys)
        await this.catchUp(keys)
        return false
      }
      this.at("locked")
      const committed = await this.bucket.put(txKey(by), record("committed"), opened, isState("committed"))
      if (committed === undefined) {
        // Somebody has taken this node for dead, or the answer was lost and a server that was behind was asked.
        const over = await this.settle(by, keys)
        await this.catchUp(keys)
        return over
      }
    } catch (error) {
      // Whether it was committed or not: there is one verdict.
      if (!(error instanceof Stopped)) void this.settle(by, keys).catch(() => undefined)
      throw error
    }
    this.at("committed")
    for (const { entry, key, leanNext } of writes)
      this.mirror.wrote(key, locks.get(key) ?? 0, { by, now: leanNext }, entry)
    // It is true whatever happens from here on: what cannot be written now others finish.
    await this.roll(by, writes, locks).catch((error: unknown) => {
      if (error instanceof Stopped) throw error
    })
    return true
  }

  private async lock(by: string, writes: ReadonlyArray<Ready>, locks: Map<string, number>): Promise<boolean> {
    let refused = false
    await each(writes, async ({ before, expected, key, leanNext }) => {
      // One that is refused is enough.
      if (refused) return
      const held: Held<unknown> = {
        by,
        ...(before === undefined ? {} : { now: before }),
        lock: { tx: by, next: leanNext }
      }
      const revision = await this.put(key, held, expected)
      if (revision === undefined) refused = true
      else locks.set(key, revision)
      this.at("locking")
    })
    return !refused
  }

  private async roll(by: string, writes: ReadonlyArray<Ready>, locks: ReadonlyMap<string, number>): Promise<void> {
    await each(writes, async ({ entry, key, leanNext }) => {
      const held: Held<unknown> = { by, now: leanNext }
      const revision = await this.put(key, held, locks.get(key) ?? 0)
      if (revision !== undefined) await this.wrote(key, revision, held, entry)
    })
    this.at("rolled")
    await this.bucket.sweep(txKey(by))
  }

  /** Sets these keys to what is true, and takes the record away. */
  private async finish(tx: string, keys: ReadonlyArray<string>, committed: boolean): Promise<void> {
    await each(keys, async (key) => {
      for (;;) {
        const { bytes, revision } = await this.bucket.read(key)
        if (bytes === undefined) return
        const held = heldOf(bytes)
        if (held?.lock?.tx !== tx) return this.mirror.hear(key, revision, bytes)
        const now = committed ? held.lock.next : held.now
        const by = `${this.session}-${(++this.count).toString(36)}`
        const next = now === undefined ? undefined : encode({ by, now } satisfies Held<unknown>)
        const written = await this.bucket.put(key, next, revision, isBy(by, true))
        if (written === undefined) continue
        this.mirror.hear(key, written, next)
        if (next === undefined) await this.bucket.sweep(key, written)
        return
      }
    })
    await this.bucket.sweep(txKey(tx))
  }

  /** Completes when this key is no longer locked by that move. */
  async unlock(key: string, tx: string, grace = GRACE): Promise<void> {
    const own = this.own.get(tx)
    if (own !== undefined) return void (await own)
    for (let waited = 0; waited < grace; waited += LOOK) {
      if (this.mirror.at(key).lock?.tx !== tx) return
      await new Promise((resolve) => setTimeout(resolve, LOOK))
    }
    await this.settle(tx, [key])
  }

  /** Ends what nobody is at: moves whose record is there at one look after the other, whether a lock tells of them or not. */
  async endLeft(): Promise<void> {
    const there = (await this.bucket.keys(txKey(">"))).map((key) => key.slice(txKey("").length))
    const looks = new Map(there.map((tx) => [tx, (this.left.get(tx) ?? 0) + 1]))
    this.left = looks
    for (const [tx, seen] of looks) if (seen >= LEFT && !this.own.has(tx)) await this.settle(tx, [])
  }

  /** Finishes a move as its record says, or as is said in it now: that it is not to be. True where it was. */
  private async settle(tx: string, known: ReadonlyArray<string>): Promise<boolean> {
    for (;;) {
      const { bytes, revision } = await this.bucket.read(txKey(tx))
      const record = txOf(bytes)
      if (record?.state === "committed") {
        await this.finish(tx, record.keys, true)
        return true
      }
      const keys = record?.keys ?? known
      // It may be committed in this moment; and where nothing is known of it, nothing must come to be.
      const verdict: Tx = { by: tx, state: "aborted", keys }
      const aborted =
        record?.state === "aborted" ||
        (await this.bucket.put(txKey(tx), encode(verdict), revision, isState("aborted"))) !== undefined
      if (!aborted) continue
      await this.finish(tx, keys, false)
      return false
    }
  }

  /** One of these tries is what is there. */
  isThere(writes: ReadonlyArray<Written>, tried: ReadonlySet<string>): boolean {
    const [only, ...others] = writes
    return only !== undefined && others.length === 0 && tried.has(this.mirror.at(only.key).held?.by ?? "")
  }

  /** Takes a task's key away, where it is as it was known. */
  async erase(key: string, expected: number): Promise<boolean> {
    const revision = await this.bucket.put(key, undefined, expected, ({ bytes }) => bytes === undefined)
    if (revision === undefined) {
      await this.catchUp([key])
      return false
    }
    await this.bucket.sweep(key, revision)
    return true
  }
}

/** Whether a value refers to what stands beside under this id. */
export const mentions = (bytes: Uint8Array | undefined, id: string): boolean =>
  bytes !== undefined && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(id)

const isBy =
  (by: string, free: boolean) =>
  ({ bytes }: Value): boolean => {
    const held = heldOf(bytes)
    return held?.by === by && (held.lock === undefined) === free
  }

const isState =
  (state: Tx["state"]) =>
  ({ bytes }: Value): boolean =>
    txOf(bytes)?.state === state

const sameBytes =
  (wanted: Uint8Array) =>
  ({ bytes }: Value): boolean =>
    bytes !== undefined && Buffer.compare(bytes, wanted) === 0

/** In their order, so many at once. Waits for all that were begun, and fails with the first that has. */
const each = async <A, B>(all: ReadonlyArray<A>, work: (one: A) => Promise<B>): Promise<ReadonlyArray<B>> => {
  const done: Array<B> = []
  let next = 0
  let failed: { readonly error: unknown } | undefined
  const worker = async () => {
    while (next < all.length && failed === undefined) {
      const at = next++
      try {
        done[at] = await work(all[at] as A)
      } catch (error) {
        failed ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, all.length) }, worker))
  if (failed !== undefined) throw failed.error
  return done
}
