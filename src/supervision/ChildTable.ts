/**
 * The children of one supervisor in the order of their start: a doubly linked list with an index by id, so that
 * finding, adding and removing one costs the same among ten thousand as among ten.
 */
import type { Exit, Fiber } from "effect"
import type { Fault } from "../domain/Fault.ts"
import { type BackoffMillis, toMillis } from "./Backoff.ts"
import { type Child, shutdownMillis } from "./Child.ts"
import type { ChildStartFailed, SupervisorEnded } from "./ChildError.ts"
import type { Life } from "./Life.ts"

/**
 * - `starting`: a life has begun and is not ready yet
 * - `running`: it is ready
 * - `restarting`: it waits for its next life
 * - `stopping`: told to stop, or releasing what it holds
 * - `stopped`: stopped on purpose; only a request starts it again
 * - `ended`: ended by itself and is not restarted, or has not begun yet
 */
export type ChildStatus = "starting" | "running" | "restarting" | "stopping" | "stopped" | "ended"

/** Told once how a requested start went. */
export type StartReply = (failure: ChildStartFailed | SupervisorEnded | undefined) => void

export class Entry<R> {
  child!: Child<Fault, R>
  shutdownMillis!: number
  backoff: BackoffMillis | undefined
  /** grows along the list, so that two children can be compared without walking it */
  index: number
  previous: Entry<R> | undefined = undefined
  next: Entry<R> | undefined = undefined

  status: ChildStatus = "ended"
  life: Life<R> | undefined = undefined
  /** why it is down, where `lastExit` does not tell */
  note: string | undefined = undefined
  lives = 0
  restarts = 0
  /** restarts in a row, since the last stable life */
  attempt = 0
  everReady = false
  /** it has taken another's place, and stays in the list even if its first start fails */
  isHeir = false
  /** the sleep before the next life, and when it is over (monotonic milliseconds) */
  pause: Fiber.Fiber<unknown> | undefined = undefined
  dueAt = 0
  lastExit: Exit.Exit<void, Fault> | undefined = undefined
  lastExitAt = 0
  starts: Array<StartReply> | undefined = undefined
  stops: Array<() => void> | undefined = undefined

  constructor(child: Child<Fault, R>, index: number) {
    this.index = index
    this.become(child)
  }

  /** From its next life on it is this child, of the same name. */
  become(child: Child<Fault, R>): void {
    this.child = child
    this.shutdownMillis = shutdownMillis(child)
    this.backoff = child.backoff === undefined ? undefined : toMillis(child.backoff)
  }

  get restartType() {
    return this.child.restart ?? "permanent"
  }

  answerStarts(failure: ChildStartFailed | SupervisorEnded | undefined): void {
    const starts = this.starts
    if (starts === undefined) return
    this.starts = undefined
    for (const answer of starts) answer(failure)
  }

  answerStops(): void {
    const stops = this.stops
    if (stops === undefined) return
    this.stops = undefined
    for (const answer of stops) answer()
  }
}

export class ChildTable<R> {
  first: Entry<R> | undefined = undefined
  last: Entry<R> | undefined = undefined
  private readonly byId = new Map<string, Entry<R>>()
  private added = 0

  get size(): number {
    return this.byId.size
  }

  get(id: string): Entry<R> | undefined {
    return this.byId.get(id)
  }

  add(child: Child<Fault, R>): Entry<R> {
    const entry = new Entry(child, this.added++)
    entry.previous = this.last
    if (this.last === undefined) this.first = entry
    else this.last.next = entry
    this.last = entry
    this.byId.set(child.id, entry)
    return entry
  }

  remove(entry: Entry<R>): void {
    if (!this.byId.delete(entry.child.id)) return
    if (entry.previous === undefined) this.first = entry.next
    else entry.previous.next = entry.next
    if (entry.next === undefined) this.last = entry.previous
    else entry.next.previous = entry.previous
  }

  /** Puts those that are named in this order, and all others behind them as they are. Not while a sweep walks the list. */
  arrange(ids: ReadonlyArray<string>): void {
    const named = ids.flatMap((id) => this.byId.get(id) ?? [])
    const all = [...new Set([...named, ...this])]
    this.added = all.length
    this.first = all[0]
    this.last = all.at(-1)
    for (const [index, entry] of all.entries()) {
      entry.index = index
      entry.previous = all[index - 1]
      entry.next = all[index + 1]
    }
  }

  *[Symbol.iterator](): Iterator<Entry<R>> {
    for (let entry = this.first; entry !== undefined; entry = entry.next) yield entry
  }
}
