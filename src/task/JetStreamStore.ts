/**
 * The bucket as the ledger sees it: what it asks is answered by the mirror, and what it writes is a draft until that is
 * committed. Also who is there: each node sets a key of its own again and again, and who is silent for too long while
 * others are not (JetStreamPeers.ts) has lost what it held.
 */
import { Effect } from "effect"
import { isFinal, type TaskState } from "../domain/Task.ts"
import type { Heard, JetStreamBucket } from "../state/JetStreamBucket.ts"
import { unconnected } from "../state/JetStreamMeaning.ts"
import { pause } from "../state/JetStreamMessages.ts"
import type { PeerChange, PeerSettings } from "../supervision/Peers.ts"
import { peersAfter } from "./FailureSettings.ts"
import type { Early } from "./JetStreamBeside.ts"
import { JetStreamCommit, type Step } from "./JetStreamCommit.ts"
import { JetStreamDraft, type Written } from "./JetStreamDraft.ts"
import { type Entry, taskKey, wordOf } from "./JetStreamEntry.ts"
import { JetStreamHolding } from "./JetStreamHolding.ts"
import { JetStreamMirror } from "./JetStreamMirror.ts"
import { JetStreamName } from "./JetStreamName.ts"
import { JetStreamPeers } from "./JetStreamPeers.ts"
import { BACK, JetStreamSeen } from "./JetStreamSeen.ts"
import { explain } from "./JetStreamUnusable.ts"
import { JetStreamUpkeep } from "./JetStreamUpkeep.ts"
import type { LedgerStore, Shared } from "./LedgerStore.ts"
import type { Depth } from "./MemoryStore.ts"
import { Refusal } from "./Move.ts"
import { LedgerUnusable } from "./TaskError.ts"
import type { AttemptRecord, TaskFilter, TaskRecord } from "./TaskRecord.ts"

/** How often others may have been faster before a transaction is given up. */
const TRIES = 100
/** How often it may have been refused by what nobody can see. */
const BLIND = 3
/** From so many on it waits a while, by chance, at most so long, in milliseconds. */
const PATIENT = 3
const PAUSE = 50
/** How often it is looked at what has refused a write. */
const LOOKS = 100
/** At which look a task that lacks pieces is told of: others may be about to put them back. */
const TOLD_AT = 2

/** In the place of a node's name, where there is none: no node is called so. */
const VISITOR = "-"

/** What a node has come to be, with how many tasks it holds. */
export interface NodeChange extends PeerChange {
  readonly tasks: number
}

/** What this node has written of a task, and what was there before, whose long texts are left out. */
export type Wrote = (entry: Entry, before: Pick<Entry, "record"> | undefined) => void
/** An end that this node has written; or `again` one that perhaps nobody has told. */
export type Ended = (entry: Entry, again: boolean) => void

/** Ends that are older have been told, or are left to whoever reads the ledger, in milliseconds. */
const RECENT = 10 * 60_000

export interface StoreOptions {
  readonly node: string
  /** Tells two of one name apart (JetStreamName.ts). */
  readonly home: string | undefined
  readonly peers: PeerSettings
  /** Told that another one of this name is looked after. */
  readonly waits: (who: string) => void
  /** False while there is no connection: what cannot succeed is not begun. */
  readonly linked: () => boolean
  readonly at?: ((step: Step) => void) | undefined
}

interface Attempt<A> {
  readonly answer: A
  readonly draft: JetStreamDraft
}

export class JetStreamStore implements LedgerStore {
  readonly shared: Shared
  readonly peers: JetStreamPeers
  private readonly bucket: JetStreamBucket
  private readonly name: JetStreamName
  private readonly mirror = new JetStreamMirror()
  private readonly commit: JetStreamCommit
  readonly upkeep: JetStreamUpkeep
  private readonly linked: () => boolean
  private readonly node: string
  private readonly session: string
  private visiting = false
  private draft: JetStreamDraft | undefined
  readonly holding: JetStreamHolding
  /** Tasks that lack pieces, and at how many looks in a row. */
  private lackedAt: ReadonlyMap<string, number> = new Map()
  private readonly seen = new JetStreamSeen()
  private watch: ReturnType<JetStreamBucket["watch"]> | undefined
  private readonly ends = new Set<Ended>()
  private readonly writes = new Set<Wrote>()

