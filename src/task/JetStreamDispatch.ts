/**
 * Gives out the tasks of a fleet: a work-queue of one message for each task that any node may take, under its type and its
 * band of priority. A node asks for as many as it has idle agents for, whose turn is first first, and holds each message as long as
 * its task runs here.
 *
 * Promises: nothing of what is true of a task rests on it. The record in the bucket is the truth, the claim is the fence; the
 * message only says which node tries first. Lost, doubled, late or orphaned it costs at most the grace (HoldOff.ts). A node never
 * holds more messages than it has agents; what it holds is said to be worked on three times in the ack wait; what a
 * dead one held the servers deliver again. What is parked comes again when it is due, what has ended goes.
 *
 * How the stream is set up is JetStreamDispatchStream.ts, what is published JetStreamAnnouncing.ts, what is asked for
 * JetStreamAsking.ts, what a message is worth JetStreamVerdict.ts, what takes away what was left JetStreamDispatchSweep.ts.
 */
import type { NatsConnection } from "nats"
import { isFinal } from "../domain/Task.ts"
import * as Streams from "../state/JetStreamStreams.ts"
import { goesByQueue, type Handing, occupy, type Slot } from "./Handing.ts"
import { HoldOff } from "./HoldOff.ts"
import { JetStreamAnnouncing } from "./JetStreamAnnouncing.ts"
import { JetStreamAsking } from "./JetStreamAsking.ts"
import * as Stream from "./JetStreamDispatchStream.ts"
import { JetStreamDispatchSweep } from "./JetStreamDispatchSweep.ts"
import type { Entry } from "./JetStreamEntry.ts"
import type { Delivered } from "./JetStreamPulls.ts"
import type { JetStreamStore } from "./JetStreamStore.ts"
import { JetStreamUnheard } from "./JetStreamUnheard.ts"
import { afterTrying, type Situation, type Verdict, verdictOf } from "./JetStreamVerdict.ts"
import { begun, type TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"
import { turnOf } from "./Turn.ts"

/** Messages that a node holds, at most. */
const MAX_HELD = 1_000
/** Types of which a node asks the queue at a time; tasks of others are given out as without it. */
const MAX_TYPES = 64
/** How often what is held is said to be worked on, within the ack wait. */
const SIGNS = 3

/** What has never been queued has no message. */
const mayHave = (before: Pick<Entry, "record"> | undefined) =>
  before !== undefined && !isFinal(before.record.state) && before.record.state !== "waiting"

export interface DispatchOptions {
  readonly connection: NatsConnection
  readonly store: JetStreamStore
  readonly bucket: string
  readonly replicas: number
  /** In milliseconds, both. */
  readonly grace: number
  readonly ackWait: number
  readonly linked: () => boolean
  /** There is something to be tried, or what was left to the queue is left no longer. */
  readonly changed: () => void
  /** Told why tasks are given out without the queue for a while, once until it works again. */
  readonly troubled: (why: unknown) => void
}

export class JetStreamDispatch implements Handing {
  private readonly options: DispatchOptions
  private readonly store: JetStreamStore
  private readonly holdOff: HoldOff
  private readonly asking: JetStreamAsking
  private readonly announcing: JetStreamAnnouncing
  private readonly sweep: JetStreamDispatchSweep
  /** Handed to this node and not tried yet. */
  private readonly fresh = new Map<string, Delivered>()
  /** Of tasks that run here. */
  private readonly running = new Map<string, Delivered>()
  private readonly unheard: JetStreamUnheard
  private slots: Array<Slot> = []
  /** The types of which something is left to the queue in this look, and was in the last. */
  private marked = new Set<string>()
  private wanted: ReadonlySet<string> = new Set()
  private wake: ReturnType<typeof setTimeout> | undefined
  private readonly beating: ReturnType<typeof setInterval>
  /** Of its trouble, until it works again. */
  private told = false
  private stopped = false

  private constructor(options: DispatchOptions) {
    const { ackWait, bucket, connection, grace, linked, replicas, store } = options
    this.options = options
    this.store = store
    this.holdOff = new HoldOff(grace)
    const failed = (why: unknown) => this.fail(why)
    this.announcing = new JetStreamAnnouncing({ connection, bucket, linked, failed })
    this.sweep = new JetStreamDispatchSweep({
      connection,
      bucket,
      linked,
      stateOf: (id) => store.get(id)?.state,
      refresh: store.shared.refresh
    })
    this.unheard = new JetStreamUnheard({
      refresh: store.shared.refresh,
      judge: (id, message) => this.judge(id, message)
    })
    this.asking = new JetStreamAsking({
      connection,
      bucket,
      replicas,
      ackWait,
      take: (message) => this.take(message),
      failed,
      again: () => this.ask()
    })
    this.beating = setInterval(() => {
      for (const held of [this.fresh, this.running]) for (const message of held.values()) message.working()
    }, ackWait / SIGNS)
    store.onWrite((entry, before) => this.wrote(entry, before))
    store.shared.listen(({ record }) => this.moved(record))
  }

  /** Makes the stream, where it is not there. Where it can not be made, tasks are given out without it. */
  static async open(options: DispatchOptions): Promise<JetStreamDispatch> {
    const { bucket, connection, replicas } = options
    const making = connection
      .jetstreamManager({ checkAPI: false })
      .then((jsm) => Streams.ensure(jsm, `of the fleet ${bucket}`, Stream.stream(bucket, replicas)))
    const [made] = await Promise.allSettled([making])
    const dispatch = new JetStreamDispatch(options)
    if (made.status === "rejected") dispatch.fail(made.reason)
    return dispatch
  }

  /** Gives back what it holds; completes when the server has that. */
  async stop(): Promise<void> {
    this.stopped = true
    clearInterval(this.beating)
    clearTimeout(this.wake)
    this.unheard.stop()
    this.sweep.stop()
    for (const held of [this.fresh, this.running, this.unheard.messages]) {
      for (const message of held.values()) message.nak()
      held.clear()
    }
    this.asking.stop()
    this.announcing.stop()
    await this.options.connection.flush()
  }

  handed(): ReadonlyArray<string> {
    const turn = (id: string) => {
      const entry = this.store.entry(id)
      return entry === undefined ? 0 : turnOf(entry.record.spec, entry.queuedAt)
    }
    return [...this.fresh.keys()].sort((one, other) => turn(one) - turn(other))
  }

  tried(id: string): void {
    const message = this.fresh.get(id)
    if (message === undefined) return
    this.fresh.delete(id)
    this.follow(id, message, afterTrying(this.store.known(id), this.situation(id)))
  }

  leftFor(task: TaskRecord): number {
    const { id, spec } = task
    const entry = this.store.entry(id)
    // What was begun is not the queue's to give out: its node, or whoever goes for it, need not wait.
    if (entry?.record.state !== "queued" || begun(task) > 0 || !goesByQueue(spec)) return 0
    if (this.stopped || !this.options.linked() || this.fresh.has(id)) return 0
    if (!this.marked.has(spec.type) && this.marked.size >= MAX_TYPES) return 0
    const left = this.holdOff.leftFor({ id, spec, queuedAt: entry.queuedAt }, performance.now())
    if (left > 0) this.marked.add(spec.type)
    return left
  }

  want(slots: ReadonlyArray<Slot>): void {
    this.slots = slots.slice(0, MAX_HELD)
    this.wanted = this.marked
    this.marked = new Set()
    const until = this.holdOff.looked()
    clearTimeout(this.wake)
    if (this.stopped) return
    this.giveBack()
    if (until !== undefined)
      this.wake = setTimeout(this.options.changed, Math.max(1, Math.ceil(until - performance.now())))
    this.ask()
  }

  /** What came meanwhile, and nobody is idle for. */
  private giveBack(): void {
    const slots = [...this.slots]
    for (const [id, message] of this.fresh) {
      if (occupy(slots, this.store.known(id)?.spec.type ?? "")) continue
      this.fresh.delete(id)
      message.nak()
    }
  }

  private ask(): void {
    if (this.stopped || this.slots.length === 0 || this.wanted.size === 0 || !this.options.linked()) return
    const { slots, wanted } = this
    this.asking.ask({ slots, types: wanted, handed: this.specs(), depths: this.store.depths() })
  }

  /** Of what was handed to this node and is not tried. */
  private specs(): ReadonlyArray<TaskSpec> {
    return [...this.fresh.keys()].flatMap((id) => this.store.known(id)?.spec ?? [])
  }

  private fail(why: unknown): void {
    if (this.stopped) return
    this.holdOff.distrust(performance.now())
    if (!this.told) this.options.troubled(why)
    this.told = true
    this.options.changed()
  }

  private take(message: Delivered): void {
    const id = Stream.read(message.subject)?.id
    if (id === undefined) {
      // Nobody of the fleet has written it.
      message.ack()
      return
    }
    if (this.stopped) {
      message.nak()
      return
    }
    for (const held of [this.fresh, this.running, this.unheard.messages]) {
      const known = held.get(id)
      if (known === undefined) continue
      // The same once more, or another one of the same task: one is enough.
      if (known.seq !== message.seq) known.ack()
      held.set(id, message)
      return
    }
    if (this.store.known(id) !== undefined) this.judge(id, message)
    else this.unheard.wait(id, message)
  }

  private situation(id: string): Situation {
    const here = this.store.holding.isHere(id)
    // What lacks a piece is there: nobody can begin it until that is put back.
    const broken = this.store.known(id) === undefined && this.store.has(id)
    return { here, broken, now: Date.now(), ackWait: this.options.ackWait }
  }

  private judge(id: string, message: Delivered): void {
    this.follow(id, message, verdictOf(this.store.known(id), this.situation(id)))
  }

  private follow(id: string, message: Delivered, verdict: Verdict): void {
    if (verdict.what === "drop") message.ack()
    else if (verdict.what === "hold") this.running.set(id, message)
    else if (verdict.what === "back") message.nak(verdict.millis)
    else this.hand(id, message)
  }

  private hand(id: string, message: Delivered): void {
    const entry = this.store.entry(id)
    const slots = [...this.slots]
    for (const { type } of this.specs()) occupy(slots, type)
    // What there is nobody for is for others.
    if (entry === undefined || !occupy(slots, entry.record.spec.type)) {
      message.nak()
      return
    }
    this.fresh.set(id, message)
    this.told = false
    // What was begun comes again when it is due, whatever came after it.
    if (begun(entry.record) === 0) this.holdOff.handed({ id, spec: entry.record.spec, queuedAt: entry.queuedAt })
    this.options.changed()
  }

  private wrote(entry: Entry, before: Pick<Entry, "record"> | undefined): void {
    const { record } = entry
    if (this.stopped || !goesByQueue(record.spec)) return
    const holds = this.fresh.has(record.id) || this.running.has(record.id)
    this.moved(record)
    this.announcing.wrote(entry, before)
    if (isFinal(record.state) && !holds && mayHave(before)) this.sweep.remove(record)
  }

  /** A task has become something else, by whomever. */
  private moved({ id, spec, state }: TaskRecord): void {
    if (this.stopped) return
    this.unheard.heard(id)
    const fresh = this.fresh.get(id)
    const running = this.running.get(id)
    if (fresh !== undefined && state !== "queued") {
      this.fresh.delete(id)
      // The next is asked for when it is said who is idle then.
      if (state === "running" && this.store.holding.isHere(id)) occupy(this.slots, spec.type)
      this.judge(id, fresh)
    } else if (running !== undefined && !(state === "running" && this.store.holding.isHere(id))) {
      this.running.delete(id)
      this.follow(id, running, afterTrying(this.store.known(id), this.situation(id)))
    }
  }
}
