/** What a supervisor has yet to decide, in order of arrival. Anyone may post; one fiber takes. */
import { Effect } from "effect"

export class Mailbox<Message> {
  private queue: Array<Message> = []
  private head = 0
  private wake: (() => void) | undefined = undefined

  /** The taker, if it waits, goes on before this returns. */
  post(message: Message): void {
    this.queue.push(message)
    const wake = this.wake
    if (wake === undefined) return
    this.wake = undefined
    wake()
  }

  get isEmpty(): boolean {
    return this.head === this.queue.length
  }

  /** Only after `isEmpty` said no. */
  take(): Message {
    const message = this.queue[this.head++] as Message
    if (this.head === this.queue.length) {
      this.queue.length = 0
      this.head = 0
    } else if (this.head === 4096) {
      this.queue = this.queue.slice(4096)
      this.head = 0
    }
    return message
  }

  readonly wait: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.isEmpty) this.wake = () => resume(Effect.void)
    else resume(Effect.void)
  })
}
