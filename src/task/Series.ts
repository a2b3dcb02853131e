/**
 * A task with a schedule is one occurrence of a series: parked until its time, and followed by the next in the very
 * transaction in which it ends. So one of a series never meets the next, times that nobody was there for are made up for once
 * at most, and no crash ends it. Only who cancels an occurrence ends the series.
 */
import { TaskId } from "../domain/Ids.ts"
import type { LedgerStore } from "./LedgerStore.ts"
import { fresh } from "./Move.ts"
import { nextTime } from "./ScheduleSpec.ts"
import type { TaskRecord } from "./TaskRecord.ts"

/** Times that are passed over because their ids are taken. */
const MAX_TAKEN = 1_000

/** As the id of an occurrence says it: a schedule knows no parts of a second. */
const timeOf = (at: number) => new Date(at).toISOString().replace(/[-:]|\.\d+/g, "")

/** The occurrence after this one, which has ended now, where there is to be one. */
export const following = (ended: TaskRecord, store: LedgerStore, now: number): TaskRecord | undefined => {
  const { lastFault, occursAt = now, series, spec, state } = ended
  const { after: _, notBefore: __, schedule, ...content } = spec
  if (series === undefined || schedule === undefined) return undefined
  if (state === "cancelled" && lastFault?.kind === "TaskCancelled") return undefined
  // One that was replayed may stand beside the next, and whichever ends last is followed.
  if (store.openOf(series).length > 0) return undefined
  let at = nextTime(schedule, Math.max(now, occursAt))
  for (let taken = 0; at !== undefined && taken < MAX_TAKEN; taken++) {
    const id = TaskId.make(`${series}@${timeOf(at)}`)
    if (!store.has(id)) return fresh({ ...content, schedule, id }, now, false, at)
    at = nextTime(schedule, at)
  }
  return undefined
}
