/**
 * A key-value bucket on NATS servers, as stock tools know one: a stream with the last message of each subject.
 *
 * Promises: a write is kept where its key is as the writer knew it, else refused; whoever is told that it was kept may rely
 * on it; where the answer was lost it is asked for until it is known, or the patience is over. Reads that decide
 * something come from the stream's leader. The watch misses no last value of a key, whatever server dies.
 *
 * With replicas, nats-server 2.9 looks at the expected revision before it has the write agreed on, and not again: of two
 * writes at one moment both are kept, unless they expect that nothing is there (measured: 219 of 500 pairs, and 0 of 500). So
 * each value has an id, and what is to stand over it is first made as a key of its own that names that id: only one can. This
 * is the decision; it holds the new value, so that whoever finds it, and the old one still in its place, writes it there for
 * a writer that has died. A value that stands there twice, because an answer was lost, has one id and one successor.
 */
import {
  type ConsumerOptsBuilder,
  consumerOpts,
  ErrorCode,
  headers,
  type JetStreamManager,
  type JetStreamSubscription,
  type MsgHdrs,
  type NatsConnection,
  NatsError,
  nuid
} from "nats"
import { BucketUnusable } from "./BucketError.ts"
import * as Streams from "./JetStreamStreams.ts"

/** How long one request may take, in milliseconds. */
const REQUEST = 2_000
/** How long a write is tried while no server answers, in milliseconds. */
const PATIENCE = 10_000
/** Before it is tried again, at least; up to twice as long, by chance. */
const PAUSE = 50
/** How often it is looked whether who was first has written his value, before it is done for him. */
const LOOKS = 4
/** Values of which it is known here under which id they stand; of others it is read when it is needed. */
const MAX_KNOWN = 50_000
/** Between two tries to watch. */
const WATCH_AGAIN = 100
/** How often a watch that is told nothing is told so, in milliseconds; two that fail to come begin it anew. */
const IDLE = 2_000

const OPERATION = "KV-Operation"
const ROLLUP = "Nats-Rollup"
const WRITE = "Mister-Smith-Write"

/** JetStream's own numbers of what went wrong. */
const WRONG_LAST = new Set([10070, 10071, 10164])
const NO_ROOM = new Set([10023, 10047, 10077, 10110])
const TOO_LARGE = new Set([10054, 10097])
const NOT_FOUND = 10037
const NO_STREAM = 10059
const NO_CLUSTER = 10074
const NO_PEERS = 10005
const NO_JETSTREAM = new Set([10035, 10039, 10076])

export interface Value {
  readonly revision: number
  /** Undefined: it was erased. */
  readonly bytes: Uint8Array | undefined
}

/** The new revision; undefined where another one was faster. */
export type Put = number | undefined

/** With its id, which it has wherever it stands. */
interface Marked extends Value {
  readonly id: string
}

/** Which value it is, and from which revision to which it is known to stand: its copies have the same id. */
interface Standing {
  readonly id: string
  readonly from: number
  readonly to: number
}

interface Place {
  readonly stream: string
  readonly subject: string
}

/** What a write is refused without: nothing newer under its key, or nothing newer in all of its stream. */
type Expected = { readonly lastSubjectSequence: number } | { readonly lastSequence: number }

export interface Heard extends Value {
  readonly key: string
}

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

const idOf = (given: MsgHdrs | undefined, revision: number) => given?.get(WRITE) || `at-${revision}`

const pause = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** What an error of the client means. */
export const explain = (where: string, error: unknown): BucketUnusable => {
  if (error instanceof BucketUnusable) return error
  const detail = error instanceof Error ? error.message : String(error)
  const code = error instanceof NatsError ? error.api_error?.err_code : undefined
  const kind = error instanceof NatsError ? error.code : ""
  const problem =
    code !== undefined && NO_ROOM.has(code)
      ? "noRoom"
      : (code !== undefined && TOO_LARGE.has(code)) || kind === "MAX_PAYLOAD_EXCEEDED"
        ? "tooLarge"
        : kind === "PERMISSIONS_VIOLATION" || kind === "AUTHORIZATION_VIOLATION"
          ? "denied"
          : error instanceof SyntaxError
            ? "damaged"
            : "unreachable"
  const shown = kind === "" || detail.includes(kind) ? detail : `${detail} (${kind})`
  const meaning = meaningOf(code, kind)
  return new BucketUnusable({ where, problem, detail: meaning === undefined ? shown : `${meaning}: ${shown}` })
}

