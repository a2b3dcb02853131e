/**
 * Runs a command as this process: signals in, exit code out. The first SIGINT or SIGTERM stops in order; a second one
 * kills everything that was started and leaves at once.
 */
import { Effect, Exit, type Layer } from "effect"
import type { Command } from "effect/cli"
import { killAll } from "../process/ProcessTree.ts"
import { main } from "./cli.ts"

const CODES = { SIGINT: 130, SIGTERM: 143 } as const

export const start = (args: ReadonlyArray<string>, platform: Layer.Layer<Command.Environment>): void => {
  const fiber = Effect.runFork(Effect.provide(main(args), platform))
  // A fiber that waits keeps no process alive; a timer does.
  const alive = setInterval(() => {}, 2 ** 30)
  let stopped: keyof typeof CODES | undefined

  const leave = (code: number) => {
    clearInterval(alive)
    // What a pipe has not taken yet would be lost by exit().
    process.stdout.write("", () => process.stderr.write("", () => process.exit(code)))
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
  process.stdout.on("error", () => fiber.interruptUnsafe())
  process.on("exit", killAll)

  fiber.addObserver((exit) => {
    if (stopped !== undefined) return leave(CODES[stopped])
    leave(Exit.isSuccess(exit) ? exit.value : 1)
  })
}
