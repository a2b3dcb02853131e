/**
 * How those who are no node hand in tasks and learn how they ended: with any NATS client.
 *
 * Promises: a TaskAssignment that the server has acknowledged on `tasks.{type}.queue` is kept until a node has submitted it,
 * and submitted once: one without an id of its own gets that of its message, so that what is delivered twice is the same
 * task. What cannot be one goes to `dead.{reason}` with the reason, and is not tried again. Each end is published on
 * `tasks.{id}.result`, once an attempt, by the node that wrote it; where that died before, by whoever finds out.
 */
import { Effect, Result, Schema } from "effect"
import { AckPolicy, DiscardPolicy, type JsMsg, type NatsConnection, nanos, RetentionPolicy, StorageType } from "nats"
import { type Fault, report } from "../domain/Fault.ts"
import { TaskId } from "../domain/Ids.ts"
import { resultOf } from "../message/Assignment.ts"
import * as DeadLetters from "../message/DeadLetters.ts"
import * as Envelope from "../message/Envelope.ts"
import { viewOf } from "../message/FaultView.ts"
import type { Message, MessageType } from "../message/Message.ts"
import { HandlerFailed, MessageUnreadable } from "../message/MessageError.ts"
import type { DeadReason, Subjects } from "../message/Subject.ts"
import * as Streams from "../state/JetStreamStreams.ts"
import type { Entry } from "./JetStreamEntry.ts"
import { TaskSpec } from "./TaskSpec.ts"

/** Asked for at once. */
const BATCH = 32
/** How long a question for more is open, in milliseconds. */
const OPEN = 5_000
/** Within which what was taken must be submitted, or another node gets it, in milliseconds. */
const ACK_WAIT = 30_000
/** When what could not be kept now is delivered again, in milliseconds. */
const LATER = 2_000
const PAUSE = 200
/** Objects and lists within each other: what is nested deeper overflows the stack of somebody who handles it. */
const MAX_NESTED = 500
/** How often it is tried to submit what makes that die, which no submission should. */
const DEADLY = 3
/** Results that wait for a server; of more, the oldest are left to whoever reads the ledger. */
const MAX_WAITING = 10_000
/** Kept of each. */
const MAX_RESULTS = 100_000
const MAX_DEAD = 10_000
const MAX_EVENTS = 100_000
/** A message of which nobody waits for the answer. */
const UNANSWERED = { headers: {}, reply: undefined, respond: () => Effect.void }
const DURABLE = "nodes"

export interface IntakeOptions {
  readonly connection: NatsConnection
  readonly subjects: Subjects
  /** Names its streams. */
  readonly bucket: string
  readonly node: string
  readonly replicas: number
  /** The fleet's events are kept, too, for nodes that tell theirs late. */
  readonly events?: boolean
}

const pause = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

const streams = ({
  bucket,
  replicas,
  subjects
}: IntakeOptions): Readonly<Record<"queue" | "result" | "dead" | "event", Streams.Wanted>> => {
  const common = {
    storage: StorageType.File,
    num_replicas: replicas,
    duplicate_window: nanos(Streams.DUPLICATES),
    max_age: 0
  }
  return {
    queue: {
      ...common,
      name: `${bucket}-queue`,
      subjects: [subjects.all.queue],
      retention: RetentionPolicy.Workqueue,
      discard: DiscardPolicy.New
    },
    result: {
      ...common,
      name: `${bucket}-results`,
      subjects: [subjects.all.result],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_msgs: MAX_RESULTS
    },
    event: {
      ...common,
      name: `${bucket}-events`,
      subjects: [subjects.all.event],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_msgs: MAX_EVENTS
    },
    dead: {
      ...common,
      name: `${bucket}-dead`,
      subjects: [subjects.all.dead],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_msgs: MAX_DEAD
    }
  }
}

const readSpec = Schema.decodeUnknownEffect(TaskSpec)
const isTaskId = Schema.is(TaskId)
const utf8 = new TextDecoder("utf-8", { fatal: true })

/** How deep it is nested, without a stack of its own. */
const nesting = (json: string): number => {
  let depth = 0
  let deepest = 0
  let isText = false
  for (let at = 0; at < json.length; at++) {
    const letter = json[at]
    if (isText && letter === "\\") at++
    else if (letter === '"') isText = !isText
    else if (isText) continue
    else if (letter === "{" || letter === "[") deepest = Math.max(deepest, ++depth)
    else if (letter === "}" || letter === "]") depth--
  }
  return deepest
}

