/** A home of the ledger that is gone with the process: maps, in the order of insertion. */
import { isFinal, type TaskState } from "../domain/Task.ts"
import { wantedOf } from "./Continuing.ts"
import { hasLabels } from "./Labels.ts"
import type { Kept, LedgerStore } from "./LedgerStore.ts"
import * as Needs from "./Needs.ts"
import { LedgerUnusable } from "./TaskError.ts"
import { type AttemptRecord, begun, nextDate, type TaskFilter, type TaskRecord } from "./TaskRecord.ts"
import { byTurn, priorityOf, type Turn, turnOf } from "./Turn.ts"

/** By priority: of each, they stand in their order. */
type Queue = Map<number, Map<string, Turn>>

/** Queued tasks that the same agents take. */
interface Lane {
  readonly begun: Queue
  readonly fresh: Queue
}

/** Tasks of one lane and one priority that wait. */
export interface Depth {
  readonly one: TaskRecord
  readonly priority: number
  readonly turns: Iterable<Turn>
}

/** Attempts kept of each task. */
export const MAX_HISTORY = 100
export const DEFAULT_LIMIT = 100

const laneOf = ({ spec }: TaskRecord) => `${spec.type} ${wantedOf(spec)} ${Needs.laneOf(spec)}`
/** The first that may be taken. */
const headOf = (queue: Queue, passed: ReadonlySet<string>): readonly [string, Turn] | undefined => {
  let head: readonly [string, Turn] | undefined
  for (const same of queue.values()) {
    for (const entry of same) {
      if (passed.has(entry[0])) continue
      if (head === undefined || byTurn(entry[1], head[1]) < 0) head = entry
      break
    }
  }
  return head
}
const nobody: ReadonlySet<string> = new Set()

const textOf = ({ result }: TaskRecord) => result?.text.length ?? 0

export class MemoryStore implements LedgerStore {
  private readonly tasks = new Map<string, TaskRecord>()
  private readonly attempts = new Map<string, Map<number, AttemptRecord>>()
  private readonly lanes = new Map<string, Lane>()
  /** In the order in which they have ended. */
  private readonly ended = new Set<string>()
  /** The same of dead letters. */
  private readonly dead = new Set<string>()
  protected readonly timed = new Map<string, number>()
  /** For whom each waits, and who waits for it. */
  private readonly waits = new Map<string, Set<string>>()
  private readonly waitedFor = new Map<string, Set<string>>()
  /** As it was accepted: the order of what is due at the same time. */
  private readonly order = new Map<string, number>()
  /** Of each series, those that have not ended. */
  private readonly series = new Map<string, Set<string>>()
  private text = 0
  private place = 0
  /** The latest time at which one came: a clock that is set back changes no order. */
  private latest = Number.NEGATIVE_INFINITY
  private accepted = 0

  transact<A>(_durable: boolean, work: () => A): A {
    // Nothing that could fail comes between its writes.
    return work()
  }

  unusable(error: unknown): LedgerUnusable {
    return new LedgerUnusable({ where: "in memory", problem: "failed", detail: String(error) })
  }

  get(id: string): TaskRecord | undefined {
    return this.tasks.get(id)
  }

  has(id: string): boolean {
    return this.tasks.has(id)
  }

  insert(record: TaskRecord, now: number): void {
    this.tasks.set(record.id, record)
    this.order.set(record.id, ++this.accepted)
    this.join(record)
    this.time(record)
    if (record.state === "queued") this.enqueue(record, now)
  }

  private join({ id, series, state }: TaskRecord): void {
    if (series === undefined) return
    const open = this.series.get(series) ?? new Set()
    if (isFinal(state)) open.delete(id)
    else open.add(id)
    if (open.size === 0) this.series.delete(series)
    else this.series.set(series, open)
  }

  openOf(series: string): ReadonlyArray<TaskRecord> {
    const open = [...(this.series.get(series) ?? [])].flatMap((id) => this.tasks.get(id) ?? [])
    return open.sort((one, other) => (this.order.get(one.id) ?? 0) - (this.order.get(other.id) ?? 0))
  }

