/** `task drop ID`: a dead letter need not be kept: it counts as cancelled, and is forgotten in its turn. */
import { Effect } from "effect"
import { jsonLine, out } from "./Printing.ts"
import { type Where, withNode } from "./Where.ts"

export const dropTask = Effect.fn("cli.task.drop")(function* ({
  id,
  json,
  where
}: {
  readonly id: string
  readonly json: boolean
  readonly where: Where
}) {
  const task = yield* withNode(where, (node) => node.ask((client) => client.dropTask({ params: { id } })))
  yield* json ? jsonLine(task) : out(`task "${id}" is ${task.state}`)
})
