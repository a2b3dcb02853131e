/**
 * The ordered walk over a group of children: stop them, last one first and each in its own time, pause, then start
 * them, first one first and each when the one before is ready. The first start of a supervisor is a sweep that has
 * nothing to stop, its end a sweep that starts nothing. A sweep never blocks: it goes as far as it can and is asked
 * to go on after each message.
 */
import type { Entry } from "./ChildTable.ts"
import type { Life, StopReason } from "./Life.ts"

/** What a sweep needs of the supervisor's loop. */
export interface Sweeper<R> {
  readonly first: Entry<R> | undefined
  readonly last: Entry<R> | undefined
  /** Afterwards the child's life is over, or on its way to be. */
  stop(life: Life<R>, reason: StopReason): void
  launch(entry: Entry<R>): void
  /** A child that was not running when its turn to stop came. */
  swept(entry: Entry<R>, final: boolean): void
  /** Calls the sweep again after so many milliseconds; returns how to give that up. */
  after(millis: number, then: () => void): () => void
  /** The sweep has come to its end. */
  sweptAll(final: boolean): void
}

export class Sweep<R> {
  phase: "stop" | "pause" | "start" = "stop"
  /** the children from this index on are the group */
  private from: number
  private cursor: Entry<R> | undefined
  /** the child before the group, once the walk back has found it */
  private before: Entry<R> | undefined = undefined
  /** the child this sweep has started last */
  private begun: Entry<R> | undefined = undefined
  private delay: number
  private giveUpPause: (() => void) | undefined = undefined
  private readonly sweeper: Sweeper<R>
  private isAborted = false
  readonly final: boolean
  /** all are told to stop at once, and then waited for */
  private together: boolean

  private constructor(sweeper: Sweeper<R>, from: number, delay: number, final: boolean, together: boolean) {
    this.sweeper = sweeper
    this.from = from
    this.delay = delay
    this.final = final
    this.together = together
    this.cursor = sweeper.last
  }

  static start<R>(sweeper: Sweeper<R>): Sweep<R> {
    const sweep = new Sweep(sweeper, 0, 0, false, false)
    sweep.phase = "start"
    sweep.cursor = sweeper.first
    return sweep
  }

  static restart<R>(sweeper: Sweeper<R>, from: number, delay: number): Sweep<R> {
    return new Sweep(sweeper, from, delay, false, false)
  }

  static end<R>(sweeper: Sweeper<R>, together: boolean): Sweep<R> {
    return new Sweep(sweeper, 0, 0, true, together)
  }

  /** True for a child this sweep has yet to stop, or has stopped and not yet started. */
  isStopping(entry: Entry<R>): boolean {
    return this.phase !== "start" && entry.index >= this.from
  }

  /** True for a child whose turn to start is still to come. */
  willStart(entry: Entry<R>): boolean {
    if (this.final) return false
    if (this.phase !== "start") return entry.index >= this.from
    return this.cursor !== undefined && entry.index >= this.cursor.index
  }

  /** Another failure while this sweep is under way: begin again, from this child or from further to the left. */
  again(from: number, delay: number): void {
    this.from = this.phase === "start" ? from : Math.min(this.from, from)
    this.delay = delay
    this.cancel()
    this.phase = "stop"
    this.cursor = this.sweeper.last
    this.before = undefined
    this.begun = undefined
  }

  /** Another sweep takes its place. */
  abort(): void {
    this.isAborted = true
    this.cancel()
  }

  private cancel(): void {
    this.giveUpPause?.()
    this.giveUpPause = undefined
  }

  /** The list is about to lose this child. */
  removing(entry: Entry<R>): void {
    if (this.cursor === entry) this.cursor = this.phase === "start" ? entry.next : entry.previous
    if (this.before === entry) this.before = entry.previous
  }

  advance(): void {
    if (this.phase === "stop" && this.stopAll()) {
      if (this.final) {
        this.sweeper.sweptAll(true)
        return
      }
      this.phase = "pause"
      if (this.delay > 0) this.giveUpPause = this.sweeper.after(this.delay, () => this.resume())
      else this.resume()
    }
    if (this.phase === "start" && this.startAll()) this.sweeper.sweptAll(false)
  }

  private resume(): void {
    this.giveUpPause = undefined
    this.phase = "start"
    this.cursor = this.before === undefined ? this.sweeper.first : this.before.next
  }

  private stopAll(): boolean {
    if (this.together) {
      this.together = false
      for (let entry = this.cursor; entry !== undefined; entry = entry.previous) {
        if (entry.life !== undefined && entry.life.stopping === undefined) this.sweeper.stop(entry.life, "shutdown")
      }
    }
    while (this.cursor !== undefined && this.cursor.index >= this.from) {
      const entry: Entry<R> = this.cursor
      if (entry.life !== undefined) {
        if (entry.life.stopping === undefined) this.sweeper.stop(entry.life, this.final ? "shutdown" : "group")
        if (this.isAborted || entry.life !== undefined) return false
      } else {
        this.sweeper.swept(entry, this.final)
      }
      // Stopping a temporary child has removed it, and `removing` has moved the cursor on.
      if (this.cursor === entry) this.cursor = entry.previous
    }
    this.before = this.cursor
    return true
  }

  private startAll(): boolean {
    while (this.cursor !== undefined) {
      const entry: Entry<R> = this.cursor
      // Each is started once: what becomes of a start that failed, or of a life that was over at once, is not for here.
      if (this.begun !== entry && entry.life === undefined && entry.status !== "stopped" && entry.pause === undefined) {
        this.begun = entry
        this.sweeper.launch(entry)
      }
      if (entry.life !== undefined && !entry.life.isReady) return false
      if (this.cursor === entry) this.cursor = entry.next
    }
    return true
  }
}