  protected time(record: TaskRecord): void {
    const at = nextDate(record)
    if (at === undefined) this.timed.delete(record.id)
    else this.timed.set(record.id, at)
  }

  update(record: TaskRecord, from: TaskState, now: number): void {
    const { id, state } = record
    const old = this.tasks.get(id)
    if (from === "queued") this.dequeue(record)
    if (from === "dead") this.dead.delete(id)
    else if (isFinal(from)) {
      this.ended.delete(id)
      this.text -= old === undefined ? 0 : textOf(old)
    }
    this.tasks.set(id, record)
    this.join(record)
    this.time(record)
    if (state === "queued") this.enqueue(record, now)
    if (state === "dead") this.dead.add(id)
    else if (isFinal(state)) {
      this.ended.add(id)
      this.text += textOf(record)
    }
  }

  private enqueue(record: TaskRecord, now: number): void {
    const key = laneOf(record)
    const lane = this.lanes.get(key) ?? { begun: new Map(), fresh: new Map() }
    this.lanes.set(key, lane)
    const queue = begun(record) > 0 ? lane.begun : lane.fresh
    const priority = priorityOf(record.spec)
    const same = queue.get(priority) ?? new Map<string, Turn>()
    this.latest = Math.max(this.latest, now)
    queue.set(priority, same.set(record.id, { turn: turnOf(record.spec, this.latest), place: ++this.place }))
  }

  private dequeue(record: TaskRecord): void {
    const key = laneOf(record)
    const lane = this.lanes.get(key)
    if (lane === undefined) return
    const priority = priorityOf(record.spec)
    for (const queue of [lane.begun, lane.fresh]) {
      const same = queue.get(priority)
      if (same?.delete(record.id) && same.size === 0) queue.delete(priority)
    }
    if (lane.begun.size + lane.fresh.size === 0) this.lanes.delete(key)
  }

  wait(id: string, on: ReadonlyArray<string>): void {
    if (on.length === 0) return
    this.waits.set(id, new Set(on))
    for (const other of on) {
      const waiting = this.waitedFor.get(other) ?? new Set()
      this.waitedFor.set(other, waiting.add(id))
    }
  }

  unwait(id: string, on?: string): number {
    const waits = this.waits.get(id)
    if (waits === undefined) return 0
    for (const other of on === undefined ? [...waits] : [on]) {
      waits.delete(other)
      const waiting = this.waitedFor.get(other)
      if (waiting?.delete(id) && waiting.size === 0) this.waitedFor.delete(other)
    }
    if (waits.size === 0) this.waits.delete(id)
    return waits.size
  }

  waiters(on: string): ReadonlyArray<string> {
    const waiting = [...(this.waitedFor.get(on) ?? [])]
    return waiting.sort((one, other) => (this.order.get(one) ?? 0) - (this.order.get(other) ?? 0))
  }

  writeAttempt(id: string, attempt: AttemptRecord): void {
    const known = this.attempts.get(id) ?? new Map<number, AttemptRecord>()
    this.attempts.set(id, known.set(attempt.attempt, attempt))
    known.delete(attempt.attempt - MAX_HISTORY)
  }

  attempt(id: string, attempt: number): AttemptRecord | undefined {
    return this.attempts.get(id)?.get(attempt)
  }

  history(id: string): ReadonlyArray<AttemptRecord> {
    return [...(this.attempts.get(id)?.values() ?? [])]
  }

  heads(passOver: ReadonlyArray<string>): ReadonlyArray<TaskRecord> {
    const passed = new Set(passOver)
    const heads: Array<{ readonly record: TaskRecord; readonly begun: boolean; readonly turn: Turn }> = []
    for (const lane of this.lanes.values()) {
      const begun = headOf(lane.begun, passed)
      const [id, turn] = begun ?? headOf(lane.fresh, nobody) ?? []
      const record = id === undefined ? undefined : this.tasks.get(id)
      if (record !== undefined && turn !== undefined) heads.push({ record, begun: begun !== undefined, turn })
    }
    return heads.sort((a, b) => Number(b.begun) - Number(a.begun) || byTurn(a.turn, b.turn)).map(({ record }) => record)
  }

