/**
 * The last message of each subject of a stream on NATS servers, one at a time: written where the place is as the writer
 * expects it, else refused, and read as the stream's leader has it.
 *
 * Promises: where the answer to a write was lost it is asked for until it is known, or the patience is over; whoever is told
 * that it was kept may rely on it. What no server answers is tried again; what no waiting cures is thrown at once.
 */
import { headers, type JetStreamManager, type MsgHdrs, type NatsConnection } from "nats"
import type { BucketUnusable } from "./BucketError.ts"
import { explain, isMissing, isUnanswered, isWrongLast, mayPass } from "./JetStreamMeaning.ts"

/** How long one request may take, in milliseconds. */
export const REQUEST = 2_000
/** How long a write is tried while no server answers, in milliseconds. */
const PATIENCE = 10_000
/** Before it is tried again, at least; up to twice as long, by chance. */
export const PAUSE = 50

export const OPERATION = "KV-Operation"
const WRITE = "Mister-Smith-Write"

export interface Value {
  readonly revision: number
  /** Undefined: it was erased. */
  readonly bytes: Uint8Array | undefined
}

/** The new revision; undefined where another one was faster. */
export type Put = number | undefined

/** With its id, which it has wherever it stands. */
export interface Marked extends Value {
  readonly id: string
}

export interface Place {
  readonly stream: string
  readonly subject: string
}

/** What a write is refused without: nothing newer under its key, or nothing newer in all of its stream. */
export type Expected = { readonly lastSubjectSequence: number } | { readonly lastSequence: number }

export interface Message {
  readonly place: Place
  /** Undefined: it erases what is there. */
  readonly bytes: Uint8Array | undefined
  readonly id: string
}

export const idOf = (given: MsgHdrs | undefined, revision: number): string => given?.get(WRITE) || `at-${revision}`

export const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** Before something is tried again: never all at one moment. */
export const beforeAgain = (): Promise<void> => pause(PAUSE * (1 + Math.random()))

export class JetStreamMessages {
  /** What an error says it was. */
  readonly where: string
  readonly patience: number
  private readonly control: NatsConnection
  private readonly jsm: JetStreamManager
  /** Writes that no server has answered yet. */
  private unanswered = 0

  constructor(where: string, control: NatsConnection, jsm: JetStreamManager, patience = PATIENCE) {
    this.where = where
    this.control = control
    this.jsm = jsm
    this.patience = patience
  }

  /** False while a write is tried again and again. */
  reachable(): boolean {
    return this.unanswered === 0
  }

  /** When it is given up, if it begins now. */
  until(patience = this.patience): number {
    return performance.now() + patience
  }

  givenUp(until: number): boolean {
    return performance.now() > until || this.control.isClosed()
  }

  /**
   * `isMine` tells whether a value is the one that is written here: after an answer was lost, whoever is refused looks
   * whether it was faster than itself.
   */
  async write({ bytes, id, place }: Message, expect: Expected, isMine: (value: Value) => boolean): Promise<Put> {
    const until = this.until()
    let lost = false
    try {
      for (;;) {
        try {
          const written = headers()
          written.set(WRITE, id)
          // Of each subject one message stays: no rollup is needed, by which consumers may skip what they have not had yet.
          if (bytes === undefined) written.set(OPERATION, "PURGE")
          const { seq } = await this.control.jetstream({ timeout: REQUEST }).publish(place.subject, bytes, {
            headers: written,
            expect,
            timeout: REQUEST
          })
          return seq
        } catch (error) {
          if (isWrongLast(error)) {
            if (!lost) return undefined
            const there = await this.read(place)
            return there.id === id || isMine(there) ? there.revision : undefined
          }
          const unusable = explain(this.where, error)
          if (!mayPass(unusable) || this.givenUp(until)) throw await this.why(place.stream, error, unusable)
          if (!lost) this.unanswered++
          lost = true
          await beforeAgain()
        }
      }
    } finally {
      if (lost) this.unanswered--
    }
  }

  /** Whatever is there before. Tried for a while, but not as long as a write that decides something. */
  set({ stream, subject }: Place, bytes: Uint8Array): Promise<number> {
    return this.patiently(
      stream,
      async () => {
        const { seq } = await this.control.jetstream({ timeout: REQUEST }).publish(subject, bytes, { timeout: REQUEST })
        return seq
      },
      REQUEST
    )
  }

  /** As the leader has it; revision 0 where it was never there, or is no more. */
  read({ stream, subject }: Place): Promise<Marked> {
    return this.patiently(stream, async () => {
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
  async patiently<A>(stream: string, ask: () => Promise<A>, patience = this.patience): Promise<A> {
    const until = this.until(patience)
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        const unusable = explain(this.where, error)
        if (!mayPass(unusable) || this.givenUp(until)) throw await this.why(stream, error, unusable)
        await beforeAgain()
      }
    }
  }

  /** That nobody answers for a subject may be because its stream is no more, which JetStream says when it is asked. */
  private async why(stream: string, error: unknown, otherwise: BucketUnusable): Promise<BucketUnusable> {
    if (!isUnanswered(error)) return otherwise
    try {
      await this.jsm.streams.info(stream)
      return otherwise
    } catch (answer) {
      const meant = explain(this.where, answer)
      return meant.problem === "missing" ? meant : otherwise
    }
  }
}
