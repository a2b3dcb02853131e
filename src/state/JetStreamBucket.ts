/**
 * A key-value bucket on NATS servers, as stock tools know one: a stream with the last message of each subject.
 *
 * Promises: a write is kept where its key is as the writer knew it, else refused; whoever is told that it was kept may rely
 * on it; where the answer was lost it is asked for until it is known, or the patience is over. Reads that decide
 * something come from the stream's leader. The watch misses no last value of a key, whatever server dies.
 *
 * A stream that was deleted and made anew is another one, whose revisions begin anew: `isNew` says so once, and whoever knows
 * anything by revisions of the old one must let go of it. Nothing here makes a stream again after it was opened.
 *
 * With replicas, what is to stand over a value is decided by a fence first (JetStreamFences.ts says why).
 */
import { type JetStreamManager, type NatsConnection, nuid } from "nats"
import type { BucketUnusable } from "./BucketError.ts"
import { JetStreamFences } from "./JetStreamFences.ts"
import { explain, mayPass } from "./JetStreamMeaning.ts"
import { beforeAgain, JetStreamMessages, type Place, type Put, REQUEST, type Value } from "./JetStreamMessages.ts"
import * as Streams from "./JetStreamStreams.ts"
import { type Heard, JetStreamWatch } from "./JetStreamWatch.ts"

export type { Put, Value } from "./JetStreamMessages.ts"
export type { Heard } from "./JetStreamWatch.ts"

export interface BucketOptions {
  readonly control: NatsConnection
  readonly bulk: NatsConnection
  readonly name: string
  readonly replicas: number
  /** Bytes; -1 for as many as the server has. */
  readonly maxBytes: number
  readonly patience?: number
  /** Told why it is not there yet, with each try. */
  readonly troubled?: (why: BucketUnusable) => void
}

const whereOf = (name: string) => `in the bucket ${name}`

export class JetStreamBucket {
  readonly where: string
  readonly stream: string
  private readonly options: BucketOptions
  private readonly prefix: string
  private readonly jsm: JetStreamManager
  private readonly messages: JetStreamMessages
  /** Only replicas need them. */
  private readonly fences: JetStreamFences | undefined
  /** When the stream was made, by its servers. */
  private created = ""

  private constructor(options: BucketOptions, jsm: JetStreamManager) {
    this.options = options
    this.stream = `KV_${options.name}`
    this.where = whereOf(options.name)
    this.prefix = `$KV.${options.name}.`
    this.jsm = jsm
    this.messages = new JetStreamMessages(this.where, options.control, jsm, options.patience)
    const fences = Streams.fences(options).name
    this.fences =
      options.replicas === 1
        ? undefined
        : new JetStreamFences({
            messages: this.messages,
            place: (key) => this.place(key),
            fence: (key, over) => ({ stream: fences, subject: `fence.${options.name}.${key}.${over}` })
          })
  }

  /** It is made where it is not there, and compared where it is. */
  static async open(options: BucketOptions): Promise<JetStreamBucket> {
    const jsm = await options.control.jetstreamManager({ checkAPI: false, timeout: REQUEST })
    const bucket = new JetStreamBucket(options, jsm)
    const until = bucket.messages.until()
    for (;;) {
      try {
        bucket.created = (await Streams.ensure(jsm, bucket.where, Streams.bucket(options))).created
        if (options.replicas > 1) await Streams.ensure(jsm, bucket.where, Streams.fences(options))
        break
      } catch (error) {
        const unusable = explain(bucket.where, error)
        options.troubled?.(unusable)
        if (!mayPass(unusable) || bucket.messages.givenUp(until)) throw unusable
        await beforeAgain()
      }
    }
    return bucket
  }

  /** One that is there, as it is. Nothing is made. */
  static async find(options: Omit<BucketOptions, "replicas" | "maxBytes">): Promise<JetStreamBucket> {
    const jsm = await options.control.jetstreamManager({ checkAPI: false, timeout: REQUEST })
    const there = await Streams.whenMade(whereOf(options.name), () => jsm.streams.info(`KV_${options.name}`))
    const { max_bytes: maxBytes, num_replicas: replicas } = there.config
    const bucket = new JetStreamBucket({ ...options, replicas, maxBytes }, jsm)
    bucket.created = there.created
    return bucket
  }