/** What was sent: in an envelope, or plain JSON as in `tasks` of a config. */
export const specOf = (bytes: Uint8Array, taskType: string, otherwise: string): Effect.Effect<TaskSpec, Fault> =>
  Effect.gen(function* () {
    const unreadable = (problem: string) => new MessageUnreadable({ problem: problem.slice(0, 1000) })
    const json = yield* Effect.try({
      try: () => {
        const text = utf8.decode(bytes)
        if (nesting(text) > MAX_NESTED) throw new Error(`it is nested deeper than ${MAX_NESTED} levels`)
        return JSON.parse(text) as unknown
      },
      catch: (error) => unreadable(String(error))
    })
    if (typeof json !== "object" || json === null) return yield* unreadable("it is no JSON object")
    let given: Readonly<Record<string, unknown>> = json as Readonly<Record<string, unknown>>
    let id = otherwise
    if ("version" in given && "body" in given) {
      const envelope = yield* Envelope.decode(bytes)
      if (envelope.type !== "TaskAssignment")
        return yield* unreadable(`it is a ${envelope.type}, and no TaskAssignment`)
      given = envelope.body
      if (isTaskId(envelope.id)) id = envelope.id
    }
    const spec = yield* Effect.mapError(
      readSpec({ id, type: taskType, ...given }, { onExcessProperty: "error" }),
      (error) => unreadable(error.message)
    )
    if (spec.type !== taskType)
      return yield* unreadable(`its type is "${spec.type}", and its subject says "${taskType}"`)
    if (spec.files !== undefined)
      return yield* unreadable("files are on the machine of who submits, and cannot be sent so")
    return spec
  }).pipe(
    Effect.catchDefect((defect) => Effect.fail(new MessageUnreadable({ problem: String(defect).slice(0, 1000) })))
  )

