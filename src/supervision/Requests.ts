/** What a supervisor can be asked to do to one child. Each request is a message to its loop, answered when it is done. */
import { Effect } from "effect"
import type { Fault } from "../domain/Fault.ts"
import { type Child, refusal } from "./Child.ts"
import {
  ChildAlreadyPresent,
  ChildNotFound,
  ChildRunning,
  type ChildStartFailed,
  type StopNotKept,
  SupervisorEnded,
  SupervisorFull
} from "./ChildError.ts"
import type { Entry } from "./ChildTable.ts"
import type { Engine } from "./Engine.ts"
import type { ChildRefused } from "./SupervisionError.ts"
import { stopWords } from "./Teller.ts"

type Answer<E> = (failure: E | undefined) => void

export class Requests<R> {
  private readonly engine: Engine<R>

  constructor(engine: Engine<R>) {
    this.engine = engine
  }

  startChild(child: Child<Fault, R>) {
    return this.ask<ChildRefused | ChildAlreadyPresent | ChildStartFailed | SupervisorFull>((answer) => {
      const { engine } = this
      const supervisor = engine.settings.path
      const wrong = refusal(supervisor, child, engine.settings.autoShutdown)
      if (wrong !== undefined) return answer(wrong)
      const present = engine.table.get(child.id)
      if (present !== undefined) {
        return answer(new ChildAlreadyPresent({ supervisor, child: child.id, status: present.status }))
      }
      const { maxChildren } = engine.settings
      if (engine.table.size >= maxChildren) return answer(new SupervisorFull({ supervisor, maxChildren }))
      this.begin(engine.table.add(child), answer)
    })
  }

  restartChild(id: string) {
    const start = this.ask<ChildNotFound | ChildRunning | ChildStartFailed>((answer) => {
      const entry = this.find(id, answer)
      if (entry === undefined || !this.isDown(entry, answer)) return
      entry.status = "ended"
      this.begin(entry, answer)
    })
    // Forgotten before it is done, for the same reason the other way round.
    return Effect.andThen(this.forgetStop(id), start)
  }

  terminateChild(id: string) {
    const stop = this.ask<ChildNotFound>((answer) => {
      const entry = this.find(id, answer)
      if (entry === undefined) return
      const { engine } = this
      if (entry.life !== undefined) {
        entry.stops ??= []
        entry.stops.push(() => answer(undefined))
        // Told to stop with its group already: the request makes it stay stopped.
        if (entry.life.stopping !== undefined) entry.life.stopping = "request"
        else engine.stop(entry.life, "request")
        return
      }
      engine.rest(entry)
      answer(undefined)
    })
    return this.rememberStop(id, stop)
  }

  /**
   * Stops the child of this name, if it has a life, puts the other in its place, and starts that where `wanted` says so when
   * it comes to it. Not remembered as a stop: a runtime killed meanwhile starts the child in its next run. One that is not
   * in the list is added to its end.
   */
  exchangeChild(child: Child<Fault, R>, wanted: () => boolean) {
    return this.ask<ChildRefused | ChildStartFailed>((answer) => {
      const { engine } = this
      const supervisor = engine.settings.path
      const wrong = refusal(supervisor, child, engine.settings.autoShutdown)
      if (wrong !== undefined) return answer(wrong)
      this.halt(child.id, () => {
        if (engine.phase === "stopping" || engine.phase === "ended") return answer(new SupervisorEnded({ supervisor }))
        // A temporary child is forgotten when it stops.
        const entry = engine.table.get(child.id) ?? engine.table.add(child)
        entry.become(child)
        entry.isHeir = true
        if (!wanted()) {
          entry.status = "stopped"
          entry.note ??= stopWords.request
          return answer(undefined)
        }
        entry.status = "ended"
        this.begin(entry, answer)
      })
    })
  }

  /** Changes how the child of this name is treated and begun from its next life on; this life goes on. */
  amendChild(child: Child<Fault, R>) {
    return this.ask<ChildRefused | ChildNotFound>((answer) => {
      const wrong = refusal(this.engine.settings.path, child, this.engine.settings.autoShutdown)
      if (wrong !== undefined) return answer(wrong)
      this.find(child.id, answer)?.become(child)
      answer(undefined)
    })
  }

