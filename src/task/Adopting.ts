/**
 * What it makes of a ledger that a task comes into it from another one, as it stands there: not begun, or with its end. All
 * of it is one transaction, so that nobody is given a task that was done already. The same once more changes nothing.
 */
import { isFinal } from "../domain/Task.ts"
import { sameContent } from "./Content.ts"
import type { LedgerStore } from "./LedgerStore.ts"
import { type Move, type Moved, refuse } from "./Move.ts"
import { AttemptSuperseded, TaskConflict } from "./TaskError.ts"
import { type AttemptRecord, begun, type TaskRecord } from "./TaskRecord.ts"

/** A task as another ledger has it. */
export interface Adoptee {
  readonly record: TaskRecord
  readonly history: ReadonlyArray<AttemptRecord>
}

/** Has it ended by this very report? A result is kept as it was reported, but for what the ledger adds. */
export const endedSo = (record: TaskRecord, { result }: Pick<TaskRecord, "result">): boolean =>
  result !== undefined &&
  record.result !== undefined &&
  JSON.stringify({ ...record.result, traceparent: undefined }) === JSON.stringify({ ...result, traceparent: undefined })

/** Answers with the task as it stands afterwards; refuses what contradicts what is there. */
export const adopting = (
  { history, record }: Adoptee,
  { move, moved, now, store }: { store: LedgerStore; now: number; move: Move; moved: Array<Moved> }
): TaskRecord => {
  const { agent, attempt, endedAt, id, lastFault, result, startedAt, state, usage } = record
  const there = store.get(id)
  // A series has one occurrence that is yet to come, whatever its id.
  const [open] =
    there === undefined && record.series !== undefined && !isFinal(state) ? store.openOf(record.series) : []
  if (open !== undefined) return open
  if (there === undefined) {
    // What is inserted counts as new in every home; as it is, it is by the move.
    store.insert({ ...record, state: "waiting", attempt: 0, result: undefined }, now)
    store.update(record, "waiting", now)
    for (const attempt of history) store.writeAttempt(id, attempt)
    moved.push({ from: undefined, record })
    return record
  }
  if (!sameContent(there.spec, record.spec)) return refuse(new TaskConflict({ task: id }))
  if (!isFinal(state) || endedSo(there, record)) return there
  const untouched = begun(there) === 0 && (there.state === "queued" || there.state === "parked")
  if (!untouched) return refuse(new AttemptSuperseded({ task: id, attempt, current: there.attempt }))
  // It was asked for at both places, and done at one. What is parked comes into the queue first.
  store.unwait(id)
  const queued = there.state === "parked" ? move(there, "queued") : there
  const number = Math.max(attempt, there.attempt + 1)
  const running = move(queued, "running", { agent, attempt: number, startedAt })
  if (state === "cancelled" || result === undefined) return move(running, "cancelled", { result, lastFault, endedAt })
  return move(running, state, { result, usage, lastFault, endedAt }, lastFault)
}

/** What nobody has begun and nothing here holds back leaves this ledger without a word. True where it has left, or had. */
export const withdrawing = (store: LedgerStore, id: string, now: number): boolean => {
  const record = store.get(id)
  if (record === undefined) return true
  if (isFinal(record.state)) return hasLeft(record)
  if (!mayLeave(record)) return false
  store.update(
    { ...record, state: "cancelled", dueAt: undefined, beginBy: undefined, endBy: undefined, endedAt: now },
    record.state,
    now
  )
  return true
}

/** It was not begun, and waits for no other task of this ledger. */
export const mayLeave = (record: TaskRecord): boolean =>
  begun(record) === 0 && (record.state === "queued" || (record.state === "parked" && record.dueAt !== undefined))

/** Nothing else ends without a result. */
export const hasLeft = ({ result, state }: TaskRecord): boolean => state === "cancelled" && result === undefined
