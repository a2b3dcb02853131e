/** What a move makes of a task: which may follow which, what is written with it, and what is refused. */
import type { FaultReport } from "../domain/Fault.ts"
import type { TaskId } from "../domain/Ids.ts"
import { isFinal, moves, noUsage, type TaskResult, type TaskState } from "../domain/Task.ts"
import type { LedgerStore } from "./LedgerStore.ts"
import { waitsUntil } from "./NotBefore.ts"
import { AttemptSuperseded } from "./TaskError.ts"
import type { AttemptRecord, TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"

/** A move that was written. */
export interface Moved {
  readonly from: TaskState | undefined
  readonly record: TaskRecord
}

export type Move = (record: TaskRecord, to: TaskState, change?: Partial<TaskRecord>, fault?: FaultReport) => TaskRecord

/** A task with its id. */
export type Named = TaskSpec & { readonly id: TaskId }

/** Thrown within a transaction, so that it is undone. */
export class Refusal<E> {
  readonly error: E
  constructor(error: E) {
    this.error = error
  }
}
export const refuse = <E>(error: E): never => {
  throw new Refusal(error)
}

/** The only place where a state changes. The story of the attempt is written with it. */
export const mover =
  (store: LedgerStore, now: number, moved: Array<Moved>): Move =>
  (record, to, change = {}, fault) => {
    const from = record.state
    // To be asked for again is no move of a task's life: it is another life.
    if (!moves[from].includes(to) && !(isFinal(from) && (to === "queued" || to === "parked")))
      refuse(new AttemptSuperseded({ task: record.id, attempt: record.attempt, current: record.attempt }))
    const next = traced({ ...record, leaseUntil: undefined, dueAt: undefined, ...change, state: to })
    store.update(next, from, now)
    if (to === "running") store.writeAttempt(next.id, begun(next, now))
    else if (from === "running") {
      const attempt = store.attempt(record.id, record.attempt) ?? begun(record, now)
      store.writeAttempt(record.id, { ...attempt, endedAt: now, ended: to, fault })
    }
    moved.push({ from, record: next })
    return next
  }

/** A result says to which trace its task belongs. */
const traced = (record: TaskRecord): TaskRecord => {
  const { result, spec } = record
  const { traceparent } = spec
  return result === undefined || traceparent === undefined ? record : { ...record, result: { ...result, traceparent } }
}

const begun = ({ agent, attempt }: TaskRecord, now: number): AttemptRecord => ({
  attempt,
  agent: agent ?? "",
  begunAt: now,
  endedAt: undefined,
  ended: undefined,
  fault: undefined
})

/** How a life of a task begins. */
const start = (spec: TaskSpec, submittedAt: number, now: number, waits: boolean) => {
  // Until when is not known before what it waits for has ended.
  if (waits) return { state: "parked" as const, dueAt: undefined }
  const dueAt = waitsUntil(spec, submittedAt, now)
  return { state: dueAt === undefined ? ("queued" as const) : ("parked" as const), dueAt }
}

export const fresh = (spec: Named, now: number, waits: boolean): TaskRecord => ({
  id: spec.id,
  spec,
  ...start(spec, now, now, waits),
  attempt: 0,
  before: 0,
  agent: undefined,
  submittedAt: now,
  startedAt: undefined,
  endedAt: undefined,
  leaseUntil: undefined,
  lastFault: undefined,
  usage: noUsage,
  result: undefined
})

/** The number of its attempt goes on, so that late reports of its former life stay refused. */
export const anew = ({ attempt, spec, submittedAt }: TaskRecord, now: number, waits: boolean) => ({
  ...start(spec, submittedAt, now, waits),
  before: attempt,
  startedAt: undefined,
  endedAt: undefined,
  lastFault: undefined,
  usage: noUsage,
  result: undefined
})

export const cancelled = (record: TaskRecord, fault: FaultReport, now: number): TaskResult => ({
  task: record.id,
  status: "failed",
  text: "",
  output: undefined,
  fault,
  agent: record.agent,
  session: undefined,
  attempts: record.attempt - record.before,
  denied: [],
  usage: record.usage,
  tookMillis: now - (record.startedAt ?? now)
})
