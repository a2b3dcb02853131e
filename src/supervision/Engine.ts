/**
 * The loop of a supervisor: one fiber that takes what has happened from a mailbox, asks `Strategy` what to do about
 * it, and does it. It never waits for a child: lives, pauses and time limits run in fibers of their own and post when
 * they are through. All state is changed here and nowhere else, so there is no race to lose. A restart costs the same
 * among ten thousand children as among ten.
 */

import { Clock, Context, Deferred, Effect, Exit, type Fiber } from "effect"
import type { Fault } from "../domain/Fault.ts"
import { millisOf } from "../domain/Monotonic.ts"
import { ChildStartFailed, SupervisorEnded } from "./ChildError.ts"
import { ChildTable, type Entry } from "./ChildTable.ts"
import type { EngineSettings } from "./EngineSettings.ts"
import { Errands } from "./Errands.ts"
import { recordOf } from "./ExitReason.ts"
import { Life, type LifeListener, type StopReason } from "./Life.ts"
import { Loop } from "./Loop.ts"
import { Restarts } from "./Restarts.ts"
import type { SupervisorInfo } from "./Snapshot.ts"
import type { SupervisorGaveUp } from "./SupervisionError.ts"
import { Sweep, type Sweeper } from "./Sweep.ts"
import { stopWords, Teller } from "./Teller.ts"

export class Engine<R> implements LifeListener<R>, Sweeper<R> {
  readonly settings: EngineSettings
  readonly context: Context.Context<R>
  readonly table = new ChildTable<R>()
  /** Succeeds once the first start is through. */
  readonly booted = Deferred.makeUnsafe<void, SupervisorGaveUp>()
  readonly ended = Deferred.makeUnsafe<void, SupervisorGaveUp>()
  phase: "new" | "booting" | "running" | "stopping" | "ended" = "new"
  sweep: Sweep<R> | undefined = undefined
  readonly teller: Teller | undefined
  readonly errands: Errands
  private readonly loop = new Loop<Life<R> | (() => void)>((message) => this.handle(message))
  private readonly restarts: Restarts<R>
  private readonly clock: Clock.Clock
  private fiberId = -1
  /** the order asked for while a sweep was under way */
  private wanted: ReadonlyArray<string> | undefined = undefined
  failure: SupervisorGaveUp | undefined = undefined
  /** the supervisors among its children, by id, as they are now */
  readonly nested = new Map<string, () => SupervisorInfo>()

  constructor(settings: EngineSettings, context: Context.Context<R>) {
    this.settings = settings
    this.context = context
    this.clock = Context.get(context, Clock.Clock)
    this.restarts = new Restarts(this)
    this.errands = new Errands(context)
    const { path, report } = settings
    this.teller = report === undefined ? undefined : new Teller(path, report, this.clock, context)
  }

  get first() {
    return this.table.first
  }
  get last() {
    return this.table.last
  }
  /** wall clock, milliseconds since the epoch: what people read */
  get wallNow(): number {
    return this.clock.currentTimeMillisUnsafe()
  }
  /** monotonic milliseconds: what is decided by, so that a step of the wall clock changes nothing */
  get now(): number {
    return millisOf(this.clock)
  }

  run(): void {
    this.phase = "booting"
    this.post(() => {
      this.sweep = Sweep.start(this)
    })
    this.fiberId = this.loop.run(this.context, (bug) => {
      this.phase = "ended"
      for (const { life } of this.table) life?.fiber?.interruptUnsafe(this.fiberId)
      Deferred.doneUnsafe(this.booted, bug)
      Deferred.doneUnsafe(this.ended, bug)
    })
  }

  private handle(message: Life<R> | (() => void)) {
    if (typeof message === "function") message()
    else this.onOver(message)
    // What a sweep meets on its way can put another in its place.
    for (let sweep: Sweep<R> | undefined; this.sweep !== sweep; ) {
      sweep = this.sweep
      sweep?.advance()
    }
    return this.phase !== "ended"
  }