  private constructor(bucket: JetStreamBucket, { at, home, linked, node, peers, waits }: StoreOptions) {
    this.bucket = bucket
    this.linked = linked
    this.peers = new JetStreamPeers(node, peers)
    this.node = node
    this.holding = new JetStreamHolding(node, this.mirror, this.peers)
    this.session = `${wordOf(node)}-${crypto.randomUUID().slice(0, 8)}`
    this.commit = new JetStreamCommit(bucket, this.mirror, this.session, at)
    this.upkeep = new JetStreamUpkeep({
      bucket,
      mirror: this.mirror,
      commit: this.commit,
      hearAnew: async () => {
        this.seen.forget()
        this.watch?.fromTheBeginning()
        await this.refresh()
      }
    })
    this.name = new JetStreamName({ bucket, node, session: this.session, home, peers, waits })
    this.shared = {
      node,
      transact: (work) => this.transaction(work),
      refresh: Effect.suspend(() =>
        linked() ? Effect.promise(() => this.refresh().catch(() => undefined)) : Effect.void
      ),
      reachable: () => linked() && bucket.reachable(),
      listen: (heard) => this.mirror.listen(heard)
    }
  }

  /** Completes when all that was there is known. */
  static async open(bucket: JetStreamBucket, options: StoreOptions): Promise<JetStreamStore> {
    const store = new JetStreamStore(bucket, options)
    await store.read()
    try {
      await store.name.take()
    } catch (error) {
      store.stop()
      throw error
    }
    return store
  }

  /** For who is no node: it has no name, and does nothing of itself. */
  static async visit(bucket: JetStreamBucket): Promise<JetStreamStore> {
    const store = new JetStreamStore(bucket, {
      node: VISITOR,
      home: undefined,
      linked: () => true,
      peers: peersAfter(BACK),
      waits: () => {}
    })
    store.visiting = true
    await store.read()
    return store
  }

  private read(): Promise<void> {
    return new Promise<void>((complete) => {
      this.watch = this.bucket.watch(
        (heard) => this.hear(heard),
        () => {
          this.mirror.complete()
          this.peers.complete()
          complete()
        }
      )
    })
  }

  /** Hears of each move that this node writes. */
  onWrite(wrote: Wrote): void {
    this.writes.add(wrote)
  }

  /** Hears of each end that this node writes, and now of those of late. */
  onEnd(ended: Ended): void {
    this.ends.add(ended)
    this.onWrite((entry, before) => {
      if (isFinal(entry.record.state) && (before === undefined || !isFinal(before.record.state))) ended(entry, false)
    })
    this.lately()
  }

  /** What others have ended of late, who may have died before they told it. */
  lately(): void {
    if (this.ends.size === 0) return
    const since = Date.now() - RECENT
    for (const entry of this.mirror.entries())
      if (isFinal(entry.record.state) && (entry.record.endedAt ?? 0) > since)
        for (const ended of this.ends) ended(entry, true)
  }

  stop(): void {
    this.watch?.stop()
  }

  private hear({ bytes, key, revision }: Heard): void {
    try {
      if (key.startsWith("beside.")) {
        if (bytes !== undefined) this.mirror.piece(key, bytes)
        else this.mirror.beside.erased(key)
      } else if (key.startsWith("node.")) {
        if (key === this.name.key) this.name.hear(revision, bytes)
        this.peers.hear(key.slice("node.".length), bytes)
      } else if (!key.startsWith("tx.")) this.mirror.hear(key, revision, bytes, true)
    } finally {
      this.seen.told(revision)
    }
  }

  /** False: what was written before is not known yet, or nobody can say so. */
  private async refresh(): Promise<boolean> {
    const mark = this.visiting ? (await this.bucket.last()).revision : await this.name.sign()
    if (await this.seen.upTo(mark)) return true
    this.watch?.again()
    // What a visitor goes by may have been taken away, so that it never comes.
    return (await this.seen.upTo(this.visiting ? this.seen.last + 1 : mark)) || this.visiting
  }

