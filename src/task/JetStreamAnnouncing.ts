/**
 * Puts a message into the queue that gives out the tasks for each that has come to be queued. Nobody waits for it: what
 * cannot be published now is not published, and the task is anybody's after the grace.
 */
import type { NatsConnection } from "nats"
import { goesByQueue } from "./Handing.ts"
import * as Stream from "./JetStreamDispatchStream.ts"
import type { Entry } from "./JetStreamEntry.ts"
import { begun } from "./TaskRecord.ts"

/** Messages whose acknowledgement is waited for; more are not published. */
const MAX_PENDING = 10_000

export interface AnnouncingOptions {
  readonly connection: NatsConnection
  readonly bucket: string
  readonly linked: () => boolean
  /** One could not be published. */
  readonly failed: (why: unknown) => void
}

const encoder = new TextEncoder()

export class JetStreamAnnouncing {
  private readonly options: AnnouncingOptions
  private readonly pending = new Set<Promise<void>>()
  /** What was not published, because too much waited or nobody took it. */
  dropped = 0

  constructor(options: AnnouncingOptions) {
    this.options = options
  }

  /** Hears of a move that was written, and of what was there before it. */
  wrote(entry: Entry, before: Pick<Entry, "record"> | undefined): void {
    const was = before?.record.state
    if (entry.record.state !== "queued" || was === "queued" || was === "running") return
    // What was begun has a message, put off by whoever had it.
    if (begun(entry.record) === 0 || was !== "parked") this.say(entry)
  }

  private say({ queuedAt, record: { attempt, id, spec } }: Pick<Entry, "queuedAt" | "record">): void {
    const { bucket, connection, failed, linked } = this.options
    if (!goesByQueue(spec)) return
    if (!linked() || connection.isClosed() || this.pending.size >= MAX_PENDING) {
      this.dropped++
      return
    }
    const subject = Stream.subjectOf(bucket, Stream.laneOf(spec), id)
    const published = connection
      .jetstream()
      // The same queueing is published once, whoever is told twice.
      .publish(subject, encoder.encode(JSON.stringify({ id })), { msgID: `${id}.${queuedAt}.${attempt}` })
      .then(
        () => {},
        (error: unknown) => {
          this.dropped++
          failed(error)
        }
      )
      .finally(() => this.pending.delete(published))
    this.pending.add(published)
  }

  /** Completes when what was said is there, or is not. */
  async flush(): Promise<void> {
    await Promise.all(this.pending)
  }
}
