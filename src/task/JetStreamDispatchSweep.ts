/**
 * Takes messages of tasks that have ended out of the queue that gives them out, where nobody acknowledges them: the task was
 * taken without its message, or cancelled; its acknowledgement was lost; or a server that was killed has kept the message and
 * thinks that it was acknowledged, so that it is never delivered. Nothing waits for it.
 */
import { Effect } from "effect"
import type { NatsConnection, StoredMsg } from "nats"
import { isFinal, type TaskState } from "../domain/Task.ts"
import * as Streams from "../state/JetStreamStreams.ts"
import * as Stream from "./JetStreamDispatchStream.ts"
import type { TaskRecord } from "./TaskRecord.ts"

/** Tasks whose messages are to be taken away; of more, they are found by a look. */
const MAX_WAITING = 10_000
/** Messages of one task that are taken away at once: one for each time that it was queued without having been begun. */
const MAX_SAME = 3
/** How often it is looked through the stream, and at how many messages, in milliseconds. */
const EVERY = 30_000
const LOOKS = 64

export interface SweepOptions {
  readonly connection: NatsConnection
  readonly bucket: string
  readonly linked: () => boolean
  /** Undefined: it is not known, or not any more. */
  readonly stateOf: (id: string) => TaskState | undefined
  /** Completes when all is known that was there when it was asked for. */
  readonly refresh: Effect.Effect<void>
}

export class JetStreamDispatchSweep {
  private readonly options: SweepOptions
  private readonly name: string
  private readonly waiting: Array<TaskRecord> = []
  private removing = false
  private stopped = false
  private timer: ReturnType<typeof setTimeout> | undefined
  /** Where the next look begins. */
  private next = 0

  constructor(options: SweepOptions) {
    this.options = options
    this.name = Stream.nameOfStream(options.bucket)
    this.rest()
  }

  /** Not all nodes at the same moment. */
  private rest(): void {
    this.timer = setTimeout(
      () => void this.look().finally(() => this.stopped || this.rest()),
      EVERY * (0.5 + Math.random())
    )
  }

  stop(): void {
    this.stopped = true
    clearTimeout(this.timer)
  }

  /** This task has ended, and nobody here has its message. */
  remove(record: TaskRecord): void {
    if (this.waiting.length >= MAX_WAITING) return
    this.waiting.push(record)
    if (!this.removing) void this.removeAll()
  }

  private async removeAll(): Promise<void> {
    this.removing = true
    try {
      for (let record = this.waiting.shift(); record !== undefined && !this.stopped; record = this.waiting.shift()) {
        const subject = Stream.subjectOf(this.options.bucket, Stream.laneOf(record.spec), record.id)
        for (let same = 0; same < MAX_SAME; same++) {
          const message = await this.last(subject)
          if (message === undefined || !(await this.take(message.seq))) break
        }
      }
    } catch {
      // No server, for now: a look finds it.
    } finally {
      this.removing = false
    }
  }

  private manager() {
    return this.options.connection.jetstreamManager({ checkAPI: false })
  }

  private async last(subject: string): Promise<StoredMsg | undefined> {
    const jsm = await this.manager()
    return jsm.streams.getMessage(this.name, { last_by_subj: subject }).catch(Streams.unlessMissing)
  }

  /** False where another one was faster. */
  private async take(seq: number): Promise<boolean> {
    const jsm = await this.manager()
    return jsm.streams.deleteMessage(this.name, seq, false).catch(() => false)
  }

  /** Looks at the next messages of the stream, and from its beginning when it is through. */
  async look(): Promise<void> {
    const { linked, refresh, stateOf } = this.options
    if (this.stopped || !linked()) return
    try {
      let fresh = false
      for (let looks = 0; looks < LOOKS && !this.stopped; looks++) {
        const jsm = await this.manager()
        const message = await Streams.messageFrom(jsm, this.name, Math.max(1, this.next))
        if (message === undefined) {
          this.next = 0
          return
        }
        this.next = message.seq + 1
        const id = Stream.read(message.subject)?.id
        // A task is there before its message: one that is not known has been forgotten, unless this node is behind.
        if (id !== undefined && stateOf(id) === undefined && !fresh) {
          await Effect.runPromise(refresh)
          fresh = true
        }
        const state = id === undefined ? undefined : stateOf(id)
        if (state === undefined || isFinal(state)) await this.take(message.seq)
      }
    } catch {
      // No server, for now.
    }
  }
}