  /** What waits, and was not begun, in each lane by its priority: one of these tasks, and the turns of all in their order. */
  *depths(): Iterable<Depth> {
    for (const { fresh } of this.lanes.values())
      for (const [priority, same] of fresh) {
        const [id = ""] = same.keys()
        const one = this.tasks.get(id)
        if (one !== undefined) yield { one, priority, turns: same.values() }
      }
  }

  interrupted(ids: ReadonlyArray<string>): ReadonlyArray<TaskRecord> {
    return ids
      .flatMap((id) => {
        const record = this.tasks.get(id)
        if (record === undefined) return []
        const turn = this.lanes.get(laneOf(record))?.begun.get(priorityOf(record.spec))?.get(id)
        return turn === undefined ? [] : [{ record, turn }]
      })
      .sort((a, b) => byTurn(a.turn, b.turn))
      .map(({ record }) => record)
  }

  list({ agent, labels, limit = DEFAULT_LIMIT, node, states, submittedAfter, submittedBefore, type }: TaskFilter) {
    const found: Array<TaskRecord> = []
    for (const record of [...this.tasks.values()].reverse()) {
      if (found.length >= limit) break
      if (states !== undefined && !states.includes(record.state)) continue
      if (type !== undefined && record.spec.type !== type) continue
      if (agent !== undefined && record.agent !== agent) continue
      if (node !== undefined && record.node !== node) continue
      if (labels !== undefined && !hasLabels(record.spec.labels, labels)) continue
      if (submittedBefore !== undefined && record.submittedAt >= submittedBefore) continue
      if (submittedAfter !== undefined && record.submittedAt <= submittedAfter) continue
      found.push(record)
    }
    return found
  }

  unleased(): ReadonlyArray<TaskRecord> {
    return [...this.tasks.values()].filter(({ leaseUntil, state }) => state === "running" && leaseUntil === undefined)
  }

  due(now: number, limit: number): ReadonlyArray<TaskRecord> {
    return [...this.timed]
      .filter(([, at]) => at <= now)
      .sort(([one, a], [other, b]) => a - b || (this.order.get(one) ?? 0) - (this.order.get(other) ?? 0))
      .slice(0, limit)
      .flatMap(([id]) => this.tasks.get(id) ?? [])
  }

  nextDue(): number | undefined {
    let next: number | undefined
    for (const at of this.timed.values()) if (next === undefined || at < next) next = at
    return next
  }

  setBack(now: number): void {
    for (const record of this.ahead(now)) this.update(record, "parked", now)
  }

  /** What is parked since a time that is yet to come, as it is to be. */
  protected *ahead(now: number): Iterable<TaskRecord> {
    for (const id of this.timed.keys()) {
      const record = this.tasks.get(id)
      const endedAt = record && this.attempt(id, record.attempt)?.endedAt
      if (record?.state !== "parked" || record.dueAt === undefined || endedAt === undefined || endedAt <= now) continue
      yield { ...record, dueAt: record.dueAt - endedAt + now }
    }
  }

  open(): number {
    return this.tasks.size - this.ended.size - this.dead.size
  }

  forget(kept: Kept): void {
    for (const id of this.dead) {
      if (this.dead.size <= Math.max(1, kept.dead)) break
      this.dead.delete(id)
      this.erase(id)
    }
    for (const id of this.ended) {
      if (this.ended.size <= 1 || (this.ended.size <= kept.tasks && this.text <= kept.text)) return
      this.erase(id)
    }
  }

  /** As it is now, in its place. */
  protected replace(record: TaskRecord): void {
    this.tasks.set(record.id, record)
    this.time(record)
  }

  /** Of one that has ended. */
  protected erase(id: string): void {
    const old = this.tasks.get(id)
    if (this.ended.delete(id) && old !== undefined) this.text -= textOf(old)
    this.dead.delete(id)
    this.tasks.delete(id)
    this.attempts.delete(id)
    this.order.delete(id)
  }
}