  /** A sign of life, and what has come to be of the others. `regular`: one of those that are given in a rhythm. */
  async beat(regular: boolean): Promise<ReadonlyArray<NodeChange>> {
    const asOf = this.peers.asOf()
    let heard = false
    try {
      heard = await this.seen.upTo(await this.name.sign(regular))
    } finally {
      if (!heard) this.peers.deaf()
    }
    if (!heard) {
      // What others have said may be on its way: no verdict is passed.
      this.watch?.again()
      return []
    }
    return this.peers.judge(asOf).map((change) => ({ ...change, tasks: this.holding.heldBy(change.peer) }))
  }

  entry(id: string): Entry | undefined {
    return this.mirror.entry(id)
  }

  /** Keys of what was passed over since this was asked last, because no node has written it so. */
  passedOver(): ReadonlyArray<string> {
    return this.mirror.passedOver()
  }

  /** Keys of tasks that are there, but lacked pieces at two looks in a row, and were not told before. */
  incomplete(): ReadonlyArray<string> {
    const looks = new Map<string, number>()
    for (const [key] of this.mirror.beside.allEarly())
      if (this.lacking(key) !== undefined) looks.set(key, (this.lackedAt.get(key) ?? 0) + 1)
    this.lackedAt = looks
    return [...looks].filter(([, seen]) => seen === TOLD_AT).map(([key]) => key)
  }

  /** What pieces a value lacks, where those that were written before it are known. */
  private lacking(key: string): Early | undefined {
    const early = this.mirror.early(key)
    return early !== undefined && early.revision <= this.seen.last ? early : undefined
  }

  /** Fails where it is there, but not all of it. */
  private assertWhole(key: string): void {
    const early = this.lacking(key)
    if (early === undefined) return
    const [first, ...others] = early.lacks
    const more = others.length === 0 ? "" : ` and ${others.length} more`
    const detail = `${key} is there, but what it refers to is not: ${first}${more}`
    throw new LedgerUnusable({ where: this.bucket.where, problem: "incomplete", detail })
  }

  /** What this node holds is free at once. */
  leave(): Promise<void> {
    return this.name.leave()
  }

  private attemptOnce<A>(work: () => A): Attempt<A> | Refusal<unknown> {
    const draft = new JetStreamDraft(this.mirror, this.node)
    this.draft = draft
    try {
      return { answer: work(), draft }
    } catch (error) {
      if (error instanceof Refusal) return error
      throw error
    } finally {
      this.draft = undefined
    }
  }

  private transaction<A>(work: () => A): Effect.Effect<A, unknown> {
    return Effect.suspend(() => {
      let first: Attempt<A> | Refusal<unknown>
      try {
        first = this.attemptOnce(work)
      } catch (error) {
        return Effect.fail(error)
      }
      if (!(first instanceof Refusal) && first.draft.isEmpty) return Effect.succeed(first.answer)
      const begun = first
      if (!this.linked())
        return Effect.fail(
          explain(this.bucket.where, unconnected(this.bucket.where, "there is no connection to a server"))
        )
      return Effect.tryPromise({ try: () => this.goOn(work, begun), catch: (error) => error })
    })
  }

  private async goOn<A>(work: () => A, begun: Attempt<A> | Refusal<unknown>): Promise<A> {
    this.name.check()
    let attempt = begun
    const tried = new Set<string>()
    let blind = 0
    for (let tries = 0; tries < TRIES && blind < BLIND; tries++) {
      if (attempt instanceof Refusal) attempt = await this.reconsider(work)
      const { answer, draft } = attempt
      if (draft.isEmpty) return answer
      const written = draft.written()
      const outcome = await this.write(written, tried, tries)
      if (outcome === "refused blindly") blind++
      if (outcome === "written") {
        for (const { before, entry } of written) {
          if (entry === undefined) continue
          if (entry.record.state === "running" && entry.owner === this.node)
            this.holding.begun(entry.record.id, entry.record.attempt)
          for (const wrote of this.writes) wrote(entry, before as Entry | undefined)
        }
        return answer
      }
      attempt = this.attemptOnce(work)
    }
    const detail = blind < BLIND ? `${TRIES} tries` : "the servers refuse it, and do not tell by what"
    throw new LedgerUnusable({ where: this.bucket.where, problem: "contended", detail })
  }

  /** What is refused may rest on what is true no more: it counts only with all that was written before, and else is no verdict. */
  private async reconsider<A>(work: () => A): Promise<Attempt<A>> {
    if (!(await this.refresh())) {
      const detail = "what was written last does not come back"
      throw new LedgerUnusable({ where: this.bucket.where, problem: "unreachable", detail })
    }
    const attempt = this.attemptOnce(work)
    if (attempt instanceof Refusal) throw attempt
    return attempt
  }

