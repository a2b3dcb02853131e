/**
 * Whose turn it is: first come, first served, except that a priority counts as having come earlier. So a place in the
 * queue is settled when it is taken, the order is an index, and what is low is not starved: it stands behind what is higher
 * only as long as that has not come too late.
 */
import type { TaskSpec } from "./TaskSpec.ts"

/** What waits so long counts as one priority higher, in milliseconds. */
export const AGE = 10 * 60_000

export interface Turn {
  /** When it came, by the clock, earlier or later by its priority. */
  readonly turn: number
  /** As it came: decides where the clock does not. */
  readonly place: number
}

export const priorityOf = ({ priority = 0 }: TaskSpec): number => priority

export const turnOf = (spec: TaskSpec, since: number): number => since - priorityOf(spec) * AGE

export const byTurn = (a: Turn, b: Turn): number => a.turn - b.turn || a.place - b.place