/** What is nested too deep for the stack is too long. */
const lengthOf = (value: object): number => {
  try {
    return JSON.stringify(value).length
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

/** What no message can say. */
class Unsayable extends Error {}

const deadly = (defect: unknown): Fault =>
  new HandlerFailed({
    type: "TaskAssignment",
    fault: viewOf(
      report(new MessageUnreadable({ problem: `whoever submits it dies: ${String(defect)}`.slice(0, 1000) }))
    )
  })

export class JetStreamIntake {
  private readonly options: IntakeOptions
  private readonly wanted: ReturnType<typeof streams>
  private readonly results: Array<{ readonly entry: Entry; again: boolean }> = []
  private publishing = false
  /** Completes when nothing is left to be told. */
  private all: Promise<void> = Promise.resolve()
  private stopped = false

  private constructor(options: IntakeOptions) {
    this.options = options
    this.wanted = streams(options)
  }

  static async open(options: IntakeOptions): Promise<JetStreamIntake> {
    const intake = new JetStreamIntake(options)
    const jsm = await options.connection.jetstreamManager({ checkAPI: false })
    const where = `of the fleet ${options.bucket}`
    for (const [what, wanted] of Object.entries(intake.wanted))
      if (what !== "event" || options.events === true) await Streams.ensure(jsm, where, wanted)
    await Streams.ensureConsumer(jsm, where, intake.wanted.queue.name, {
      durable_name: DURABLE,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(ACK_WAIT),
      max_deliver: -1
    })
    return intake
  }

  /** Completes when the ends that were written have been told. */
  flush(): Promise<void> {
    return this.all
  }

  stop(): void {
    this.stopped = true
  }

  /** Hands in what comes until it is stopped. `submit` says with its fault whether it is worth another try. */
  async run(submit: (spec: TaskSpec) => Effect.Effect<unknown, Fault>): Promise<void> {
    const { connection } = this.options
    while (!this.stopped && !connection.isClosed()) {
      const asked = performance.now()
      let came = 0
      try {
        const taken = connection.jetstream().fetch(this.wanted.queue.name, DURABLE, { batch: BATCH, expires: OPEN })
        for await (const message of taken) {
          came++
          // Another node need not wait until it is clear that this one has gone.
          if (this.stopped) message.nak()
          else await this.take(message, submit).catch(() => message.nak(LATER))
        }
      } catch {
        // No server, for now.
        await pause(PAUSE)
      }
      // A server that refuses a question may do so at once, and says nothing to whoever reads.
      if (came === 0 && performance.now() - asked < PAUSE) await pause(PAUSE)
    }
  }

  private async take(message: JsMsg, submit: (spec: TaskSpec) => Effect.Effect<unknown, Fault>): Promise<void> {
    const { data, info, seq, subject } = message
    const place = this.options.subjects.read(subject)
    // The same for each delivery of it.
    const id = `m${info.timestampNanos}-${seq}`
    const handled = specOf(data, place?.kind === "queue" ? place.taskType : "", id).pipe(
      Effect.mapError((fault) => ({ fault, reason: "unreadable" as DeadReason })),
      Effect.flatMap((spec) =>
        submit(spec).pipe(
          Effect.catchDefect((defect) =>
            info.redeliveryCount < DEADLY ? Effect.die(defect) : Effect.fail(deadly(defect))
          ),
          Effect.mapError((fault) => ({ fault, reason: "failed" as DeadReason }))
        )
      ),
      Effect.match({ onFailure: (failure) => failure, onSuccess: () => undefined })
    )
    const failure = await Effect.runPromise(handled)
    if (failure === undefined) return message.ack()
    if (failure.fault.recovery === "retry" || failure.fault.recovery === "escalate") return message.nak(LATER)
    const letter = DeadLetters.letterOf({ ...UNANSWERED, subject, data }, Date.now(), failure.reason, failure.fault)
    await this.publish(this.options.subjects.dead(failure.reason), { type: "DeadLetter", body: letter }, id)
    message.term()
  }

  private async publish<T extends MessageType>(subject: string, message: Message<T>, id: string, expected?: number) {
    const { connection } = this.options
    const bytes = await this.seal(message, id)
    await connection.jetstream().publish(subject, bytes, {
      msgID: id,
      ...(expected === undefined ? {} : { expect: { lastSubjectSequence: expected } })
    })
  }

  /** Fails with Unsayable where it is no message, whoever asks how often. */
  private async seal<T extends MessageType>(message: Message<T>, id: string): Promise<Uint8Array> {
    const { node } = this.options
    const envelope = {
      version: 1,
      id,
      source: `node:${node}`,
      sentAt: Date.now(),
      ...message
    } as unknown as Envelope.Envelope
    const bytes = await Effect.runPromise(Effect.result(Envelope.encode(envelope)))
    if (Result.isFailure(bytes)) throw new Unsayable(bytes.failure.message)
    return bytes.success
  }

  /** Tells how a task has ended. `again`: perhaps it was told before. */
  told(entry: Entry, again: boolean): void {
    if (this.results.length >= MAX_WAITING) this.results.shift()
    this.results.push({ entry, again })
    if (!this.publishing) this.all = this.publishAll()
  }

  /** Completes when this end is in the stream, be it already. */
  async publishedOnce(entry: Entry | undefined): Promise<void> {
    if (entry !== undefined) await this.publishResult(entry, true)
  }

  private async publishAll(): Promise<void> {
    this.publishing = true
    try {
      for (let next = this.results[0]; next !== undefined && !this.stopped; next = this.results[0]) {
        try {
          await this.publishResult(next.entry, next.again)
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

  private async publishResult({ record }: Entry, again: boolean): Promise<void> {
    const { attempt, id, result } = record
    const { connection, node, subjects } = this.options
    const subject = subjects.result(id)
    if (result === undefined || subject._tag === "Failure") return
    let expected: number | undefined
    if (again) {
      const jsm = await connection.jetstreamManager({ checkAPI: false })
      const last = await jsm.streams
        .getMessage(this.wanted.result.name, { last_by_subj: subject.success })
        .catch(Streams.unlessMissing)
      if (last !== undefined) {
        const told = await Effect.runPromise(Effect.option(Envelope.decode(last.data, Number.POSITIVE_INFINITY)))
        if (told._tag === "Some" && told.value.type === "TaskResult" && told.value.body.attempt >= attempt) return
      }
      expected = last?.seq ?? 0
    }
    const whole = resultOf(result, { attempt, node })
    // What no message holds is read from the ledger: its end is told all the same.
    const body = lengthOf(whole) > LONGEST ? { ...whole, text: whole.text.slice(0, CUT), output: undefined } : whole
    await this.publish(
      subject.success,
      { type: "TaskResult", body },
      `${id}.${attempt}.${record.endedAt}`,
      expected
    ).catch((error: unknown) => {
      // Another node was faster; or no message can say it, and it is read from the ledger: others must not wait for it.
      if (!Streams.isWrongLast(error) && !(error instanceof Unsayable)) throw error
    })
  }
}

/** Characters of a result's JSON, each of which may take four bytes; and of the text that is kept of one that is longer. */
const LONGEST = 250_000
const CUT = 50_000
