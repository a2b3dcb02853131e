/**
 * What a node knows of the bucket: each task as it was told of last, with its revision. It is fed by the watch and by the
 * node's own writes, each only where it is newer than what is known; it may be behind, and never makes anything up. What no
 * node has written is passed over: a task that was known stays as it was, and the next write of it goes over that.
 */
import { isFinal, type TaskState } from "../domain/Task.ts"
import { type Early, JetStreamBeside } from "./JetStreamBeside.ts"
import { type Beside, type Entry, type Held, taskKey, whole } from "./JetStreamEntry.ts"
import { heldOf, isEntry, isWhole } from "./JetStreamShape.ts"
import { MemoryStore } from "./MemoryStore.ts"
import type { Moved } from "./Move.ts"
import type { TaskRecord } from "./TaskRecord.ts"

export interface Known {
  readonly revision: number
  readonly entry: Entry | undefined
  /** By whom, while a move of several keys is under way. */
  readonly lock: { readonly tx: string; readonly next: unknown } | undefined
  /** What the value says to be true, as it was written. */
  readonly held: Held<unknown> | undefined
}

/** How far the clocks of two nodes may be apart, in milliseconds. */
const SKEW = 5_000

/** Keys that are remembered as passed over until somebody asks. */
const MAX_STRANGE = 100

const nothing: Known = { revision: 0, entry: undefined, lock: undefined, held: undefined }

export class JetStreamMirror extends MemoryStore {
  private readonly known = new Map<string, Known>()
  private readonly listeners = new Set<(moved: Moved) => void>()
  /** Before all that was there is known. */
  private loading: Map<string, Entry> | undefined = new Map()
  /** What stands beside values, and those that lack it. */
  readonly beside = new JetStreamBeside()
  /** Those that were erased here and are to be erased in the bucket. */
  readonly erased: Array<{ readonly id: string; readonly revision: number }> = []
  /** Keys of what was passed over. */
  private readonly strange = new Set<string>()
  private forgetting = false
  private clock = 0
  /** As far as it is known. */
  private dates: { readonly next: number | undefined } | undefined

  override nextDue(): number | undefined {
    this.dates ??= { next: super.nextDue() }
    return this.dates.next
  }

  protected override time(record: TaskRecord): void {
    this.dates = undefined
    super.time(record)
  }

  /** Only so far that no difference between the clocks of two nodes is taken for it. */
  override *ahead(now: number): Iterable<TaskRecord> {
    for (const record of super.ahead(now)) {
      const { dueAt = 0 } = this.get(record.id) ?? {}
      if (dueAt - (record.dueAt ?? 0) > SKEW) yield record
    }
  }

  /** A number greater than all that are known. */
  next(): number {
    return ++this.clock
  }

  listen(heard: (moved: Moved) => void): void {
    this.listeners.add(heard)
  }

  at(key: string): Known {
    return this.known.get(key) ?? nothing
  }

  entry(id: string): Entry | undefined {
    return this.at(taskKey(id)).entry
  }

  *entries(): Iterable<Entry> {
    for (const { entry } of this.known.values()) if (entry !== undefined) yield entry
  }

  *locks(): Iterable<{ readonly key: string; readonly tx: string }> {
    for (const [key, { lock }] of this.known) if (lock !== undefined) yield { key, tx: lock.tx }
  }

  /** Those that nodes hold without a lease of their own. */
  *owned(): Iterable<{ readonly owner: string; readonly record: TaskRecord }> {
    for (const { entry } of this.known.values()) {
      if (entry?.owner !== undefined && entry.record.state === "running") {
        const record = this.get(entry.record.id)
        if (record !== undefined) yield { owner: entry.owner, record }
      }
    }
  }

  /** All that was there is known: in its order from now on. */
  complete(): void {
    const { loading } = this
    if (loading === undefined) return
    this.loading = undefined
    const entries = [...loading.values()].sort((one, other) => one.born - other.born)
    // Listed as they were accepted, queued as they came.
    for (const { record } of entries) super.insert(hidden(record), 0)
    const place = ({ queuedAt, record }: Entry) => (record.state === "queued" ? queuedAt : (record.endedAt ?? 0))
    entries.sort((one, other) => place(one) - place(other))
    for (const entry of entries) this.settle(entry, "waiting")
  }

