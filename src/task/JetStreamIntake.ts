/**
 * Takes what was handed in on `tasks.{type}.queue` out of its work queue and submits it.
 *
 * Promises: what the server has acknowledged is kept until a node has submitted it, and submitted once: one without an id
 * of its own gets that of its message, so that what is delivered twice is the same task. What cannot be one goes to
 * `dead.{reason}` with the reason, and is not tried again. What a killed server keeps and would never deliver again
 * (JetStreamOrphans.ts) is found and submitted like any other.
 */
import { Effect } from "effect"
import { AckPolicy, type JsMsg, type NatsConnection, nanos, type StoredMsg } from "nats"
import { type Fault, report } from "../domain/Fault.ts"
import * as DeadLetters from "../message/DeadLetters.ts"
import { viewOf } from "../message/FaultView.ts"
import { HandlerFailed, MessageUnreadable } from "../message/MessageError.ts"
import type { DeadReason, Subjects } from "../message/Subject.ts"
import { specOf } from "./JetStreamHandedIn.ts"
import type { Letters } from "./JetStreamLetters.ts"
import { sweep } from "./JetStreamOrphans.ts"
import type { TaskSpec } from "./TaskSpec.ts"

/** Asked for at once. */
const BATCH = 32
/** How long a question for more is open, in milliseconds. */
const OPEN = 5_000
/** Within which what was taken must be submitted, or another node gets it, in milliseconds. */
const ACK_WAIT = 30_000
/** When what could not be kept now is delivered again, in milliseconds. */
const LATER = 2_000
/** Before it is asked again, where that has led to nothing, in milliseconds. */
export const PAUSE = 200
/** Between two looks for what would never be delivered, in milliseconds. */
const SWEEP = 15_000
/** How often it is tried to submit what makes that die, which no submission should. */
const DEADLY = 3
/** A message of which nobody waits for the answer. */
const UNANSWERED = { headers: {}, reply: undefined, respond: () => Effect.void }
const DURABLE = "nodes"

export const CONSUMER = {
  durable_name: DURABLE,
  ack_policy: AckPolicy.Explicit,
  ack_wait: nanos(ACK_WAIT),
  max_deliver: -1
}

export interface IntakeOptions {
  readonly connection: NatsConnection
  readonly letters: Letters
  readonly subjects: Subjects
  /** The work queue. */
  readonly stream: string
}

export type Submit = (spec: TaskSpec) => Effect.Effect<unknown, Fault>

interface HandedIn {
  readonly subject: string
  readonly data: Uint8Array
  /** The same for each delivery of it. */
  readonly id: string
  /** How often it was delivered. */
  readonly deliveries: number
}

const idOf = (nanos: number, seq: number) => `m${nanos}-${seq}`

const delivered = ({ data, info, seq, subject }: JsMsg): HandedIn => ({
  subject,
  data,
  id: idOf(info.timestampNanos, seq),
  deliveries: info.redeliveryCount
})

const found = ({ data, seq, subject, timestamp }: StoredMsg): HandedIn => ({
  subject,
  data,
  id: idOf(nanosOf(timestamp), seq),
  deliveries: DEADLY
})

/** As the number in which the client gives the time of a message that is delivered. */
export const nanosOf = (timestamp: string): number => {
  const [, second = "", fraction = ""] = /^([^.Z]+)(?:\.(\d+))?Z$/.exec(timestamp) ?? []
  return Number(BigInt(Date.parse(`${second}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, "0")))
}

const deadly = (defect: unknown): Fault =>
  new HandlerFailed({
    type: "TaskAssignment",
    fault: viewOf(
      report(new MessageUnreadable({ problem: `whoever submits it dies: ${String(defect)}`.slice(0, 1000) }))
    )
  })

export class JetStreamIntake {
  private readonly options: IntakeOptions
  private stopped = false
  private sweepAt = 0
  /** Whether the last look failed: once is enough to tell, as what is delivered comes all the same. */
  private sweepFailed = false

  constructor(options: IntakeOptions) {
    this.options = options
  }

  stop(): void {
    this.stopped = true
  }

  /**
   * Hands in what comes in one question's time; completes with how long to wait before the next, in milliseconds. `submit`
   * says with its fault whether it is worth another try. Fails as the client does.
   */
  async round(submit: Submit): Promise<number> {
    const { connection, stream } = this.options
    if (this.stopped || connection.isClosed()) return OPEN
    const asked = performance.now()
    if (asked >= this.sweepAt) {
      // Not again at once where it fails: what is delivered need not wait for it.
      this.sweepAt = asked + SWEEP
      await this.sweepAndTell(submit)
    }
    let came = 0
    const taken = connection.jetstream().fetch(stream, DURABLE, { batch: BATCH, expires: OPEN })
    for await (const message of taken) {
      came++
      // Another node need not wait until it is clear that this one has gone.
      if (this.stopped) message.nak()
      else await this.take(message, submit).catch(() => message.nak(LATER))
    }
    // A server that refuses a question may do so at once, and says nothing to whoever reads.
    return came === 0 && performance.now() - asked < PAUSE ? PAUSE : 0
  }

  private async take(message: JsMsg, submit: Submit): Promise<void> {
    const answer = await this.handIn(delivered(message), submit)
    if (answer === "submitted") message.ack()
    else if (answer === "dead") message.term()
    else message.nak(LATER)
  }

  private async sweepAndTell(submit: Submit): Promise<void> {
    try {
      await this.sweep(submit)
      this.sweepFailed = false
    } catch (error) {
      if (this.sweepFailed) return
      this.sweepFailed = true
      throw error
    }
  }

  private async sweep(submit: Submit): Promise<void> {
    const { connection, stream } = this.options
    const jsm = await connection.jetstreamManager({ checkAPI: false })
    await sweep(
      jsm,
      { stream, consumer: DURABLE },
      async (message) => !this.stopped && (await this.handIn(found(message), submit)) !== "later"
    )
  }

  private async handIn(
    { data, deliveries, id, subject }: HandedIn,
    submit: Submit
  ): Promise<"submitted" | "dead" | "later"> {
    const { letters, subjects } = this.options
    const place = subjects.read(subject)
    const handled = specOf(data, place?.kind === "queue" ? place.taskType : "", id).pipe(
      Effect.mapError((fault) => ({ fault, reason: "unreadable" as DeadReason })),
      Effect.flatMap((spec) =>
        submit(spec).pipe(
          Effect.catchDefect((defect) => (deliveries < DEADLY ? Effect.die(defect) : Effect.fail(deadly(defect)))),
          Effect.mapError((fault) => ({ fault, reason: "failed" as DeadReason }))
        )
      ),
      Effect.match({ onFailure: (failure) => failure, onSuccess: () => undefined })
    )
    const failure = await Effect.runPromise(handled)
    if (failure === undefined) return "submitted"
    if (failure.fault.recovery === "retry" || failure.fault.recovery === "escalate") return "later"
    const letter = DeadLetters.letterOf({ ...UNANSWERED, subject, data }, Date.now(), failure.reason, failure.fault)
    await letters.publish(subjects.dead(failure.reason), { type: "DeadLetter", body: letter }, id)
    return "dead"
  }
}