/** Of answers that say little to who operates the servers. */
const meaningOf = (code: number | undefined, kind: string): string | undefined =>
  code === NO_STREAM
    ? "there is no such stream: no node has made it yet, or it was deleted"
    : code === NO_CLUSTER
      ? "fleet.replicas asks for more than one server, and this one is in no cluster"
      : code === NO_PEERS
        ? "there are not as many servers with JetStream as fleet.replicas asks for"
        : code !== undefined && NO_JETSTREAM.has(code)
          ? "JetStream is not enabled for this account"
          : kind === ErrorCode.NoResponders
            ? "no JetStream answers for it: it is off, has no leader now, or the stream was deleted"
            : undefined

/** Its id says enough. */
const nobody = () => false
const isWrongLast = (error: unknown) => error instanceof NatsError && WRONG_LAST.has(error.api_error?.err_code ?? 0)
/** No such message. That a server that has just come up knows no such stream says nothing about it. */
const isMissing = (error: unknown) => error instanceof NatsError && error.api_error?.err_code === NOT_FOUND

export class JetStreamBucket {
  readonly where: string
  readonly stream: string
  private readonly options: BucketOptions
  private readonly prefix: string
  private readonly fenceStream: string
  private readonly jsm: JetStreamManager
  private readonly patience: number
  /** Under which id the last value of a key stands, and from which revision to which. */
  private readonly known = new Map<string, Standing>()
  /** Writes that no server has answered yet. */
  private unanswered = 0

  private constructor(options: BucketOptions, jsm: JetStreamManager) {
    this.options = options
    this.stream = `KV_${options.name}`
    this.fenceStream = Streams.fences(options).name
    this.where = `in the bucket ${options.name}`
    this.prefix = `$KV.${options.name}.`
    this.jsm = jsm
    this.patience = options.patience ?? PATIENCE
  }

  /** It is made where it is not there, and compared where it is. */
  static async open(options: BucketOptions): Promise<JetStreamBucket> {
    const jsm = await options.control.jetstreamManager({ checkAPI: false, timeout: REQUEST })
    const bucket = new JetStreamBucket(options, jsm)
    const until = performance.now() + bucket.patience
    for (;;) {
      try {
        await Streams.ensure(jsm, bucket.where, Streams.bucket(options))
        if (options.replicas > 1) await Streams.ensure(jsm, bucket.where, Streams.fences(options))
        break
      } catch (error) {
        const unusable = explain(bucket.where, error)
        options.troubled?.(unusable)
        if (unusable.problem !== "unreachable" || bucket.givenUp(until)) throw unusable
        await pause(PAUSE * (1 + Math.random()))
      }
    }
    return bucket
  }

  /** One that is there, as it is. Nothing is made. */
  static async find(options: Omit<BucketOptions, "replicas" | "maxBytes">): Promise<JetStreamBucket> {
    const jsm = await options.control.jetstreamManager({ checkAPI: false, timeout: REQUEST })
    const { config } = await Streams.whenMade(`in the bucket ${options.name}`, () =>
      jsm.streams.info(`KV_${options.name}`)
    )
    return new JetStreamBucket({ ...options, replicas: config.num_replicas, maxBytes: config.max_bytes }, jsm)
  }

  /** Kept by several servers. */
  get replicated(): boolean {
    return this.options.replicas > 1
  }

  /** False while a write is tried again and again. */
  reachable(): boolean {
    return this.unanswered === 0
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
    if (this.options.replicas > 1 && expected !== 0) return this.fenced(key, { id, bytes, revision: expected })
    const place = { stream: this.stream, subject: `${this.prefix}${key}` }
    const revision = await this.write(place, bytes, { lastSubjectSequence: expected }, id, isMine)
    if (revision !== undefined) this.note(key, id, revision)
    return revision
  }

  /**
   * Only where nothing at all has been written to the bucket since `last`, under whatever key. Servers with replicas look at
   * this once more when the write is agreed on, so that it needs no fence.
   */
  append(key: string, bytes: Uint8Array, last: number, isMine: (value: Value) => boolean): Promise<Put> {
    return this.write(
      { stream: this.stream, subject: `${this.prefix}${key}` },
      bytes,
      { lastSequence: last },
      nuid.next(),
      isMine
    )
  }

  /** `value.revision` is the one that it is to be written over. */
  private async fenced(key: string, value: Marked): Promise<Put> {
    const over = await this.standing(key, value.revision)
    if (over === undefined) return undefined
    const fence = this.fence(key, over)
    if ((await this.write(fence, value.bytes, { lastSubjectSequence: 0 }, value.id, nobody)) !== undefined)
      return this.follow(key, over, value)
    // Whoever was first writes it now, if he lives.
    for (let looks = 0; looks < LOOKS; looks++) {
      if ((await this.standing(key, value.revision)) !== over) return undefined
      await pause(PAUSE)
      await this.readMarked(key)
    }
    const first = await this.readAt(fence)
    if (first.revision !== 0) await this.follow(key, over, { ...first, revision: value.revision })
    return undefined
  }