  /** Stops the child of this name, if there is one, and removes it from the list; that it was stopped is forgotten. */
  removeChild(id: string) {
    const remove = this.ask<never>((answer) =>
      this.halt(id, () => {
        const entry = this.engine.table.get(id)
        if (entry !== undefined) this.engine.forget(entry)
        answer(undefined)
      })
    )
    return Effect.andThen(remove, this.forgetStop(id))
  }

  /** Puts the children in this order, in which they are started from now on; those not named come last. */
  arrangeChildren(ids: ReadonlyArray<string>) {
    return this.ask<never>((answer) => {
      this.engine.arrange(ids)
      answer(undefined)
    })
  }

  /** Goes on when the child is down, for whatever reason, and is not about to be restarted. */
  private halt(id: string, then: () => void): void {
    const { engine } = this
    const entry = engine.table.get(id)
    if (entry === undefined) {
      then()
      return
    }
    if (entry.life === undefined) {
      engine.rest(entry)
      then()
      return
    }
    entry.stops ??= []
    entry.stops.push(then)
    if (entry.life.stopping !== undefined) entry.life.stopping = "request"
    else engine.stop(entry.life, "request")
  }

  deleteChild(id: string) {
    const remove = this.ask<ChildNotFound | ChildRunning>((answer) => {
      const entry = this.find(id, answer)
      if (entry === undefined || !this.isDown(entry, answer)) return
      this.engine.forget(entry)
      answer(undefined)
    })
    return Effect.andThen(remove, this.forgetStop(id))
  }

  /** Remembered before it is done: a runtime killed in between must not bring the child back. */
  private rememberStop<E>(id: string, stop: Effect.Effect<void, E>): Effect.Effect<void, E | StopNotKept> {
    const { settings, table } = this.engine
    const { path, stopped } = settings
    if (stopped === undefined) return stop
    return Effect.suspend(() => {
      const restart = table.get(id)?.restartType
      const known = restart !== undefined && restart !== "temporary"
      return known ? Effect.andThen(stopped.add(`${path}/${id}`), stop) : stop
    })
  }

  private forgetStop(id: string): Effect.Effect<void, StopNotKept> {
    const { path, stopped } = this.engine.settings
    return stopped === undefined ? Effect.void : stopped.remove(`${path}/${id}`)
  }

  private ask<E>(decide: (answer: Answer<E | SupervisorEnded>) => void): Effect.Effect<void, E | SupervisorEnded> {
    return Effect.callback((resume) => {
      const { engine } = this
      const answer: Answer<E | SupervisorEnded> = (failure) =>
        resume(failure === undefined ? Effect.void : Effect.fail(failure))
      const tooLate = () => answer(new SupervisorEnded({ supervisor: engine.settings.path }))
      if (engine.phase === "ended") return tooLate()
      engine.post(() => (engine.phase === "stopping" || engine.phase === "ended" ? tooLate() : decide(answer)))
    })
  }

  private find(id: string, answer: Answer<ChildNotFound>): Entry<R> | undefined {
    const entry = this.engine.table.get(id)
    if (entry === undefined) answer(new ChildNotFound({ supervisor: this.engine.settings.path, child: id }))
    return entry
  }

  private isDown(entry: Entry<R>, answer: Answer<ChildRunning>): boolean {
    const { status } = entry
    if (entry.life === undefined && entry.starts === undefined && status !== "restarting") return true
    answer(new ChildRunning({ supervisor: this.engine.settings.path, child: entry.child.id, status }))
    return false
  }

  /** A sweep under way starts it when its turn comes; otherwise it starts now. */
  private begin(entry: Entry<R>, answer: Answer<ChildStartFailed | SupervisorEnded>): void {
    entry.starts = [answer]
    if (!this.engine.sweep?.willStart(entry)) this.engine.launch(entry)
  }
}
