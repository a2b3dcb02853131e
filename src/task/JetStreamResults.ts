/**
 * How those who are no node learn how their tasks ended: each end is published on `tasks.{id}.result`, once an attempt, by
 * the node that wrote it; where that died before, by whoever finds out.
 */
import { Effect } from "effect"
import type { NatsConnection } from "nats"
import { resultOf } from "../message/Assignment.ts"
import * as Envelope from "../message/Envelope.ts"
import type { Subjects } from "../message/Subject.ts"
import { pause } from "../state/JetStreamMessages.ts"
import * as Streams from "../state/JetStreamStreams.ts"
import type { Entry } from "./JetStreamEntry.ts"
import { type Letters, Unsayable } from "./JetStreamLetters.ts"

/** Results that wait for a server; of more, the oldest are left to whoever reads the ledger. */
const MAX_WAITING = 10_000
/** Before what could not be told is told again, in milliseconds. */
const PAUSE = 200
/** Characters of a result's JSON, each of which may take four bytes; and of the text that is kept of one that is longer. */
const LONGEST = 250_000
const CUT = 50_000

export interface ResultsOptions {
  readonly connection: NatsConnection
  readonly letters: Letters
  readonly subjects: Subjects
  readonly node: string
  /** The stream that keeps them. */
  readonly stream: string
}

/** What is nested too deep for the stack is too long. */
const lengthOf = (value: object): number => {
  try {
    return JSON.stringify(value).length
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

/** A name that is none is no part of a message. */
const sayable = <A>(make: () => A): A | undefined => {
  try {
    return make()
  } catch {
    return undefined
  }
}

export class JetStreamResults {
  private readonly options: ResultsOptions
  private readonly results: Array<{ readonly entry: Entry; again: boolean }> = []
  private publishing = false
  /** Completes when nothing is left to be told. */
  private all: Promise<void> = Promise.resolve()
  private stopped = false

  constructor(options: ResultsOptions) {
    this.options = options
  }

  /** Completes when the ends that were written have been told. */
  flush(): Promise<void> {
    return this.all
  }

  stop(): void {
    this.stopped = true
  }

  /** Tells how a task has ended. `again`: perhaps it was told before. */
  told(entry: Entry, again: boolean): void {
    if (this.results.length >= MAX_WAITING) this.results.shift()
    this.results.push({ entry, again })
    if (!this.publishing) this.all = this.publishAll()
  }

  /** Completes when this end is in the stream, be it already. */
  async publishedOnce(entry: Entry | undefined): Promise<void> {
    if (entry !== undefined) await this.publish(entry, true)
  }

  private async publishAll(): Promise<void> {
    this.publishing = true
    try {
      for (let next = this.results[0]; next !== undefined && !this.stopped; next = this.results[0]) {
        try {
          await this.publish(next.entry, next.again)
          // There may have been too many meanwhile.
          if (this.results[0] === next) this.results.shift()
        } catch {
          // It may have arrived, and be forgotten as such before it is tried again.
          next.again = true
          if (this.options.connection.isClosed()) return
          await pause(PAUSE)
        }
      }
    } finally {
      this.publishing = false
    }
  }

  private async publish({ record }: Entry, again: boolean): Promise<void> {
    const { attempt, id, result } = record
    const { connection, letters, node, stream, subjects } = this.options
    const subject = subjects.result(id)
    if (result === undefined || subject._tag === "Failure") return
    let expected: number | undefined
    if (again) {
      const jsm = await connection.jetstreamManager({ checkAPI: false })
      const last = await jsm.streams.getMessage(stream, { last_by_subj: subject.success }).catch(Streams.unlessMissing)
      if (last !== undefined) {
        const told = await Effect.runPromise(Effect.option(Envelope.decode(last.data, Number.POSITIVE_INFINITY)))
        if (told._tag === "Some" && told.value.type === "TaskResult" && told.value.body.attempt >= attempt) return
      }
      expected = last?.seq ?? 0
    }
    const whole = sayable(() => resultOf(result, { attempt, node }))
    if (whole === undefined) return
    // What no message holds is read from the ledger: its end is told all the same.
    const body = lengthOf(whole) > LONGEST ? { ...whole, text: whole.text.slice(0, CUT), output: undefined } : whole
    const message = { type: "TaskResult" as const, body }
    await letters
      .publish(subject.success, message, `${id}.${attempt}.${record.endedAt}`, expected)
      .catch((error: unknown) => {
        // Another node was faster; or no message can say it, and it is read from the ledger: others must not wait for it.
        if (!Streams.isWrongLast(error) && !(error instanceof Unsayable)) throw error
      })
  }
}