  piece(key: string, bytes: Uint8Array): void {
    const waiting = this.beside.piece(key, bytes)
    if (waiting === undefined) return
    const [of, value] = waiting
    this.hear(of, value.revision, value.bytes)
  }

  /** What was passed over since this was asked last. */
  passedOver(): ReadonlyArray<string> {
    const keys = [...this.strange]
    this.strange.clear()
    return keys
  }

  /** A value that is there, but not whole: what is known of the task is what it was before. */
  early(key: string): Early | undefined {
    return this.beside.early(key)
  }

  private passOver(key: string, revision: number, before: Known): void {
    if (this.strange.size < MAX_STRANGE) this.strange.add(key)
    this.known.set(key, { ...before, revision, lock: undefined })
  }

  /** A value of a task or a guard, as it stands in the bucket. Undefined: it was erased. */
  hear(key: string, revision: number, bytes: Uint8Array | undefined, watched = false): void {
    const before = this.at(key)
    if (revision > before.revision) this.learn(key, revision, bytes, before)
    // Nothing older can come after it.
    if (watched && bytes === undefined && this.at(key).revision === revision) this.known.delete(key)
  }

  /**
   * The bucket is another one, where nothing stands by the numbers of the one before. What is known stays, until it is told
   * otherwise there, and is written as what is nowhere yet. Moves that were half done were not done.
   */
  rebase(): void {
    for (const [key, { entry, held }] of [...this.known]) {
      if (entry === undefined || held === undefined) this.known.delete(key)
      else this.known.set(key, { revision: 0, entry, lock: undefined, held: { by: held.by, now: held.now } })
    }
    this.beside.clear()
    this.erased.length = 0
  }

  /** What is known here and further than what the bucket has, which somebody has put there who knew less. */
  readonly further = new Set<string>()

  /** What the leader has counts, whatever its number. */
  correct(key: string, revision: number, bytes: Uint8Array): void {
    this.learn(key, revision, bytes, this.at(key))
  }

  private learn(key: string, revision: number, bytes: Uint8Array | undefined, before: Known): void {
    this.beside.waitsNoMore(key)
    const held = heldOf(bytes)
    const now = key.startsWith("task.") ? held?.now : undefined
    if ((bytes !== undefined && held === undefined) || (now !== undefined && !isEntry(key, now)))
      this.passOver(key, revision, before)
    else this.understand(key, revision, bytes, before, held)
  }

  private understand(
    key: string,
    revision: number,
    bytes: Uint8Array | undefined,
    before: Known,
    held: Held<unknown> | undefined
  ): void {
    const now = key.startsWith("task.") ? held?.now : undefined
    const known: Known = { revision, entry: undefined, lock: held?.lock, held }
    const entry = now === undefined ? undefined : this.complement(now as Entry, before.entry)
    if (entry === "strange") this.passOver(key, revision, before)
    else if (entry !== undefined && "lacks" in entry) {
      if (bytes !== undefined) this.beside.waits(key, { revision, bytes, lacks: entry.lacks })
    } else if (before.revision === 0 && entry !== undefined && isFurther(before.entry, entry)) {
      this.known.set(key, { ...before, revision })
      this.further.add(key)
    } else this.take(key, { ...known, entry }, true)
  }

  /**
   * It is not in the bucket, unless something has come to be known of it since this revision was. A task that is known does
   * not go by that: who takes one away says so. It is nowhere then, where `lost`.
   */
  gone(key: string, since: number, lost = false): void {
    const known = this.at(key)
    if (known.revision !== since) return
    if (known.entry === undefined) this.known.delete(key)
    else if (lost) this.known.set(key, { ...known, revision: 0 })
  }

  /** What this node has written itself. */
  wrote(key: string, revision: number, held: Held<unknown>, entry: Entry | undefined): void {
    if (revision <= this.at(key).revision) return
    this.take(key, { revision, entry, lock: held.lock, held }, false)
  }

