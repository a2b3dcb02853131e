/**
 * How a run shows itself: to people on a terminal, to people in a log, or to a program. The three know the same two
 * things: an event happened, a task ended.
 */
import { Effect } from "effect"
import type { TaskResult } from "../domain/Task.ts"
import type { Published } from "../event/Event.ts"

/** How a task ended, and when. */
export interface Shown extends TaskResult {
  /** It had ended before this run. */
  readonly earlier?: boolean
}

export interface Output {
  event(event: Published): Effect.Effect<void>
  result(result: Shown): Effect.Effect<void>
  /** A line of a log, without its line end. Synchronous, because loggers are. */
  log(line: string): void
  /** Nothing more will come. */
  readonly close: Effect.Effect<void>
}

/** Waits until the stream has taken the text, so that a slow reader slows the writer and nothing piles up. */
export const write = (stream: NodeJS.WritableStream, text: string): Effect.Effect<void> =>
  Effect.callback((resume) => {
    stream.write(text, () => resume(Effect.void))
  })

/** For programs: every event and every result is one JSON object a line on stdout. */
export const jsonOutput = (stdout: NodeJS.WritableStream, stderr: NodeJS.WritableStream): Output => ({
  event: (event) => write(stdout, `${JSON.stringify(event)}\n`),
  result: (result) => write(stdout, `${JSON.stringify({ type: "task.result", ...result })}\n`),
  log: (line) => void stderr.write(`${line}\n`),
  close: Effect.void
})
