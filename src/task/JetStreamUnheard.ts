/**
 * Messages that have come before what they are about: the watch of the bucket may be behind the queue. Each waits a moment
 * until its task is heard of; then the ledger is asked once for all of them.
 */
import { Effect } from "effect"
import type { Delivered } from "./JetStreamPulls.ts"

/** How long a message waits for its task, in milliseconds. */
const UNHEARD = 100

export interface UnheardOptions {
  /** Completes when all is known that was there when it was asked for. */
  readonly refresh: Effect.Effect<void>
  /** As much is known of it as can be. */
  readonly judge: (id: string, message: Delivered) => void
}

export class JetStreamUnheard {
  private readonly options: UnheardOptions
  private readonly waiting = new Map<string, Delivered>()
  private timer: ReturnType<typeof setTimeout> | undefined
  private stopped = false

  constructor(options: UnheardOptions) {
    this.options = options
  }

  /** By task; whoever has asked for so many messages bounds them. */
  get messages(): Map<string, Delivered> {
    return this.waiting
  }

  wait(id: string, message: Delivered): void {
    this.waiting.set(id, message)
    this.later()
  }

  /** Its task has been heard of. */
  heard(id: string): void {
    const message = this.waiting.get(id)
    if (message === undefined) return
    this.waiting.delete(id)
    this.options.judge(id, message)
  }

  stop(): void {
    this.stopped = true
    clearTimeout(this.timer)
  }

  private later(): void {
    this.timer ??= setTimeout(() => void this.ask(), UNHEARD)
  }

  private async ask(): Promise<void> {
    const ids = [...this.waiting.keys()]
    await Effect.runPromise(this.options.refresh)
    this.timer = undefined
    if (this.stopped) return
    for (const id of ids) this.heard(id)
    if (this.waiting.size > 0) this.later()
  }
}
