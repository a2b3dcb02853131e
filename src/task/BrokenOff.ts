/**
 * What an attempt's being broken off does to its task: it is no try of it, because it says nothing about the task; but a
 * task that is broken off again and again, because it takes the runtime with it, is given up too.
 */
import type { Fault } from "../domain/Fault.ts"
import { report } from "../domain/Fault.ts"
import { type Move, unfinished } from "./Move.ts"
import { BrokenOffTooOften } from "./TaskError.ts"
import type { Parking, TaskRecord } from "./TaskRecord.ts"

/** Its agent was stopped under it: for a sibling's sake, by an operator, or before it could begin. */
const BY_OTHERS = new Set(["Interrupted", "AgentGone"])

export const brokenOff = ({ _tag }: Fault): boolean => BY_OTHERS.has(_tag)

/** Given up because of that, and not of what it did. */
export const wasBrokenOff = ({ lastFault, state }: TaskRecord): boolean =>
  state === "dead" && lastFault?.kind === "BrokenOffTooOften"

type Why = Pick<Parking, "fault"> & Partial<Parking>

/** Back to the queue or to its pause, or given up. */
export const interrupt = (record: TaskRecord, why: Why, limit: number, now: number, move: Move): TaskRecord => {
  const { fault, until = now, usage = record.usage } = why
  const interruptions = record.interruptions + 1
  const given = { interruptions, usage, lastFault: fault }
  if (interruptions > limit) {
    const last = report(new BrokenOffTooOften({ task: record.id, times: interruptions, last: fault.message }))
    const result = unfinished({ ...record, usage }, last, now)
    return move(record, "dead", { ...given, lastFault: last, result, endedAt: now }, fault, why)
  }
  return until <= now
    ? move(record, "queued", given, fault, why)
    : move(record, "parked", { ...given, dueAt: until }, fault, why)
}
