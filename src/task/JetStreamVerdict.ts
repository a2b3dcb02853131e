/** What a message of the queue that gives out the tasks is worth, by what is known of its task. Pure. */
import { isFinal } from "../domain/Task.ts"
import { begun, type TaskRecord } from "./TaskRecord.ts"

/** When what nobody here could take is delivered again, and what is left to the node that has begun it, in milliseconds. */
const LATER = 200
const LEFT = 5_000
/** A message is not put off for longer, in milliseconds: what is parked for days is put off again. */
const LONGEST = 24 * 60 * 60_000

export type Verdict =
  /** This node may try. */
  | { readonly what: "try" }
  /** It runs here: the message is held until it does not. */
  | { readonly what: "hold" }
  /** It has ended, or is queued with a new message when it is: this one goes. */
  | { readonly what: "drop" }
  /** For any node, so many milliseconds later. */
  | { readonly what: "back"; readonly millis: number }

const back = (millis: number): Verdict => ({ what: "back", millis })

export interface Situation {
  /** This node holds the task. */
  readonly here: boolean
  /** There is such a task, but this node cannot read it. */
  readonly broken?: boolean
  readonly now: number
  /** Until when the end of what runs elsewhere is waited for. */
  readonly ackWait: number
}

/** `record` is undefined where there is no such task, or none any more. */
export const verdictOf = (record: TaskRecord | undefined, { ackWait, broken, here, now }: Situation): Verdict => {
  if (broken) return back(ackWait)
  if (record === undefined || isFinal(record.state)) return { what: "drop" }
  if (record.state === "queued") return { what: "try" }
  if (record.state === "running") return here ? { what: "hold" } : back(ackWait)
  if (record.state === "parked") return back(Math.min(Math.max(LATER, (record.dueAt ?? 0) - now), LONGEST))
  // For a person, or for other tasks: it is queued anew when those have answered.
  return { what: "drop" }
}

/** The same of one that this node had and could not begin, or has given back. */
export const afterTrying = (record: TaskRecord | undefined, situation: Situation): Verdict => {
  const verdict = verdictOf(record, situation)
  if (verdict.what !== "try" || record === undefined) return verdict
  // What was begun is left for a while to the node that has begun it.
  return back(begun(record) > 0 && !situation.here ? LEFT : LATER)
}
