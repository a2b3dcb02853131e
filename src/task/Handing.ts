/**
 * What a queue of messages says about tasks that several nodes may take: which node tries first. The claim in the ledger
 * stays the truth and the fence: a message that is lost, doubled, late or of a task that has ended costs at most a delay.
 */
import { wantedOf } from "./Continuing.ts"
import * as Needs from "./Needs.ts"
import type { TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"

/** The types that an idle agent takes; none: any. */
export type Slot = ReadonlyArray<string>

export interface Handing {
  /** Tasks that were handed to this node and that it has not tried yet, whose turn is first first. */
  handed(): ReadonlyArray<string>
  /** It was tried: where it has not begun here, it goes back. */
  tried(id: string): void
  /**
   * For how many milliseconds more this node leaves a task to the queue; 0: it may go for it. What is left is asked for
   * with the next `want`, and it is told when that time is over.
   */
  leftFor(task: TaskRecord): number
  /** These agents are idle now, and whatever is to be given to them was tried. */
  want(slots: ReadonlyArray<Slot>): void
}

/** What only some nodes can take is not given out by it: whoever asked for the next message would have to give it back. */
export const goesByQueue = (spec: TaskSpec): boolean => wantedOf(spec) === "" && Needs.laneOf(spec) === ""

/** Takes one of the slots away that may take this type, the one that can take least else. False where there is none. */
export const occupy = (slots: Array<Slot>, type: string): boolean => {
  let best: number | undefined
  for (const [index, types] of slots.entries()) {
    if (types.length > 0 && !types.includes(type)) continue
    const breadth = (slot: Slot | undefined) =>
      slot === undefined || slot.length === 0 ? Number.POSITIVE_INFINITY : slot.length
    if (best === undefined || breadth(types) < breadth(slots[best])) best = index
  }
  if (best === undefined) return false
  slots.splice(best, 1)
  return true
}
