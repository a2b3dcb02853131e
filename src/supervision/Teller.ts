/** Puts what a supervisor decides into events, with a sentence that says why. */
import { type Clock, type Context, type Exit, Exit as Exits } from "effect"
import { type Fault, report } from "../domain/Fault.ts"
import { endingOf, faultOf } from "./ExitReason.ts"
import type { Life, StopReason } from "./Life.ts"
import { type Report, Reporter } from "./Reporter.ts"
import type { Reach } from "./Strategy.ts"
import type { SupervisorGaveUp } from "./SupervisionError.ts"
import type { SupervisionEvent } from "./SupervisionEvent.ts"
import { inWords } from "./Words.ts"

type Without<Event, Keys extends string> = Event extends unknown ? Omit<Event, Keys> : never
type Said = Without<SupervisionEvent, "supervisor" | "at">
type SaidOfChild = Without<Extract<SupervisionEvent, { readonly life: number }>, "supervisor" | "at" | "child" | "life">

/** Why a child that was told to stop is down. */
export const stopWords: Record<StopReason, string> = {
  request: "was stopped on request",
  group: "was stopped with its group, because a sibling is restarted",
  shutdown: "was stopped with its supervisor"
}

export class Teller {
  private readonly path: string
  private readonly clock: Clock.Clock
  private readonly reporter: Reporter

  constructor(path: string, report: Report, clock: Clock.Clock, context: Context.Context<never>) {
    this.path = path
    this.clock = clock
    this.reporter = new Reporter(report, context)
  }

  get drain() {
    return this.reporter.drain
  }

  say(said: Said): void {
    // `at` and `supervisor` are common to all, so putting them back gives an event again.
    this.reporter.emit({ supervisor: this.path, at: this.clock.currentTimeMillisUnsafe(), ...said } as SupervisionEvent)
  }

  private of<R>(life: Life<R>, said: SaidOfChild): void {
    this.say({ child: life.entry.child.id, life: life.number, ...said } as Said)
  }

  starting<R>(life: Life<R>): void {
    this.of(life, { _tag: "ChildStarting", why: life.isRestart ? "is started anew" : "is started" })
  }

  ready<R>(life: Life<R>): void {
    const tookMillis = life.readyAt - life.beganAt
    this.of(life, { _tag: "ChildReady", why: `is ready after ${inWords(tookMillis)}`, tookMillis })
    if (!life.isRestart) return
    const restarts = life.entry.restarts
    const why = `has been restarted${restarts > 1 ? `, for the ${restarts}th time` : ""}`
    this.of(life, { _tag: "ChildRestarted", why, restarts })
  }

  exited<R>(life: Life<R>, exit: Exit.Exit<void, Fault>, now: number): void {
    const ending = endingOf(exit)
    const reason = ending === "failed" ? report(faultOf(exit)) : undefined
    const failed = `failed${life.isReady ? "" : " before it was ready"}: ${reason?.kind}: ${reason?.message}`
    const why = ending === "failed" ? failed : ending === "normal" ? "has finished" : "was interrupted from outside"
    this.of(life, {
      _tag: "ChildExited",
      why,
      ending,
      wasReady: life.isReady,
      ranMillis: life.isReady ? now - life.readyAt : 0,
      reason,
      cause: Exits.isFailure(exit) ? exit.cause : undefined
    })
  }

  scheduled<R>(life: Life<R>, fault: Fault, delayMillis: number, counted: boolean, reach: Reach): void {
    const whom = reach === "one" ? "it is" : reach === "all" ? "all children are" : "it and those after it are"
    const when = delayMillis > 0 ? `in ${inWords(delayMillis)}` : "at once"
    const why = `${fault._tag}: ${fault.message}; ${whom} restarted ${when}${counted ? "" : ", which does not count"}`
    const attempt = life.entry.attempt
    this.of(life, { _tag: "RestartScheduled", why, delayMillis, attempt, counted, reach, reason: report(fault) })
  }

  resting<R>(life: Life<R>, exit: Exit.Exit<void, Fault>, forgotten: boolean): void {
    const how = { normal: "has finished", stopped: "was interrupted from outside", failed: "failed" }[endingOf(exit)]
    const why = `is ${life.entry.restartType} and ${how}, so it is not restarted`
    this.of(life, { _tag: "ChildResting", why, forgotten })
  }

  terminated<R>(life: Life<R>, by: StopReason): void {
    this.of(life, { _tag: "ChildTerminated", why: stopWords[by], by })
  }

  overran<R>(life: Life<R>, afterMillis: number): void {
    const why = `did not end within ${inWords(afterMillis)} and was abandoned`
    this.of(life, { _tag: "ShutdownOverran", why, afterMillis })
  }

  abandonedEnded<R>(life: Life<R>): void {
    this.of(life, { _tag: "AbandonedEnded", why: "has ended after all, after nobody waited for it any more" })
  }

  gaveUp(error: SupervisorGaveUp): void {
    this.say({ _tag: "GaveUp", why: error.message, error })
    if (error.why === "escalated" || error.why === "strategy") {
      this.say({ _tag: "Escalated", why: error.message, child: error.child, error })
    }
  }
}