  /** What comes after the value of this id. */
  private fence(key: string, over: string): Place {
    return { stream: this.fenceStream, subject: `fence.${this.options.name}.${key}.${over}` }
  }

  /** The id of the value that stands at this revision; undefined where another one has come after it. */
  private async standing(key: string, revision: number): Promise<string | undefined> {
    const known = this.known.get(key)
    const { from, id, to } = known !== undefined && known.to >= revision ? known : await this.readMarked(key)
    return from <= revision && revision <= to ? id : undefined
  }

  /** Puts what was decided in its place. Whoever does it: it stands there, or something that came after it. */
  private async follow(key: string, over: string, value: Marked): Promise<Put> {
    const place = { stream: this.stream, subject: `${this.prefix}${key}` }
    const until = performance.now() + this.patience
    for (let expected = value.revision; ; ) {
      const revision = await this.write(place, value.bytes, { lastSubjectSequence: expected }, value.id, nobody)
      if (revision !== undefined) {
        this.note(key, value.id, revision)
        return revision
      }
      const there = await this.readMarked(key)
      if (there.id === value.id) return there.at
      if (there.id !== over) {
        // Where something was written over it, it has stood there: another one has put it in its place.
        if ((await this.readAt(this.fence(key, value.id))).revision !== 0) return value.revision + 1
        // Else it was decided on what was true long ago, and comes to nothing; or the servers have lost what it is to stand
        // over, which nobody can have taken away because that would have been decided in its place.
        if (there.at !== 0) return undefined
      }
      if (this.givenUp(until))
        throw new BucketUnusable({ where: this.where, problem: "contended", detail: `${key} cannot be written over` })
      // A second copy, or a server that has just come to lead and does not know yet what it refuses by.
      // Of a copy another server may have told a later revision: what counts is where the leader has it.
      if (there.at === expected) await pause(PAUSE)
      expected = there.at
    }
  }

  private note(key: string, id: string, revision: number): void {
    if (this.options.replicas === 1) return
    const known = this.known.get(key)
    if (known?.id !== id && known !== undefined && known.to > revision) return
    this.known.delete(key)
    const { from, to } = known?.id === id ? known : { from: revision, to: revision }
    this.known.set(key, { id, from: Math.min(from, revision), to: Math.max(to, revision) })
    if (this.known.size <= MAX_KNOWN) return
    for (const oldest of this.known.keys()) {
      this.known.delete(oldest)
      return
    }
  }

  /** As the leader has it. */
  private async readMarked(key: string): Promise<Standing & { readonly at: number }> {
    const { id, revision } = await this.readAt({ stream: this.stream, subject: `${this.prefix}${key}` })
    if (revision !== 0) this.note(key, id, revision)
    const known = this.known.get(key)
    return { ...(known?.id === id ? known : { id, from: revision, to: revision }), at: revision }
  }

  private async write(
    { stream, subject }: Place,
    bytes: Uint8Array | undefined,
    expect: Expected,
    id: string,
    isMine: (value: Value) => boolean
  ): Promise<Put> {
    const until = performance.now() + this.patience
    let lost = false
    try {
      for (;;) {
        try {
          const written = headers()
          written.set(WRITE, id)
          if (bytes === undefined) {
            written.set(OPERATION, "PURGE")
            if (stream === this.stream) written.set(ROLLUP, "sub")
          }
          const { seq } = await this.options.control.jetstream({ timeout: REQUEST }).publish(subject, bytes, {
            headers: written,
            expect,
            timeout: REQUEST
          })
          return seq
        } catch (error) {
          if (isWrongLast(error)) {
            if (!lost) return undefined
            const there = await this.readAt({ stream, subject })
            return there.id === id || isMine(there) ? there.revision : undefined
          }
          const unusable = explain(this.where, error)
          if (unusable.problem !== "unreachable" || this.givenUp(until)) throw unusable
          if (!lost) this.unanswered++
          lost = true
          await pause(PAUSE * (1 + Math.random()))
        }
      }
    } finally {
      if (lost) this.unanswered--
    }
  }

  private givenUp(until: number): boolean {
    return performance.now() > until || this.options.control.isClosed()
  }

  /** Whatever is there before. Tried for a while, but not as long as a write that decides something. */
  async set(key: string, bytes: Uint8Array): Promise<number> {
    const until = performance.now() + REQUEST
    for (;;) {
      try {
        const { seq } = await this.options.control
          .jetstream({ timeout: REQUEST })
          .publish(`${this.prefix}${key}`, bytes, { timeout: REQUEST })
        return seq
      } catch (error) {
        const unusable = explain(this.where, error)
        if (unusable.problem !== "unreachable" || this.givenUp(until)) throw unusable
        await pause(PAUSE * (1 + Math.random()))
      }
    }
  }

