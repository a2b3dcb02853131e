/**
 * Hands events to whoever listens, one after the other and in order, without the supervisor ever waiting for it. A
 * listener that is slower than `CAPACITY` events loses the oldest and is told how many.
 */
import { type Context, Effect, Fiber } from "effect"
import type { SupervisionEvent } from "./SupervisionEvent.ts"

export type Report = (event: SupervisionEvent) => Effect.Effect<void>

/** Events kept for a slow listener. */
export const CAPACITY = 4096

export class Reporter {
  private readonly report: Report
  private readonly context: Context.Context<never>
  private waiting: Array<SupervisionEvent> = []
  private head = 0
  private lost = 0
  private busy: Fiber.Fiber<void> | undefined = undefined

  constructor(report: Report, context: Context.Context<never>) {
    this.report = report
    this.context = context
  }

  /** Most listeners answer at once; then no event is ever queued. */
  emit(event: SupervisionEvent): void {
    if (this.busy === undefined && this.head === this.waiting.length) {
      this.deliver(event)
      return
    }
    this.waiting.push(event)
    if (this.waiting.length - this.head > CAPACITY) {
      this.head++
      this.lost++
    }
    if (this.head > CAPACITY) {
      this.waiting = this.waiting.slice(this.head)
      this.head = 0
    }
  }

  private deliver(event: SupervisionEvent): void {
    const fiber = Effect.runForkWith(this.context)(Effect.ignoreCause(Effect.suspend(() => this.report(event))))
    if (fiber.pollUnsafe() !== undefined) return
    this.busy = fiber
    fiber.addObserver(() => {
      this.busy = undefined
      this.next()
    })
  }

  private next(): void {
    while (this.busy === undefined && this.head < this.waiting.length) {
      const event = this.waiting[this.head] as SupervisionEvent
      if (this.lost > 0) {
        const count = this.lost
        this.lost = 0
        const why = `${count} events were dropped: the listener did not keep up`
        this.deliver({ _tag: "EventsLost", supervisor: event.supervisor, at: event.at, why, count })
        continue
      }
      this.head++
      if (this.head === this.waiting.length) {
        this.waiting = []
        this.head = 0
      }
      this.deliver(event)
    }
  }

  /** Waits until all is delivered, at most a second; what is left then is dropped. */
  get drain(): Effect.Effect<void> {
    const drained: Effect.Effect<void> = Effect.suspend(() =>
      this.busy === undefined ? Effect.void : Effect.andThen(Fiber.await(this.busy), drained)
    )
    const dropped = Effect.sync(() => {
      this.waiting = []
      this.head = 0
      this.busy?.interruptUnsafe()
    })
    return Effect.timeoutOrElse(drained, { duration: "1 second", orElse: () => dropped })
  }
}
