/** `task retry ID`: do a task once more that has failed or was cancelled. */
import { Effect } from "effect"
import { jsonLine, out } from "./Printing.ts"
import { type Where, withNode } from "./Where.ts"

export const retryTask = Effect.fn("cli.task.retry")(function* ({
  id,
  json,
  where
}: {
  readonly id: string
  readonly json: boolean
  readonly where: Where
}) {
  const task = yield* withNode(where, (node) => node.ask((client) => client.retryTask({ params: { id } })))
  yield* json ? jsonLine(task) : out(`task "${id}" is ${task.state}`)
})
