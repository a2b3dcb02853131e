/**
 * Puts a message into the queue that gives out the tasks for each that has come to be queued. Nobody waits for it: what
 * cannot be published now is not published, and the task is anybody's after the grace. One subscription for all answers.
 */
import { headers, type Msg, type NatsConnection, type Subscription } from "nats"
import { goesByQueue } from "./Handing.ts"
import * as Stream from "./JetStreamDispatchStream.ts"
import type { Entry } from "./JetStreamEntry.ts"
import { begun } from "./TaskRecord.ts"

/** Messages whose acknowledgement is waited for; more are not published. */
const MAX_PENDING = 10_000
/** After so long without any answer none is waited for, in milliseconds. */
const SILENCE = 5_000
/** By which the server knows a message that it has. */
const MESSAGE_ID = "Nats-Msg-Id"

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
  private readonly inbox: string
  private readonly subscription: Subscription
  private pending = 0
  /** Since the last look whether the server answers at all. */
  private heard = false
  private looking: ReturnType<typeof setTimeout> | undefined
  private flushed: () => void = () => {}

  constructor(options: AnnouncingOptions) {
    const { connection } = options
    this.options = options
    this.inbox = Stream.inboxOf(connection)
    this.subscription = connection.subscribe(this.inbox, {
      callback: (error, message) => {
        if (error === null) this.hear(message)
      }
    })
  }

  stop(): void {
    clearTimeout(this.looking)
    if (!this.options.connection.isClosed()) this.subscription.unsubscribe()
  }

  /** Hears of a move that was written, and of what was there before it. */
  wrote(entry: Entry, before: Pick<Entry, "record"> | undefined): void {
    const was = before?.record.state
    if (entry.record.state !== "queued" || was === "queued" || was === "running") return
    // What was begun has a message, put off by whoever had it.
    if (goesByQueue(entry.record.spec) && (begun(entry.record) === 0 || was !== "parked")) this.say(entry)
  }

  private say({ queuedAt, record: { attempt, id, spec } }: Pick<Entry, "queuedAt" | "record">): void {
    const { bucket, connection, failed, linked } = this.options
    if (!linked() || this.pending >= MAX_PENDING) return
    const given = headers()
    // The same queueing is published once, whoever is told twice.
    given.set(MESSAGE_ID, `${id}.${queuedAt}.${attempt}`)
    try {
      connection.publish(Stream.subjectOf(bucket, Stream.laneOf(spec), id), encoder.encode(JSON.stringify({ id })), {
        headers: given,
        reply: this.inbox
      })
    } catch (error) {
      // The connection is about to end.
      failed(error)
      return
    }
    this.pending++
    this.looking ??= setTimeout(() => this.look(), SILENCE)
  }

  private look(): void {
    this.looking = undefined
    if (this.pending === 0) return
    if (this.heard) {
      this.heard = false
      this.looking = setTimeout(() => this.look(), SILENCE)
      return
    }
    this.pending = 0
    this.options.failed(new Error("nobody acknowledges what is published there"))
  }

  private hear(message: Msg): void {
    this.heard = true
    this.pending = Math.max(0, this.pending - 1)
    if (this.pending === 0) this.flushed()
    const code = message.headers?.code ?? 0
    const text = code === 0 ? message.string() : ""
    if (code !== 0) this.options.failed(new Error(`${code}`))
    else if (text.includes('"error"')) this.options.failed(new Error(text))
  }

  /** Completes when what was said is there, or is not. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      this.flushed = resolve
      if (this.pending === 0) resolve()
    })
  }
}