  /** As the leader has it; revision 0 where it was never there, or is no more. */
  async read(key: string): Promise<Value> {
    const { bytes, id, revision } = await this.readAt({ stream: this.stream, subject: `${this.prefix}${key}` })
    if (revision !== 0) this.note(key, id, revision)
    return { revision, bytes }
  }

  private readAt({ stream, subject }: Place): Promise<Marked> {
    return this.patiently(async () => {
      try {
        const { data, header, seq } = await this.jsm.streams.getMessage(stream, { last_by_subj: subject })
        return { revision: seq, bytes: header.get(OPERATION) === "" ? data : undefined, id: idOf(header, seq) }
      } catch (error) {
        if (isMissing(error)) return { revision: 0, bytes: undefined, id: "" }
        throw error
      }
    })
  }

  /** What no server answers is asked again, until one does or the patience is over. */
  private async patiently<A>(ask: () => Promise<A>): Promise<A> {
    const until = performance.now() + this.patience
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        const unusable = explain(this.where, error)
        if (unusable.problem !== "unreachable" || this.givenUp(until)) throw unusable
        await pause(PAUSE * (1 + Math.random()))
      }
    }
  }

  /**
   * Takes what was written up to this revision away, without a trace. Nobody may need it. With replicas message by message:
   * a server of the 2.9 line that is killed after a purge by subject may come back without the rest of the stream.
   */
  async sweep(filter: string, upTo = Number.POSITIVE_INFINITY): Promise<void> {
    const pattern = `${this.prefix}${filter}`
    if (this.options.replicas === 1) {
      const seq = Number.isFinite(upTo) ? { seq: upTo + 1 } : {}
      await this.jsm.streams.purge(this.stream, { filter: pattern, ...seq })
      return
    }
    for (const key of filter.endsWith(">") ? await this.keys(filter) : [filter]) {
      const subject = `${this.prefix}${key}`
      const { revision } = await this.readAt({ stream: this.stream, subject })
      if (revision !== 0 && revision <= upTo) await this.jsm.streams.deleteMessage(this.stream, revision, false)
    }
  }

  /** Those that have a message, be it that they were erased. */
  async keys(filter: string): Promise<ReadonlyArray<string>> {
    const { state } = await this.patiently(() =>
      this.jsm.streams.info(this.stream, { subjects_filter: `${this.prefix}${filter}` })
    )
    return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(this.prefix.length))
  }

  /** The last revision that was given. */
  async last(): Promise<{ readonly revision: number; readonly messages: number }> {
    const { state } = await this.jsm.streams.info(this.stream)
    return { revision: state.last_seq, messages: state.messages }
  }

  /**
   * Tells of the last value of each key and then of each that is written, until it is stopped. `complete` is called once
   * all that was there has been told. `again` begins it anew where it has left off.
   */
  watch(
    heard: (value: Heard) => void,
    complete: () => void
  ): { readonly again: () => void; readonly stop: () => void } {
    const { bulk } = this.options
    let stopped = false
    let last = 0
    let whole = false
    let subscription: JetStreamSubscription | undefined
    const settle = () => {
      if (whole) return
      whole = true
      complete()
    }
    const tell = async () => {
      if (!whole && (await this.last()).messages === 0) settle()
      const options: ConsumerOptsBuilder = consumerOpts().orderedConsumer().bindStream(this.stream).idleHeartbeat(IDLE)
      if (whole) options.startSequence(last + 1)
      else options.deliverLastPerSubject()
      subscription = await bulk.jetstream({ timeout: REQUEST }).subscribe(`${this.prefix}>`, options)
      if (stopped) return subscription.unsubscribe()
      for await (const message of subscription) {
        const { headers: with_, info, seq, subject } = message
        last = Math.max(last, seq)
        const erased = (with_?.get(OPERATION) ?? "") !== ""
        const key = subject.slice(this.prefix.length)
        this.note(key, idOf(with_, seq), seq)
        // What it makes of one value must not keep whoever listens from the others.
        try {
          heard({ key, revision: seq, bytes: erased ? undefined : message.data })
        } catch {}
        if (info.pending === 0) settle()
      }
    }
    void (async () => {
      while (!stopped && !bulk.isClosed()) {
        await tell().catch(() => undefined)
        if (!stopped) await pause(WATCH_AGAIN)
      }
    })()
    const again = () => subscription?.unsubscribe()
    return {
      again,
      stop: () => {
        stopped = true
        again()
      }
    }
  }
}
