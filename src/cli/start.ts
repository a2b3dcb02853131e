/**
 * Runs a command as this process: signals in, exit code out. The first SIGINT or SIGTERM stops in order; a second one
 * kills everything that was started and leaves at once.
 */
import { Cause, Effect, Exit } from "effect"

const CODES = { SIGINT: 130, SIGTERM: 143 } as const

/** What a command needs that goes on for a while. */
export interface LongRunning {
  /** Ends every process that was started, at once. */
  readonly killAll: () => void
  /** Where it writes. What they have not taken yet would be lost by exit(). */
  readonly streams: ReadonlyArray<NodeJS.WriteStream>
  /** The exit code where a reader has gone away, as in `| head`. */
  readonly unread: number
}

export const start = (
  program: Effect.Effect<number>,
  { killAll, streams, unread }: LongRunning = { killAll: () => {}, streams: [], unread: 1 }
): void => {
  const fiber = Effect.runFork(program)
  // A fiber that waits keeps no process alive; a timer does.
  const alive = setInterval(() => {}, 2 ** 30)
  let stopped: keyof typeof CODES | undefined

  const leave = (code: number) => {
    clearInterval(alive)
    const flushed = streams.map((stream) => new Promise<void>((resolve) => stream.write("", () => resolve())))
    if (flushed.length === 0) process.exit(code)
    void Promise.all(flushed).then(() => process.exit(code))
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (stopped !== undefined) {
        killAll()
        process.exit(CODES[signal])
      }
      stopped = signal
      fiber.interruptUnsafe()
    })
  }
  // A reader that goes away (`| head`) is a reason to stop, not to crash.
  let isUnread = false
  for (const stream of streams) {
    stream.on("error", (error) => {
      if ("code" in error && error.code === "EPIPE") isUnread = true
      fiber.interruptUnsafe()
    })
  }
  process.on("exit", killAll)

  fiber.addObserver((exit) => {
    if (stopped !== undefined) return leave(CODES[stopped])
    if (Exit.isSuccess(exit)) return leave(exit.value)
    leave(isUnread && Cause.hasInterruptsOnly(exit.cause) ? unread : 1)
  })
}
