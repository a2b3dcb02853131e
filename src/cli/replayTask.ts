/** `task replay ID`: a dead letter goes back to the queue, with a new life. */
import { Effect } from "effect"
import { jsonLine, out } from "./Printing.ts"
import { type Where, withNode } from "./Where.ts"

export const replayTask = Effect.fn("cli.task.replay")(function* ({
  id,
  json,
  where
}: {
  readonly id: string
  readonly json: boolean
  readonly where: Where
}) {
  const task = yield* withNode(where, (node) => node.ask((client) => client.replayTask({ params: { id } })))
  yield* json ? jsonLine(task) : out(`task "${id}" is ${task.state}`)
})
