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
  readonly child: Child<Fault, R>
  readonly shutdownMillis: number
  readonly backoff: BackoffMillis | undefined
  /** grows with each child added, so that two children can be compared without walking the list */
  readonly index: number
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
  /** the sleep before the next life, and when it is over (monotonic milliseconds) */
  pause: Fiber.Fiber<unknown> | undefined = undefined
  dueAt = 0
  lastExit: Exit.Exit<void, Fault> | undefined = undefined
  lastExitAt = 0
  starts: Array<StartReply> | undefined = undefined
  stops: Array<() => void> | undefined = undefined

  constructor(child: Child<Fault, R>, index: number) {
    this.child = child
    this.index = index
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

  *[Symbol.iterator](): Iterator<Entry<R>> {
    for (let entry = this.first; entry !== undefined; entry = entry.next) yield entry
  }
}
