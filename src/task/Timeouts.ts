/**
 * How long a task may take: to be begun, to be attempted, to be over. The ledger keeps the dates and its alarm sees to them,
 * so that they hold whatever dies in between; a running attempt is superseded by the end of its task.
 */
import { Duration, Schema } from "effect"
import { report } from "../domain/Fault.ts"
import { PositiveDurationFromString } from "../domain/Quantity.ts"
import type { TaskState } from "../domain/Task.ts"
import { NotBegunInTime, TaskOverdue } from "./TaskError.ts"
import { begun, type TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"

const time = Schema.optionalKey(Schema.toEncoded(PositiveDurationFromString))

export const Timeouts = Schema.Struct({
  queue: time.annotateKey({
    description:
      "How long it may wait for an agent once nothing else keeps it from beginning; then it fails. Default: without end"
  }),
  attempt: time.annotateKey({
    description: "How long a turn of an attempt may take, where that is shorter than the agent's limits.taskTime"
  }),
  whole: time.annotateKey({
    description:
      "How long all of it may take, from its acceptance to its end, whatever it waits for. Default: without end"
  })
})
export type Timeouts = typeof Timeouts.Type

/** The last millisecond that a date can name. */
const LAST = 8.64e15

const read = Schema.decodeUnknownSync(PositiveDurationFromString)
const after = (text: string | undefined, since: number) =>
  text === undefined ? undefined : Math.min(LAST, since + Math.ceil(Duration.toMillis(read(text))))

/** What an agent is to allow a turn of it at most. */
export const turnLimit = ({ timeouts }: TaskSpec): Duration.Duration | undefined =>
  timeouts?.attempt === undefined ? undefined : read(timeouts.attempt)

/** Until when it must be over, for a life that begins then. */
export const endsBy = ({ timeouts }: TaskSpec, since: number) => after(timeouts?.whole, since)

/** Until when it must be begun, where it comes into the queue now. */
export const beginsBy = (record: Pick<TaskRecord, "attempt" | "before" | "spec">, state: TaskState, now: number) =>
  state === "queued" && begun(record) === 0 ? after(record.spec.timeouts?.queue, now) : undefined

/** Why it is over now, where it is. */
export const overdue = ({ beginBy, endBy, id, spec, state }: TaskRecord, now: number) => {
  const { queue = "", whole = "" } = spec.timeouts ?? {}
  if (endBy !== undefined && endBy <= now) return report(new TaskOverdue({ task: id, within: whole }))
  if (state === "queued" && beginBy !== undefined && beginBy <= now)
    return report(new NotBegunInTime({ task: id, within: queue }))
  return undefined
}
