/** What a supervisor has others do without waiting for it: run in fibers of their own, and given time at the end. */
import { type Context, Effect, Fiber } from "effect"

export class Errands {
  private readonly running = new Set<Fiber.Fiber<void>>()
  private readonly context: Context.Context<never>

  constructor(context: Context.Context<never>) {
    this.context = context
  }

  run(errand: Effect.Effect<void>): void {
    const fiber = Effect.runForkWith(this.context)(Effect.ignoreCause(errand))
    this.running.add(fiber)
    fiber.addObserver(() => this.running.delete(fiber))
  }

  /** Waits for all, at most five seconds; what is not done then is interrupted. */
  readonly finish: Effect.Effect<void> = Effect.suspend(() =>
    this.running.size === 0
      ? Effect.void
      : Effect.timeoutOrElse(Effect.asVoid(Fiber.awaitAll([...this.running])), {
          duration: "5 seconds",
          orElse: () => Fiber.interruptAll([...this.running])
        })
  )
}
