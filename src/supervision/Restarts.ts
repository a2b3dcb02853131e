/**
 * What becomes of a child that has ended by itself: asks `Strategy`, keeps the count against the intensity and the
 * pauses of the backoff, and tells the engine whom to start, when, or to give up.
 */
import { Context, type Exit, Random } from "effect"
import type { Fault } from "../domain/Fault.ts"
import { delayOf, uncountedPace } from "./Backoff.ts"
import { SupervisorEnded } from "./ChildError.ts"
import type { Entry } from "./ChildTable.ts"
import { Climber } from "./Climber.ts"
import type { Engine } from "./Engine.ts"
import { counts, type Ending, endingOf, faultOf } from "./ExitReason.ts"
import { Failures } from "./Failures.ts"
import type { Life } from "./Life.ts"
import { decide } from "./Strategy.ts"
import { SupervisorGaveUp } from "./SupervisionError.ts"
import { Sweep } from "./Sweep.ts"

export class Restarts<R> {
  private readonly engine: Engine<R>
  private readonly ladder: Climber<R>
  private readonly failures = new Failures()
  private readonly random: () => number

  constructor(engine: Engine<R>) {
    this.engine = engine
    this.ladder = new Climber(engine, this)
    const random = Context.get(engine.context, Random.Random)
    this.random = () => random.nextDoubleUnsafe()
  }

  onDeath(entry: Entry<R>, life: Life<R>, exit: Exit.Exit<void, Fault>) {
    const { engine } = this
    const ending = endingOf(exit)
    if (ending === "failed" || (ending === "normal" && entry.restartType === "permanent")) {
      this.failures.add(entry.child.id, entry.lastExitAt, exit)
    }
    engine.teller?.exited(life, exit, engine.now)
    entry.status = ending === "stopped" ? "stopped" : "ended"
    if (engine.phase === "stopping") {
      entry.answerStops()
      entry.answerStarts(new SupervisorEnded({ supervisor: engine.settings.path }))
    } else if (entry.starts !== undefined) {
      this.onRequestedStartFailed(entry, ending, exit)
    } else if (engine.phase === "booting" && !entry.everReady && ending === "failed") {
      this.giveUp("start", entry)
    } else {
      this.carryOut(entry, life, ending, exit)
    }
  }

  private carryOut(entry: Entry<R>, life: Life<R>, ending: Ending, exit: Exit.Exit<void, Fault>) {
    const { settings, teller } = this.engine
    const counted = ending === "normal" || (ending === "failed" && counts(exit))
    const escalates = ending === "failed" && faultOf(exit).recovery === "escalate"
    const decision = decide(settings.strategy, { restart: entry.restartType, ending, escalates, counts: counted })
    switch (decision) {
      case "escalate":
        return this.ladder.climb("escalated", entry)
      case "surrender":
        return this.ladder.climb("strategy", entry)
      case "restart":
        return this.restart(entry, life, exit, counted)
      case "rest":
        teller?.resting(life, exit, false)
        return this.considerShutdown(entry)
      case "forget":
        teller?.resting(life, exit, true)
        this.engine.forget(entry)
        return this.considerShutdown(entry)
    }
  }

  /** The end of a significant child can be the end of its supervisor. */
  private considerShutdown(entry: Entry<R>) {
    const { engine } = this
    const { autoShutdown } = engine.settings
    if (entry.child.significant !== true || autoShutdown === "never") return
    const isLast = () => {
      for (const { child, life, status } of engine.table) {
        if (child.significant === true && (life !== undefined || status === "restarting")) return false
      }
      return true
    }
    if (autoShutdown === "any_significant" || isLast()) {
      engine.shutdown(undefined, `ends because its significant child "${entry.child.id}" has ended`)
    }
  }

  private restart(entry: Entry<R>, life: Life<R>, exit: Exit.Exit<void, Fault>, counted: boolean) {
    const { engine } = this
    entry.status = "restarting"
    // It fell while its group was being stopped: the group's restart is its own.
    if (engine.sweep?.isStopping(entry)) return
    if (counted && !this.ladder.allows(engine.now)) return this.ladder.climb("intensity", entry)
    if (counted && engine.settings.budget?.allows(engine.now) === false) return this.giveUp("budget", entry)
    const { reach } = this.ladder
    const delay = this.delayOf(entry, life, counted)
    engine.teller?.scheduled(life, faultOf(exit), delay, counted, reach)
    if (reach === "one") return delay > 0 ? this.pause(entry, delay) : engine.launch(entry)
    this.restartGroup(reach === "all" ? 0 : entry.index, delay)
  }

  restartGroup(from: number, delay: number) {
    const { engine } = this
    if (engine.sweep === undefined) engine.sweep = Sweep.restart(engine, from, delay)
    else engine.sweep.again(from, delay)
  }

  private delayOf(entry: Entry<R>, life: Life<R>, counted: boolean): number {
    // A pause of nothing is no pace: what does not count must not be able to spin.
    const own = counted || (entry.backoff?.initial ?? 0) > 0 ? entry.backoff : undefined
    const backoff = own ?? (counted ? undefined : uncountedPace)
    if (backoff === undefined) return 0
    if (life.isReady && this.engine.now - life.readyAt >= backoff.resetAfter) entry.attempt = 0
    // Without a backoff of its own, only the second restart in a row that does not count has to wait.
    const before = own === undefined ? entry.attempt - 1 : entry.attempt
    entry.attempt++
    return before < 0 ? 0 : delayOf(backoff, before, this.random)
  }

  private pause(entry: Entry<R>, delay: number) {
    entry.dueAt = this.engine.now + delay
    entry.pause = this.engine.sleep(delay, () => {
      if (entry.pause === undefined || entry.life !== undefined) return
      entry.pause = undefined
      this.engine.launch(entry)
    })
  }

  private onRequestedStartFailed(entry: Entry<R>, ending: Ending, exit: Exit.Exit<void, Fault>) {
    // A child that never was is forgotten; one that is known, or was only told not to start, stays in the list.
    if (entry.restartType === "temporary" || (ending === "failed" && entry.lives === 1 && !entry.isHeir))
      this.engine.forget(entry)
    this.engine.failStarts(entry, exit)
  }

  giveUp(why: SupervisorGaveUp["why"], entry: Entry<R>, exitCode?: number) {
    const error = this.errorOf(why, entry, exitCode)
    this.engine.teller?.gaveUp(error)
    this.engine.shutdown(error)
  }

  errorOf(why: SupervisorGaveUp["why"], entry: Entry<R>, exitCode?: number) {
    const { budget, path } = this.engine.settings
    const { maxRestarts, withinMillis } = why === "budget" && budget !== undefined ? budget : this.engine.settings
    const below = entry.lastExit === undefined ? undefined : faultOf(entry.lastExit)
    const code = exitCode ?? (below instanceof SupervisorGaveUp ? below.exitCode : undefined)
    return new SupervisorGaveUp({
      supervisor: path,
      why,
      child: entry.child.id,
      maxRestarts,
      withinMillis,
      ...(code === undefined ? {} : { exitCode: code }),
      history: this.failures.records
    })
  }
}
