/**
 * Hears of the last value of each key of a bucket and then of each that is written, until it is stopped.
 *
 * Promises: it misses no last value of a key, whatever server dies: where it breaks it goes on behind what it has told
 * last. Values that were written over meanwhile are not told.
 */
import { type ConsumerOptsBuilder, consumerOpts, type JetStreamSubscription, type NatsConnection } from "nats"
import { idOf, OPERATION, pause, REQUEST, type Value } from "./JetStreamMessages.ts"

/** Between two tries to watch, in milliseconds. */
const WATCH_AGAIN = 100
/** How often a watch that is told nothing is told so, in milliseconds; two that fail to come begin it anew. */
const IDLE = 2_000
/**
 * How often it is asked whether all that was there has been told, in milliseconds. A server of the 2.9 line has been seen to miscount what is to
 * come where much is written meanwhile, and counts anew when it is asked.
 */
const ASK = 500

export interface Heard extends Value {
  readonly key: string
}

export interface WatchOptions {
  readonly connection: NatsConnection
  readonly stream: string
  /** What stands before each key. */
  readonly prefix: string
  /** Told once all that was there has been told. */
  readonly complete: () => void
  readonly heard: (value: Heard, id: string) => void
  /** How many messages there are now. */
  readonly count: () => Promise<number>
}

export class JetStreamWatch {
  private readonly options: WatchOptions
  private stopped = false
  private last = 0
  private whole = false
  /** How often it has begun from the beginning. */
  private life = 0
  private subscription: JetStreamSubscription | undefined

  private constructor(options: WatchOptions) {
    this.options = options
  }

  static begin(options: WatchOptions): JetStreamWatch {
    const watch = new JetStreamWatch(options)
    void watch.run()
    return watch
  }

  /** Begins anew where it has left off. */
  again(): void {
    this.subscription?.unsubscribe()
  }

  /** Begins anew with all that is there: the stream is another one. */
  fromTheBeginning(): void {
    this.life++
    this.last = 0
    this.whole = false
    this.again()
  }

  stop(): void {
    this.stopped = true
    this.again()
  }

  private async run(): Promise<void> {
    while (!this.stopped && !this.options.connection.isClosed()) {
      await this.tell().catch(() => undefined)
      if (!this.stopped) await pause(WATCH_AGAIN)
    }
  }

  private async tell(): Promise<void> {
    const { connection, count, prefix, stream } = this.options
    const { life } = this
    if (!this.whole && (await count()) === 0) this.settle()
    const options: ConsumerOptsBuilder = consumerOpts().orderedConsumer().bindStream(stream).idleHeartbeat(IDLE)
    if (this.whole) options.startSequence(this.last + 1)
    else options.deliverLastPerSubject()
    const subscription = await connection.jetstream({ timeout: REQUEST }).subscribe(`${prefix}>`, options)
    this.subscription = subscription
    // What it was asked for is of the stream before.
    if (this.stopped || this.life !== life) return subscription.unsubscribe()
    const asking = setInterval(() => {
      if (this.whole || this.life !== life) clearInterval(asking)
      else void this.askWhole(subscription, life)
    }, ASK)
    try {
      await this.listen(subscription, life)
    } finally {
      clearInterval(asking)
    }
  }

  private async askWhole(subscription: JetStreamSubscription, life: number): Promise<void> {
    const told = await subscription.consumerInfo().catch(() => undefined)
    if (told?.num_pending === 0 && told.delivered.stream_seq <= this.last && this.life === life) this.settle()
  }

  private async listen(subscription: JetStreamSubscription, life: number): Promise<void> {
    const { heard, prefix } = this.options
    for await (const message of subscription) {
      // What was on its way is of the stream before.
      if (this.life !== life) break
      const { headers: with_, info, seq, subject } = message
      this.last = Math.max(this.last, seq)
      const erased = (with_?.get(OPERATION) ?? "") !== ""
      // What it makes of one value must not keep whoever listens from the others.
      try {
        const bytes = erased ? undefined : message.data
        heard({ key: subject.slice(prefix.length), revision: seq, bytes }, idOf(with_, seq))
      } catch {}
      if (info.pending === 0) this.settle()
    }
  }

  private settle(): void {
    if (this.whole) return
    this.whole = true
    this.options.complete()
  }
}