  /** Whether it was deleted and made anew since it was opened, or since this was asked last. Fails while it is not there. */
  async isNew(): Promise<boolean> {
    const { created } = await Streams.whenMade(this.where, () => this.jsm.streams.info(this.stream))
    // Without its fences nothing is written over anything.
    if (this.replicated) await this.jsm.streams.info(Streams.fences(this.options).name)
    if (created === this.created) return false
    this.created = created
    this.fences?.forget()
    return true
  }

  /** Kept by several servers. */
  get replicated(): boolean {
    return this.fences !== undefined
  }

  /** False while a write is tried again and again. */
  reachable(): boolean {
    return this.messages.reachable()
  }

  /**
   * `isMine` tells whether a value is the one that is written here: after an answer was lost, whoever is refused looks
   * whether it was faster than itself.
   */
  async put(
    key: string,
    bytes: Uint8Array | undefined,
    expected: number,
    isMine: (value: Value) => boolean
  ): Promise<Put> {
    const id = nuid.next()
    if (this.fences !== undefined && expected !== 0) return this.fences.put(key, { id, bytes, revision: expected })
    const message = { place: this.place(key), bytes, id }
    const revision = await this.messages.write(message, { lastSubjectSequence: expected }, isMine)
    if (revision !== undefined) this.fences?.note(key, id, revision)
    return revision
  }

  /**
   * Only where nothing at all has been written to the bucket since `last`, under whatever key. Servers with replicas look at
   * this once more when the write is agreed on, so that it needs no fence.
   */
  append(key: string, bytes: Uint8Array, last: number, isMine: (value: Value) => boolean): Promise<Put> {
    const message = { place: this.place(key), bytes, id: nuid.next() }
    return this.messages.write(message, { lastSequence: last }, isMine)
  }

  /** Whatever is there before. Tried for a while, but not as long as a write that decides something. */
  set(key: string, bytes: Uint8Array): Promise<number> {
    return this.messages.set(this.place(key), bytes)
  }

  /** As the leader has it; revision 0 where it was never there, or is no more. */
  async read(key: string): Promise<Value> {
    const { bytes, id, revision } = await this.messages.read(this.place(key))
    if (revision !== 0) this.fences?.note(key, id, revision)
    return { revision, bytes }
  }

  /**
   * Takes what was written up to this revision away, without a trace. Nobody may need it. Message by message: a purge by
   * subject lets every consumer of the stream skip all that it has not had yet (seen with 2.9.10), and a server of a cluster that is killed
   * after one may come back without the rest of the stream.
   */
  async sweep(filter: string, upTo = Number.POSITIVE_INFINITY): Promise<void> {
    for (const key of filter.endsWith(">") ? await this.keys(filter) : [filter]) {
      const { revision } = await this.messages.read(this.place(key))
      if (revision === 0 || revision > upTo) continue
      try {
        await this.jsm.streams.deleteMessage(this.stream, revision, false)
      } catch (error) {
        // Another one was faster.
        if ((await this.messages.read(this.place(key))).revision === revision) throw error
      }
    }
  }

  /** Those that have a message, be it that they were erased. */
  async keys(filter: string): Promise<ReadonlyArray<string>> {
    const { state } = await this.messages.patiently(this.stream, () =>
      this.jsm.streams.info(this.stream, { subjects_filter: this.place(filter).subject })
    )
    return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(this.prefix.length))
  }

  /** The last revision that was given. */
  async last(): Promise<{ readonly revision: number; readonly messages: number }> {
    const { state } = await this.jsm.streams.info(this.stream)
    return { revision: state.last_seq, messages: state.messages }
  }

  /** `complete` is called once all that was there has been told. */
  watch(heard: (value: Heard) => void, complete: () => void): JetStreamWatch {
    return JetStreamWatch.begin({
      connection: this.options.bulk,
      stream: this.stream,
      prefix: this.prefix,
      complete,
      heard: (value, id) => {
        this.fences?.note(value.key, id, value.revision)
        heard(value)
      },
      count: async () => (await this.last()).messages
    })
  }

  private place(key: string): Place {
    return { stream: this.stream, subject: `${this.prefix}${key}` }
  }
}
