/**
 * Asks the consumers of a work-queue for messages, and knows how many of those that it has asked for may still come. One
 * subscription for all answers. What an answer is worth is left to whoever asked.
 */
import { type Msg, type NatsConnection, nanos, type Subscription } from "nats"
import { inboxOf } from "./JetStreamDispatchStream.ts"

/** How long a question is open, in milliseconds: so that a message that comes a moment after its task is caught. */
const OPEN = 250
/** After so long more no answer comes to it. */
const LATE = 500

/** What a server says in place of a message. */
const EXPIRED = 408
const NOBODY = 503

const encoder = new TextEncoder()

/** One message of a stream, as it was delivered: to be acknowledged, once. */
export class Delivered {
  readonly subject: string
  /** Its number in the stream: another delivery of it has the same. */
  readonly seq: number
  private readonly connection: NatsConnection
  private readonly reply: string

  constructor(connection: NatsConnection, { reply = "", subject }: Msg) {
    this.connection = connection
    this.reply = reply
    this.subject = subject
    const tokens = reply.split(".")
    // With the domain and the account of its stream, where the server says them.
    this.seq = Number(tokens[tokens.length > 9 ? 7 : 5])
  }

  /** Where the connection is about to end it is as if it had been lost. */
  private say(word: string): void {
    try {
      this.connection.publish(this.reply, encoder.encode(word))
    } catch {}
  }
  /** It is done with, and goes. */
  ack(): void {
    this.say("+ACK")
  }
  /** For anybody, at once or so many milliseconds later. */
  nak(millis = 0): void {
    this.say(millis <= 0 ? "-NAK" : `-NAK ${JSON.stringify({ delay: nanos(Math.ceil(millis)) })}`)
  }
  /** It is still being worked on. */
  working(): void {
    this.say("+WPI")
  }
}

interface Ask {
  readonly lane: string
  left: number
  readonly timer: ReturnType<typeof setTimeout>
}

export interface PullsOptions {
  readonly connection: NatsConnection
  readonly stream: string
  /** By which lane's consumer it came, as it was asked for. */
  readonly laneOf: (subject: string) => string | undefined
  readonly take: (message: Delivered, lane: string | undefined) => void
  /** An ask is over, with fewer messages than it was for. `failed`: there is no such consumer. */
  readonly over: (lane: string, failed: boolean) => void
}

export class JetStreamPulls {
  private readonly options: PullsOptions
  private readonly inbox: string
  private readonly subscription: Subscription
  private readonly asks = new Map<string, Ask>()
  private count = 0

  constructor(options: PullsOptions) {
    const { connection } = options
    this.options = options
    this.inbox = inboxOf(connection)
    this.subscription = connection.subscribe(`${this.inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.hear(message)
      }
    })
  }

  /** What may still come, by lane. */
  *open(): Iterable<{ readonly lane: string; readonly messages: number }> {
    for (const { lane, left } of this.asks.values()) yield { lane, messages: left }
  }

  /** The lane is called as its consumer. */
  ask(lane: string, messages: number): void {
    const { connection, stream } = this.options
    const name = (++this.count).toString(36)
    const timer = setTimeout(() => this.end(name, false), OPEN + LATE)
    this.asks.set(name, { lane, left: messages, timer })
    const question = JSON.stringify({ batch: messages, expires: nanos(OPEN) })
    try {
      connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${lane}`, encoder.encode(question), {
        reply: `${this.inbox}.${name}`
      })
    } catch {
      // There is no answer, then.
    }
  }

  stop(): void {
    for (const { timer } of this.asks.values()) clearTimeout(timer)
    this.asks.clear()
    if (!this.options.connection.isClosed()) this.subscription.unsubscribe()
  }

  private end(name: string, failed: boolean): void {
    const ask = this.asks.get(name)
    if (ask === undefined) return
    clearTimeout(ask.timer)
    this.asks.delete(name)
    this.options.over(ask.lane, failed)
  }

  private hear(message: Msg): void {
    const { connection, laneOf, take } = this.options
    // What the server says of a question has the question's subject.
    if (message.subject.startsWith(`${this.inbox}.`)) {
      const code = message.headers?.code
      // Its time is over, or nobody is there. Whatever else is wrong would be wrong again if it were asked again at once.
      if (code === EXPIRED || code === NOBODY) this.end(message.subject.slice(this.inbox.length + 1), code === NOBODY)
      return
    }
    const lane = laneOf(message.subject)
    for (const [name, ask] of this.asks) {
      if (ask.lane !== lane) continue
      // A server answers the questions of a consumer in their order.
      if (--ask.left === 0) {
        clearTimeout(ask.timer)
        this.asks.delete(name)
      }
      break
    }
    take(new Delivered(connection, message), lane)
  }
}
