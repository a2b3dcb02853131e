/**
 * What a submission makes of the ledger, in one transaction: which tasks are new, which were there, which are asked for once
 * more, and who waits for whom. All of them are accepted or none; what it refuses it throws before anything is written.
 */
import { seriesOf } from "../domain/Ids.ts"
import { isFinal } from "../domain/Task.ts"
import { circle, edgesOf } from "./After.ts"
import { sameContent } from "./Content.ts"
import { mayMiss } from "./Continuing.ts"
import type { LedgerStore } from "./LedgerStore.ts"
import { anew, fresh, type Move, type Named, refuse } from "./Move.ts"
import { LedgerFull, TaskConflict, TaskInvalid } from "./TaskError.ts"
import type { TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"
import { cancels, cancelWith } from "./Waiters.ts"

/** Tasks that are not ended, at most. */
export const MAX_OPEN = 100_000

export interface Submission {
  readonly named: ReadonlyArray<Named>
  /** Of what is there already: is it to be done once more? */
  readonly redo: (record: TaskRecord) => boolean
}

/** The transaction in which it is accepted. */
export interface Acceptance {
  readonly store: LedgerStore
  readonly now: number
  /** Tasks that have not ended. */
  readonly open: number
  readonly move: Move
  readonly accept: (record: TaskRecord) => TaskRecord
}

/** The tasks as they stand afterwards, in the order in which they were asked for. */
export const accepting = ({ named, redo }: Submission, around: Acceptance): ReadonlyArray<TaskRecord> => {
  const { accept, move, now, open, store } = around
  const known = new Map<string, TaskRecord>()
  const added = new Map<string, Named>()
  const conflicts = new Set<string>()
  /** What begins a life with this. */
  const coming = new Map<string, TaskSpec>()
  const again = new Set<string>()
  const going = new Set<string>()
  for (const spec of named) {
    const record = known.get(spec.id) ?? there(store, spec)
    const content = record?.spec ?? added.get(spec.id)
    if (content === undefined) {
      added.set(spec.id, spec)
      coming.set(spec.id, spec)
    } else if (!sameContent(content, spec)) conflicts.add(spec.id)
    if (record === undefined) continue
    if (!known.has(spec.id) && redo(record) && !going.has(record.series ?? "")) {
      again.add(spec.id)
      if (record.series !== undefined) going.add(record.series)
      coming.set(spec.id, record.spec)
    }
    known.set(spec.id, record)
  }
  const [conflict, ...others] = conflicts
  if (conflict !== undefined)
    return refuse(new TaskConflict({ task: conflict, ...(others.length === 0 ? {} : { others }) }))
  const more = added.size + again.size
  if (more > 0 && open + more > MAX_OPEN) return refuse(new LedgerFull({ limit: MAX_OPEN }))
  for (const [id, spec] of added) {
    const nowhere = [...edgesOf(spec).keys()].filter((on) => !coming.has(on) && !store.has(on) && !mayMiss(spec, on))
    if (nowhere.length > 0) return refuse(TaskInvalid.waitsForNothing(id, nowhere))
  }
  const waitsFor = (id: string) => edgesOf(coming.get(id) ?? {}).keys()
  const round = circle(coming.keys(), waitsFor)
  if (round !== undefined) return refuse(TaskInvalid.waitsForItself(round))
  /** Those that are cancelled by what had ended before. */
  const doomed: Array<readonly [id: string, by: TaskRecord]> = []
  const begin = (id: string, spec: TaskSpec, live: (waits: boolean) => TaskRecord) => {
    const on: Array<string> = []
    let by: TaskRecord | undefined
    for (const other of edgesOf(spec).keys()) {
      const there = coming.has(other) ? undefined : store.get(other)
      if (coming.has(other) || (there !== undefined && !isFinal(there.state))) on.push(other)
      else if (there !== undefined && cancels(there, { spec })) by ??= there
    }
    const record = live(on.length > 0 || by !== undefined)
    store.wait(id, on)
    if (by !== undefined) doomed.push([id, by])
    return record
  }
  const revive = (record: TaskRecord) =>
    begin(record.id, record.spec, (waits) => {
      const change = anew(record, now, waits)
      return move(record, change.state, change)
    })
  const records = named.map((spec) => {
    const record = known.get(spec.id)
    const next =
      record === undefined
        ? begin(spec.id, spec, (waits) => accept(beginning(spec, now, waits)))
        : again.delete(spec.id)
          ? revive(record)
          : record
    known.set(spec.id, next)
    return next
  })
  // Not before all of them are there: the end of one may be the end of others.
  for (const [id, by] of doomed) {
    const record = store.get(id)
    if (record !== undefined && !isFinal(record.state)) cancelWith(by, record, store, now, move)
  }
  return doomed.length === 0 ? records : records.map((record) => store.get(record.id) ?? record)
}

/** The task, or that of its series which is open. */
const there = (store: LedgerStore, { id, schedule }: Named): TaskRecord | undefined =>
  (store.has(id) ? store.get(id) : undefined) ?? (schedule === undefined ? undefined : store.openOf(seriesOf(id))[0])

const beginning = (spec: Named, now: number, waits: boolean): TaskRecord => {
  const record = fresh(spec, now, waits)
  return spec.schedule !== undefined && record.occursAt === undefined
    ? refuse(new TaskInvalid({ problem: `"${spec.id}" has a schedule without a time that comes` }))
    : record
}