  /** Runs a decision in the loop, after those that came before it. Dropped once the supervisor has ended. */
  post(decision: () => void): void {
    if (this.phase !== "ended") this.loop.post(decision)
  }

  after(millis: number, then: () => void): () => void {
    const fiber = this.sleep(millis, then)
    return () => fiber.interruptUnsafe(this.fiberId)
  }

  sleep(millis: number, then: () => void): Fiber.Fiber<void> {
    const posted = Effect.sync(() => this.post(then))
    return Effect.runForkWith(this.context)(Effect.andThen(Effect.sleep(millis), posted))
  }

  launch(entry: Entry<R>): void {
    const life = new Life(entry, this.now)
    life.isRestart = entry.status === "restarting" && entry.lives > 1
    entry.life = life
    entry.note = undefined
    entry.status = "starting"
    this.teller?.starting(life)
    life.observed = true
    life.begin(this)
    life.observed = false
    if (life.isReady) this.onReady(life)
    // Not handled here and now: a child that falls at once, every time, must not deepen the stack.
    if (life.isOver) this.loop.post(life)
  }

  ready(life: Life<R>): void {
    life.isReady = true
    // Posted once the life's own body is under way, so that no sibling runs before it does.
    if (!life.observed) life.fiber?.currentDispatcher.scheduleTask(() => this.post(() => this.onReady(life)), 0)
  }

  closing(life: Life<R>): void {
    if (life.stopping === undefined) this.post(() => this.onClosing(life))
  }

  over(life: Life<R>): void {
    life.isOver = true
    if (!life.observed && this.phase !== "ended") this.loop.post(life)
  }

  private onReady(life: Life<R>): void {
    if (life.isAnnounced || life.isBuried) return
    life.isAnnounced = true
    life.readyAt = this.now
    const entry = life.entry
    entry.everReady = true
    if (entry.status === "starting") entry.status = "running"
    if (life.isRestart) entry.restarts++
    this.teller?.ready(life)
    entry.answerStarts(undefined)
  }

  /** Its body has ended by itself, and what it holds takes time to release: that time is limited too. */
  private onClosing(life: Life<R>): void {
    if (life.isOver || life.isBuried || life.stopping !== undefined) return
    if (life.isReady) this.onReady(life)
    life.entry.status = "stopping"
    this.limit(life)
  }

  private onOver(life: Life<R>): void {
    if (!life.isBuried) {
      if (life.isReady) this.onReady(life)
      this.bury(life)
    } else if (life.isAbandoned) {
      this.teller?.abandonedEnded(life)
    }
  }

  /** The life is over, or nobody waits for its end any more. */
  private bury(life: Life<R>): void {
    life.isBuried = true
    life.timer?.interruptUnsafe(this.fiberId)
    const entry = life.entry
    entry.life = undefined
    entry.lastExit = life.exit
    entry.lastExitAt = this.wallNow
    if (life.stopping === undefined) this.restarts.onDeath(entry, life, life.exit ?? Exit.void)
    else this.onStopped(entry, life, life.stopping)
  }

  stop(life: Life<R>, reason: StopReason): void {
    // It has ended by itself already, and the message is still to be read: a group's stop does not hide that.
    if (life.isOver && reason !== "request") {
      this.onOver(life)
      return
    }
    const entry = life.entry
    const isClosing = entry.status === "stopping"
    life.stopping = reason
    entry.status = "stopping"
    life.observed = true
    life.fiber?.interruptUnsafe(this.fiberId)
    life.observed = false
    if (life.isOver) this.onOver(life)
    else if (entry.shutdownMillis === 0) this.abandon(life)
    else if (!isClosing) this.limit(life)
  }

  private limit(life: Life<R>): void {
    const millis = life.entry.shutdownMillis
    if (millis === Number.POSITIVE_INFINITY) return
    life.timer = this.sleep(millis, () => {
      if (life.isOver || life.isBuried) return
      this.teller?.overran(life, millis)
      this.abandon(life)
    })
  }

