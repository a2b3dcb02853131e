/**
 * A transaction on what a node knows: it reads the mirror through what it has written itself, and the mirror stays as it
 * is. What must not change while it is decided is written too: whose end is waited for, and the series whose open
 * occurrences were asked for; so two nodes that decide at once about what hangs together meet at a key.
 */
import { isFinal, type TaskState } from "../domain/Task.ts"
import { type Entry, seriesKey, taskKey } from "./JetStreamEntry.ts"
import type { JetStreamMirror } from "./JetStreamMirror.ts"
import { MAX_HISTORY } from "./MemoryStore.ts"
import { type AttemptRecord, nextDate, type TaskRecord } from "./TaskRecord.ts"

interface Change {
  readonly before: Entry | undefined
  record: TaskRecord
  attempts: Map<number, AttemptRecord>
  waits: Set<string>
  born: number
  queuedAt: number
}

/** What is to be written of a key. */
export interface Written {
  readonly key: string
  readonly expected: number
  readonly before: unknown
  readonly next: unknown
  /** Of a task. */
  readonly entry: Entry | undefined
}

export class JetStreamDraft {
  private readonly mirror: JetStreamMirror
  private readonly node: string
  private readonly changes = new Map<string, Change>()
  /** By which something of several tasks is guarded. */
  private readonly guards = new Set<string>()
  /** Those on whose end something was made dependent. */
  private readonly touched = new Set<string>()
  /** Who waits for whom, of what was written here. */
  private readonly waiting = new Map<string, Set<string>>()

  constructor(mirror: JetStreamMirror, node: string) {
    this.mirror = mirror
    this.node = node
  }

  private change(id: string): Change | undefined {
    const known = this.changes.get(id)
    const record = known === undefined ? this.mirror.get(id) : undefined
    if (record === undefined) return known
    const before = this.mirror.entry(id)
    const change: Change = {
      before,
      record,
      attempts: new Map(this.mirror.history(id).map((attempt) => [attempt.attempt, attempt])),
      waits: new Set(before?.waits),
      born: before?.born ?? 0,
      queuedAt: before?.queuedAt ?? 0
    }
    this.changes.set(id, change)
    return change
  }

  get(id: string): TaskRecord | undefined {
    return this.changes.get(id)?.record ?? this.mirror.get(id)
  }

  insert(record: TaskRecord, now: number): void {
    this.changes.set(record.id, {
      before: undefined,
      record,
      attempts: new Map(),
      waits: new Set(),
      born: this.mirror.next(),
      queuedAt: record.state === "queued" ? now : 0
    })
    this.guard(record.series)
  }

  update(record: TaskRecord, from: TaskState, now: number): void {
    const change = this.change(record.id)
    if (change === undefined) return
    change.record = record
    if (record.state === "queued") change.queuedAt = now
    if (isFinal(from) !== isFinal(record.state)) this.guard(record.series)
  }

  private guard(series: string | undefined): void {
    if (series !== undefined) this.guards.add(series)
  }

  wait(id: string, on: ReadonlyArray<string>): void {
    if (on.length === 0) return
    const change = this.change(id)
    if (change === undefined) return
    change.waits = new Set(on)
    for (const other of on) {
      this.touched.add(other)
      const waiting = this.waiting.get(other)
      if (waiting === undefined) this.waiting.set(other, new Set([id]))
      else waiting.add(id)
    }
  }

  unwait(id: string, on?: string): number {
    const change = this.change(id)
    if (change === undefined) return 0
    if (on === undefined) change.waits.clear()
    else change.waits.delete(on)
    return change.waits.size
  }

  waiters(on: string): ReadonlyArray<string> {
    const all = new Set([...this.mirror.waiters(on), ...(this.waiting.get(on) ?? [])])
    const born = (id: string) => this.changes.get(id)?.born ?? this.mirror.entry(id)?.born ?? 0
    return [...all]
      .filter((id) => this.changes.get(id)?.waits.has(on) ?? true)
      .sort((one, other) => born(one) - born(other))
  }

  writeAttempt(id: string, attempt: AttemptRecord): void {
    const attempts = this.change(id)?.attempts
    attempts?.set(attempt.attempt, attempt)
    attempts?.delete(attempt.attempt - MAX_HISTORY)
  }

  attempt(id: string, attempt: number): AttemptRecord | undefined {
    const change = this.changes.get(id)
    return change === undefined ? this.mirror.attempt(id, attempt) : change.attempts.get(attempt)
  }

  openOf(series: string): ReadonlyArray<TaskRecord> {
    this.guard(series)
    const there = this.mirror.openOf(series).map(({ id }) => this.get(id) as TaskRecord)
    const more = [...this.changes.values()].filter(
      ({ before, record }) => record.series === series && (before === undefined || isFinal(before.record.state))
    )
    return [...there, ...more.map(({ record }) => record)].filter(({ state }) => !isFinal(state))
  }

  nextDue(): number | undefined {
    const dates = [...this.changes.values()].flatMap(({ record }) => nextDate(record) ?? [])
    const next = this.mirror.nextDue()
    return next === undefined && dates.length === 0 ? undefined : Math.min(next ?? Number.POSITIVE_INFINITY, ...dates)
  }

  /** Nothing was written: then nothing has to be guarded either. */
  get isEmpty(): boolean {
    return this.changes.size === 0
  }

  written(): ReadonlyArray<Written> {
    for (const id of this.touched) this.change(id)
    const tasks = [...this.changes.values()].map((change): Written => {
      const { record } = change
      const key = taskKey(record.id)
      const { held, revision } = this.mirror.at(key)
      const entry = this.entry(change)
      return { key, expected: revision, before: held?.now, next: entry, entry }
    })
    const guards = [...this.guards].map((series): Written => {
      const key = seriesKey(series)
      const { held, revision } = this.mirror.at(key)
      return { key, expected: revision, before: held?.now, next: { series }, entry: undefined }
    })
    return [...tasks, ...guards]
  }

  private entry({ attempts, before, born, queuedAt, record, waits }: Change): Entry {
    const free = record.state === "running" && record.leaseUntil === undefined
    const same = before?.record.state === "running" && before.record.attempt === record.attempt
    return {
      record,
      attempts: [...attempts.values()],
      waits: [...waits],
      born,
      queuedAt,
      owner: free ? (same ? before.owner : this.node) : undefined,
      ...(before?.specIn === undefined ? {} : { specIn: before.specIn }),
      ...(before?.resultIn === undefined || record.result !== before.record.result ? {} : { resultIn: before.resultIn })
    }
  }
}
