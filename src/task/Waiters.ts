/**
 * What the end of a task does to those that wait for it, in the same transaction: the last that a task has waited for lets
 * it go, and one that has not succeeded cancels it, unless it is to run all the same, and so on down the chain. An occurrence of a series is followed by the next.
 */
import { report } from "../domain/Fault.ts"
import { isFinal } from "../domain/Task.ts"
import { edgesOf } from "./After.ts"
import type { LedgerStore } from "./LedgerStore.ts"
import { dueOf, type Move, type Moved, unfinished } from "./Move.ts"
import { following } from "./Series.ts"
import { DependencyFailed } from "./TaskError.ts"
import type { TaskRecord } from "./TaskRecord.ts"

/** Does this end cancel who waits for it? */
export const cancels = (ended: TaskRecord, waiter: Pick<TaskRecord, "spec">): boolean =>
  isFinal(ended.state) && ended.state !== "succeeded" && edgesOf(waiter.spec).get(ended.id) === "cancel"

export const telling =
  (
    store: LedgerStore,
    now: number,
    moved: Array<Moved>,
    move: Move,
    accept: (record: TaskRecord) => TaskRecord
  ): Move =>
  (record, to, change, fault, remains) => {
    const next = move(record, to, change, fault, remains)
    if (!isFinal(to) || isFinal(record.state)) return next
    if (record.state === "parked") store.unwait(record.id)
    const ended = [next]
    // It grows on the way: a chain may be longer than the stack.
    for (const over of ended) {
      for (const id of store.waiters(over.id)) {
        const waiter = store.get(id)
        if (waiter === undefined) continue
        if (cancels(over, waiter)) ended.push(cancelWith(over, waiter, store, now, move))
        else if (store.unwait(id, over.id) === 0) release(waiter, store, now, moved, move)
      }
      const next = following(over, store, now)
      if (next !== undefined) accept(next)
    }
    return next
  }

export const cancelWith = (over: TaskRecord, waiter: TaskRecord, store: LedgerStore, now: number, move: Move) => {
  store.unwait(waiter.id)
  const fault = report(new DependencyFailed({ task: waiter.id, on: over.id, state: over.state }))
  return move(waiter, "cancelled", { result: unfinished(waiter, fault, now), lastFault: fault, endedAt: now }, fault)
}

const release = (waiter: TaskRecord, store: LedgerStore, now: number, moved: Array<Moved>, move: Move) => {
  const dueAt = dueOf(waiter, now)
  if (dueAt === undefined) return move(waiter, "queued")
  // It stays parked, and now it is known until when.
  const record = { ...waiter, dueAt }
  store.update(record, "parked", now)
  moved.push({ from: "parked", record })
  return record
}