  /** What has refused it is known then, unless it was refused blindly; or it was an earlier try of its own. */
  private async write(
    written: ReadonlyArray<Written>,
    tried: Set<string>,
    tries: number
  ): Promise<"written" | "refused" | "refused blindly"> {
    if (await this.commit.write(written, tried)) return "written"
    if (tries >= PATIENT) await pause(PAUSE * Math.random())
    // A server that has just come to lead may not know yet what it refuses by.
    const behind = () => written.every(({ expected, key }) => this.mirror.at(key).revision === expected)
    for (let looks = 0; looks < LOOKS && behind(); looks++) {
      for (const { key } of written) this.assertWhole(key)
      await pause(PAUSE)
      await this.commit.catchUp(written.map(({ key }) => key))
    }
    if (this.commit.isThere(written, tried)) return "written"
    return behind() ? "refused blindly" : "refused"
  }

  /** The ledger writes within `shared.transact` only. */
  transact<A>(_durable: boolean, work: () => A): A {
    return work()
  }

  unusable(error: unknown): LedgerUnusable {
    return explain(this.bucket.where, error)
  }

  private get writing(): JetStreamDraft {
    if (this.draft === undefined) throw new Error("a write outside of a transaction")
    return this.draft
  }

  get(id: string): TaskRecord | undefined {
    const record = (this.draft ?? this.mirror).get(id)
    if (record === undefined) this.assertWhole(taskKey(id))
    return record
  }
  /** The same, where nobody is to be told that it is not whole: undefined then, too. */
  known(id: string): TaskRecord | undefined {
    return this.mirror.get(id)
  }
  has(id: string): boolean {
    return (this.draft ?? this.mirror).get(id) !== undefined || this.lacking(taskKey(id)) !== undefined
  }
  insert(record: TaskRecord, now: number): void {
    this.writing.insert(record, now)
  }
  update(record: TaskRecord, from: TaskState, now: number): void {
    this.writing.update(record, from, now)
  }
  wait(id: string, on: ReadonlyArray<string>): void {
    this.writing.wait(id, on)
  }
  unwait(id: string, on?: string): number {
    return this.writing.unwait(id, on)
  }
  waiters(on: string): ReadonlyArray<string> {
    return (this.draft ?? this.mirror).waiters(on)
  }
  writeAttempt(id: string, attempt: AttemptRecord): void {
    this.writing.writeAttempt(id, attempt)
  }
  attempt(id: string, attempt: number): AttemptRecord | undefined {
    return (this.draft ?? this.mirror).attempt(id, attempt)
  }
  history(id: string): ReadonlyArray<AttemptRecord> {
    return this.mirror.history(id)
  }
  heads(passOver: ReadonlyArray<string>): ReadonlyArray<TaskRecord> {
    return this.mirror.heads(passOver)
  }
  interrupted(ids: ReadonlyArray<string>): ReadonlyArray<TaskRecord> {
    return this.mirror.interrupted(ids)
  }
  depths(): Iterable<Depth> {
    return this.mirror.depths()
  }
  list(filter: TaskFilter): ReadonlyArray<TaskRecord> {
    return this.mirror.list(filter)
  }
  /** What other nodes hold is theirs. */
  unleased(): ReadonlyArray<TaskRecord> {
    return this.mirror.unleased().filter(({ id }) => this.mirror.entry(id)?.owner === this.node)
  }
  due(now: number, limit: number): ReadonlyArray<TaskRecord> {
    if (this.visiting) return []
    return this.mirror.due(now, limit)
  }
  nextDue(): number | undefined {
    if (this.visiting) return undefined
    return (this.draft ?? this.mirror).nextDue()
  }
  setBack(now: number): void {
    for (const record of [...this.mirror.ahead(now)]) this.writing.update(record, "parked", now)
  }
  openOf(series: string): ReadonlyArray<TaskRecord> {
    return (this.draft ?? this.mirror).openOf(series)
  }
  open(): number {
    return this.mirror.open()
  }
  forget(...kept: Parameters<LedgerStore["forget"]>): void {
    this.mirror.forget(...kept)
  }
}