  private abandon(life: Life<R>): void {
    life.isAbandoned = true
    this.bury(life)
  }

  private onStopped(entry: Entry<R>, life: Life<R>, reason: StopReason): void {
    this.teller?.terminated(life, reason)
    entry.status = reason === "group" ? "restarting" : "stopped"
    entry.note = stopWords[reason]
    if (reason === "shutdown") entry.answerStarts(new SupervisorEnded({ supervisor: this.settings.path }))
    else if (entry.restartType === "temporary") this.forget(entry)
    // Whoever waits for a start is told, unless its group's restart will start it.
    if (reason === "request" || entry.restartType === "temporary") this.failStarts(entry, life.exit ?? Exit.interrupt())
    entry.answerStops()
  }

  swept(entry: Entry<R>, final: boolean): void {
    this.cancelPause(entry)
    if (!final) return
    if (entry.status !== "stopped") entry.note = stopWords.shutdown
    entry.status = "stopped"
    entry.answerStarts(new SupervisorEnded({ supervisor: this.settings.path }))
  }

  /** A child without a life is to stay without one. */
  rest(entry: Entry<R>): void {
    this.cancelPause(entry)
    entry.status = "stopped"
    entry.note = stopWords.request
    if (entry.restartType === "temporary") this.forget(entry)
    this.failStarts(entry, Exit.interrupt())
  }

  private cancelPause(entry: Entry<R>): void {
    entry.pause?.interruptUnsafe(this.fiberId)
    entry.pause = undefined
  }

  /** At once, or when the sweep that walks the list now has come to its end. */
  arrange(ids: ReadonlyArray<string>): void {
    this.wanted = ids
    if (this.sweep === undefined) this.settle()
  }

  private settle(): void {
    if (this.wanted !== undefined) this.table.arrange(this.wanted)
    this.wanted = undefined
  }

  sweptAll(final: boolean): void {
    this.sweep = undefined
    this.settle()
    if (final) this.finish()
    else if (this.phase === "booting") this.hasStarted()
  }

  private hasStarted(): void {
    this.phase = "running"
    this.teller?.say({ _tag: "SupervisorStarted", why: `has started; children: ${this.table.size}` })
    Deferred.doneUnsafe(this.booted, Exit.void)
  }

  /** Stops all children, last one first, and ends: well when asked to, with the error when it gives up. */
  shutdown(failure?: SupervisorGaveUp, why = failure === undefined ? "was told to stop" : "has given up"): void {
    if (this.phase === "stopping" || this.phase === "ended") return
    this.failure = failure
    this.phase = "stopping"
    this.sweep?.abort()
    this.teller?.say({ _tag: "SupervisorStopping", why })
    this.sweep = Sweep.end(this, this.settings.stopTogether)
  }

  private finish(): void {
    this.phase = "ended"
    this.teller?.say({ _tag: "SupervisorEnded", why: "has stopped all its children" })
    // Requests that came too late find the phase changed and are answered accordingly.
    for (const message of this.loop.rest()) {
      if (typeof message === "function") message()
    }
    const exit = this.failure === undefined ? Exit.void : Exit.fail(this.failure)
    Deferred.doneUnsafe(this.booted, exit)
    Deferred.doneUnsafe(this.ended, exit)
  }

  /** Completes when every child has stopped and every event is delivered. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    if (this.phase === "new") return Effect.void
    this.post(() => this.shutdown())
    return Effect.exit(Deferred.await(this.ended)).pipe(
      Effect.andThen(this.errands.finish),
      Effect.andThen(this.teller?.drain ?? Effect.void)
    )
  })

  forget(entry: Entry<R>): void {
    this.sweep?.removing(entry)
    this.table.remove(entry)
  }

  failStarts(entry: Entry<R>, exit: Exit.Exit<void, Fault>): void {
    if (entry.starts === undefined) return
    const failure = recordOf(entry.child.id, entry.lastExitAt, exit)
    entry.answerStarts(new ChildStartFailed({ supervisor: this.settings.path, failure }))
  }
}
