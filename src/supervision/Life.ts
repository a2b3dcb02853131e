/**
 * One life of a child: a fiber of its own and a Scope of its own. It tells its supervisor three things, each once:
 * that it is ready, that it has ended but takes its time to release what it holds, and that it is over.
 */
import { Context, Effect, type Exit, Fiber, Scope } from "effect"
import type { Fault } from "../domain/Fault.ts"
import type { Entry } from "./ChildTable.ts"

/** Why a life was told to stop. */
export type StopReason = "request" | "group" | "shutdown"

/** What a life tells. Called from the life's own fiber. */
export interface LifeListener<R> {
  readonly context: Context.Context<R>
  ready(life: Life<R>): void
  closing(life: Life<R>): void
  over(life: Life<R>): void
}

export class Life<R> {
  readonly entry: Entry<R>
  readonly number: number
  /** monotonic milliseconds, as is `readyAt` */
  readonly beganAt: number
  fiber: Fiber.Fiber<void, Fault> | undefined = undefined
  /** how its body ended, later how all of it ended */
  exit: Exit.Exit<void, Fault> | undefined = undefined
  isRestart = false
  isReady = false
  /** its supervisor has taken note that it is ready */
  isAnnounced = false
  readyAt = 0
  stopping: StopReason | undefined = undefined
  /** its fiber has ended */
  isOver = false
  /** its supervisor has taken note that it is over, or has abandoned it */
  isBuried = false
  isAbandoned = false
  /** the supervisor is on the stack below and looks at `isReady` and `isOver` itself, so nothing is posted */
  observed = false
  /** runs out when it takes too long to end */
  timer: Fiber.Fiber<unknown> | undefined = undefined

  constructor(entry: Entry<R>, beganAt: number) {
    this.entry = entry
    this.number = ++entry.lives
    this.beganAt = beganAt
  }

  begin(listener: LifeListener<R>): void {
    const scope = Scope.makeUnsafe()
    const whole = Effect.onExitPrimitive(
      Effect.flatMap(this.entry.child.start, (run) => {
        listener.ready(this)
        return run
      }),
      (exit) => this.close(scope, exit, listener)
    )
    const fiber = Effect.runForkWith(Context.add(listener.context, Scope.Scope, scope))(whole)
    this.fiber = fiber
    fiber.addObserver((exit) => {
      this.exit = exit
      listener.over(this)
    })
  }

  /** Most scopes are empty or close at once; only one that does not is worth a word to the supervisor. */
  private close(scope: Scope.Closeable, exit: Exit.Exit<void, Fault>, listener: LifeListener<R>) {
    const closing = Scope.closeUnsafe(scope, exit)
    if (closing === undefined) return undefined
    const closer = Effect.runForkWith(listener.context)(closing, { uninterruptible: true })
    const done = closer.pollUnsafe()
    if (done !== undefined) return done
    this.exit = exit
    listener.closing(this)
    return Fiber.join(closer)
  }
}
