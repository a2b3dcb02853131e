/** What a move makes of a task: which may follow which, what is written with it, and what is refused. */
import type { FaultReport } from "../domain/Fault.ts"
import { seriesOf, type TaskId } from "../domain/Ids.ts"
import { isFinal, moves, noUsage, type TaskResult, type TaskState } from "../domain/Task.ts"
import type { LedgerStore } from "./LedgerStore.ts"
import { waitsUntil } from "./NotBefore.ts"
import { nextTime } from "./ScheduleSpec.ts"
import { AttemptSuperseded } from "./TaskError.ts"
import { type AttemptRecord, begun, MAX_WORDS, type Remains, type TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"
import { beginsBy, endsBy } from "./Timeouts.ts"

/** A move that was written. */
export interface Moved {
  readonly from: TaskState | undefined
  readonly record: TaskRecord
}

export type Move = (
  record: TaskRecord,
  to: TaskState,
  change?: Partial<TaskRecord>,
  fault?: FaultReport,
  /** Of the attempt that ends by it. */
  remains?: Remains
) => TaskRecord

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
  (record, to, change = {}, fault, remains = {}) => {
    const from = record.state
    // To be asked for again is no move of a task's life: it is another life. And what is dead may be dropped.
    const beyond = isFinal(from) && (to === "queued" || to === "parked" || (from === "dead" && to === "cancelled"))
    if (!moves[from].includes(to) && !beyond)
      refuse(new AttemptSuperseded({ task: record.id, attempt: record.attempt, current: record.attempt }))
    const changed: TaskRecord = { ...record, leaseUntil: undefined, dueAt: undefined, ...change, state: to }
    const next = traced({
      ...changed,
      beginBy: beginsBy(changed, to, now),
      endBy: isFinal(to) ? undefined : changed.endBy
    })
    store.update(next, from, now)
    if (to === "running") store.writeAttempt(next.id, story(next, now))
    else if (from === "running") {
      const attempt = store.attempt(record.id, record.attempt) ?? story(record, now)
      store.writeAttempt(record.id, { ...attempt, endedAt: now, ended: to, fault, ...kept(remains) })
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

const story = ({ agent, attempt, node }: TaskRecord, now: number): AttemptRecord => ({
  attempt,
  agent: agent ?? "",
  ...(node === undefined ? {} : { node }),
  begunAt: now,
  endedAt: undefined,
  ended: undefined,
  fault: undefined
})

/** What is kept of it, within bounds. */
const kept = ({ missing = [], words = "" }: Remains): Pick<AttemptRecord, "words" | "missing"> => ({
  // Half a letter cannot be kept in every home.
  ...(words === "" ? {} : { words: words.slice(-MAX_WORDS).toWellFormed() }),
  ...(missing.length === 0 ? {} : { missing: missing.map(({ found, proof }) => ({ proof, found })) })
})

type Dated = Pick<TaskRecord, "spec" | "submittedAt" | "occursAt">

/** Until when it waits, where that is not over; of an occurrence, until its time. */
export const dueOf = ({ occursAt, spec, submittedAt }: Dated, now: number): number | undefined =>
  occursAt === undefined ? waitsUntil(spec, submittedAt, now) : occursAt > now ? occursAt : undefined

/** How a life of a task begins. */
const start = (task: Dated, now: number, waits: boolean) => {
  const { occursAt, spec } = task
  // Until when is not known before what it waits for has ended.
  const dueAt = waits ? undefined : dueOf(task, now)
  const state: TaskState = waits || dueAt !== undefined ? "parked" : "queued"
  const none = { attempt: 0, before: 0, spec }
  // An occurrence is not late before its time.
  const since = Math.max(now, occursAt ?? now)
  return { state, dueAt, beginBy: beginsBy(none, state, now), endBy: endsBy(spec, since) }
}

/** For a scheduled task, the first time that is allowed. */
const firstTime = ({ schedule, ...spec }: TaskSpec, now: number) => {
  const from = waitsUntil(spec, now, now)
  return schedule === undefined ? undefined : nextTime(schedule, from === undefined ? now : from - 1)
}

export const fresh = (spec: Named, now: number, waits: boolean, occursAt = firstTime(spec, now)): TaskRecord => ({
  id: spec.id,
  spec,
  series: spec.schedule === undefined ? undefined : seriesOf(spec.id),
  occursAt,
  ...start({ spec, submittedAt: now, occursAt }, now, waits),
  attempt: 0,
  before: 0,
  interruptions: 0,
  agent: undefined,
  node: undefined,
  submittedAt: now,
  startedAt: undefined,
  endedAt: undefined,
  leaseUntil: undefined,
  lastFault: undefined,
  usage: noUsage,
  result: undefined
})

/** The number of its attempt goes on, so that late reports of its former life stay refused. */
export const anew = (record: TaskRecord, now: number, waits: boolean) => ({
  ...start(record, now, waits),
  before: record.attempt,
  interruptions: 0,
  startedAt: undefined,
  endedAt: undefined,
  lastFault: undefined,
  usage: noUsage,
  result: undefined
})

/** The result of a task that ends by what is written down here, and not by an answer. */
export const unfinished = (record: TaskRecord, fault: FaultReport, now: number): TaskResult => ({
  task: record.id,
  status: "failed",
  text: "",
  output: undefined,
  fault,
  agent: record.agent,
  session: undefined,
  attempts: begun(record),
  denied: [],
  usage: record.usage,
  tookMillis: now - (record.startedAt ?? now)
})