  private complement(
    entry: Entry,
    before: Entry | undefined
  ): Entry | { readonly lacks: ReadonlyArray<string> } | "strange" {
    const lacks: Array<string> = []
    const beside = <A>(ref: Beside | undefined, same: Beside | undefined, known: A): A | undefined => {
      if (ref === undefined) return undefined
      if (ref.id === same?.id) return known
      const read = this.beside.read<A>(entry.record.id, ref)
      if ("text" in read) return read.text
      lacks.push(...read.lacks)
      return undefined
    }
    try {
      const spec = beside(entry.specIn, before?.specIn, before?.record.spec)
      const result = beside(entry.resultIn, before?.resultIn, before?.record.result)
      if (lacks.length > 0) return { lacks }
      const full = whole(entry, spec, result)
      return isWhole(full) ? full : "strange"
    } catch {
      // Its pieces make no value.
      return "strange"
    }
  }

  private take(key: string, known: Known, told: boolean): void {
    const before = this.at(key)
    const { entry } = known
    this.known.set(key, known)
    this.clock = Math.max(this.clock, entry?.born ?? 0)
    if (this.loading !== undefined) {
      if (entry === undefined) this.loading.delete(key)
      else {
        this.loading.set(key, entry)
        this.beside.takes(entry, before.entry)
      }
      return
    }
    if (entry === undefined) {
      if (before.entry !== undefined) this.drop(before.entry)
      return
    }
    this.beside.takes(entry, before.entry)
    const old = this.get(entry.record.id)
    if (old === undefined) super.insert(hidden(entry.record), 0)
    this.settle(entry, old?.state ?? "waiting", before.entry)
    if (!told) return
    const { record } = entry
    if (old !== undefined && old.state === record.state && old.attempt === record.attempt && !dated(old, record)) return
    for (const heard of this.listeners) heard({ from: old?.state, record })
  }

  private settle(entry: Entry, from: TaskState, before?: Entry): void {
    const { attempts, queuedAt, record, waits } = entry
    const stays =
      from === "queued" &&
      record.state === "queued" &&
      before?.queuedAt === queuedAt &&
      before.record.attempt === record.attempt
    if (stays) this.replace(record)
    else super.update(record, from, queuedAt)
    super.unwait(record.id)
    super.wait(record.id, waits)
    for (const attempt of attempts) super.writeAttempt(record.id, attempt)
  }

  /** Its node is gone: from now on it has a lease, which is over. */
  expire(record: TaskRecord, now: number): void {
    const expired = { ...record, leaseUntil: now }
    this.replace(expired)
    for (const heard of this.listeners) heard({ from: record.state, record: expired })
  }

  private drop(entry: Entry): void {
    const { record } = entry
    // As an ended one: out of the queue, out of its series.
    if (!isFinal(record.state)) super.update({ ...record, state: "cancelled" }, record.state, 0)
    super.unwait(record.id)
    this.beside.leaves(entry)
    this.erase(record.id)
    for (const heard of this.listeners) heard({ from: record.state, record: { ...record, state: "cancelled" } })
  }

  override forget(...kept: Parameters<MemoryStore["forget"]>): void {
    this.forgetting = true
    try {
      super.forget(...kept)
    } finally {
      this.forgetting = false
    }
  }

  protected override erase(id: string): void {
    super.erase(id)
    if (!this.forgetting) return
    const key = taskKey(id)
    const { revision } = this.at(key)
    this.beside.leaves(this.at(key).entry)
    this.known.set(key, { ...nothing, revision })
    this.erased.push({ id, revision })
  }
}

const RANK: Readonly<Record<TaskState, number>> = {
  running: 0,
  parked: 1,
  waiting: 1,
  queued: 2,
  succeeded: 3,
  failed: 3,
  cancelled: 3,
  dead: 3
}

/** Of two that are known of one task: this one has come after the other. */
const isFurther = (one: Entry | undefined, other: Entry): boolean => {
  if (one?.born !== other.born || one.record.submittedAt !== other.record.submittedAt) return false
  const { attempt, before, state } = other.record
  const steps = [one.record.attempt - attempt, one.record.before - before, RANK[one.record.state] - RANK[state]]
  return (steps.find((step) => step !== 0) ?? 0) > 0
}

/** Neither queued nor ended. */
const hidden = (record: TaskRecord): TaskRecord => ({ ...record, state: "waiting" })

const dated = (one: TaskRecord, other: TaskRecord) =>
  one.dueAt !== other.dueAt ||
  one.leaseUntil !== other.leaseUntil ||
  one.beginBy !== other.beginBy ||
  one.endBy !== other.endBy
