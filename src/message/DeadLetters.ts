/**
 * Where messages go that could not be handled: to `dead.{reason}`, with the reason and the first of their bytes, so that
 * a person can look at them and send them again. Counted, bounded, and never a failure of whoever found one; what came on
 * a dead-letter subject itself goes no further than the counts.
 */
import { Effect } from "effect"
import { type Fault, report } from "../domain/Fault.ts"
import { viewOf } from "./FaultView.ts"
import { type DeadLetter, MAX_KEPT, type Message } from "./Message.ts"
import type { Packet } from "./MessagePort.ts"
import * as Signing from "./Signing.ts"
import { DEAD_REASONS, type DeadReason, type Subjects } from "./Subject.ts"

export interface DeadLetters {
  /** Completes when it has been published, or could not be. */
  bury(packet: Packet, receivedAt: number, reason: DeadReason, fault: Fault): Effect.Effect<void>
  readonly counts: () => Readonly<Record<DeadReason, number>>
  /** Those that could not be published. */
  readonly lost: () => number
}

const NONE = Object.fromEntries(DEAD_REASONS.map((reason) => [reason, 0])) as Record<DeadReason, number>

export const letterOf = (packet: Packet, receivedAt: number, reason: DeadReason, fault: Fault): DeadLetter => ({
  reason,
  fault: viewOf(report(fault)),
  subject: packet.subject.slice(0, 4096),
  receivedAt,
  size: packet.data.length,
  data: Buffer.from(packet.data.subarray(0, MAX_KEPT)).toString("base64"),
  ...(packet.headers[Signing.HEADER] === undefined
    ? {}
    : { signature: packet.headers[Signing.HEADER].slice(0, Signing.MAX_HEADER) })
})

export const make = (
  subjects: Subjects,
  publish: (subject: string, message: Message<"DeadLetter">) => Effect.Effect<void, Fault>
): DeadLetters => {
  const counts = { ...NONE }
  let lost = 0
  return {
    bury: (packet, receivedAt, reason, fault) =>
      Effect.suspend(() => {
        counts[reason]++
        if (subjects.read(packet.subject)?.kind === "dead") return Effect.void
        const body = letterOf(packet, receivedAt, reason, fault)
        return publish(subjects.dead(reason), { type: "DeadLetter", body })
      }).pipe(
        Effect.catchCause((cause) => {
          lost++
          return Effect.logWarning("a dead letter could not be published", cause)
        }),
        Effect.annotateLogs({ subject: packet.subject, reason })
      ),
    counts: () => ({ ...counts }),
    lost: () => lost
  }
}
