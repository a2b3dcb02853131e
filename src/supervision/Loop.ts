/**
 * The one fiber of a supervisor in which all is decided: takes messages in order of arrival and handles them one at a
 * time. Cannot be interrupted; ends when the handler says so.
 */
import { type Context, Effect, Exit, type Fiber } from "effect"
import { Mailbox } from "./Mailbox.ts"

/** Messages handled before other fibers get their turn. */
const TURN = 256

export class Loop<Message> {
  private readonly mailbox = new Mailbox<Message>()
  private readonly handle: (message: Message) => boolean
  private isDone = false

  /** `handle` answers whether the loop is to go on. */
  constructor(handle: (message: Message) => boolean) {
    this.handle = handle
  }

  post(message: Message): void {
    this.mailbox.post(message)
  }

  /** What was never handled. */
  *rest(): Generator<Message> {
    while (!this.mailbox.isEmpty) yield this.mailbox.take()
  }

  /** Starts the fiber and returns its id. Only a bug in the handler can end it early; `onBug` hears of it. */
  run(context: Context.Context<never>, onBug: (bug: Exit.Exit<never>) => void): Fiber.Fiber<void>["id"] {
    const loop = Effect.whileLoop({ while: () => !this.isDone, body: () => this.turn(), step: () => {} })
    const fiber = Effect.runForkWith(context)(loop, { uninterruptible: true })
    fiber.addObserver((exit) => {
      if (Exit.isFailure(exit)) onBug(Exit.failCause(exit.cause))
    })
    return fiber.id
  }

  private turn(): Effect.Effect<void> {
    for (let n = 0; n < TURN; n++) {
      if (this.mailbox.isEmpty) return this.mailbox.wait
      if (!this.handle(this.mailbox.take())) {
        this.isDone = true
        return Effect.void
      }
    }
    return Effect.yieldNow
  }
}
