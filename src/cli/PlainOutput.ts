/** For people who read a log, or a pipe: one line for what happens, one for each task's end. */
import { Effect } from "effect"
import { type Output, write } from "./Output.ts"
import { describe, type Paint, resultLine } from "./Words.ts"

export const plainOutput = (stdout: NodeJS.WritableStream, stderr: NodeJS.WritableStream, p: Paint): Output => ({
  event: (event) => {
    const line = describe(event, p)
    return line === undefined ? Effect.void : write(stdout, `${line}\n`)
  },
  result: (result) => write(stdout, `${resultLine(result, p)}\n`),
  log: (line) => void stderr.write(`${line}\n`),
  close: Effect.void
})
