/** `task cancel ID`: end a task that has not ended, and the work on it. */
import { Effect, Option } from "effect"
import { jsonLine, out } from "./Printing.ts"
import { standing } from "./TaskWords.ts"
import { type Where, withNode } from "./Where.ts"
import { harmless } from "./Words.ts"

export interface CancelInput {
  readonly id: string
  readonly why: Option.Option<string>
  readonly json: boolean
  readonly where: Where
}

export const cancelTask = Effect.fn("cli.task.cancel")(function* ({ id, json, where, why }: CancelInput) {
  const payload = Option.isSome(why) ? { why: why.value } : {}
  const task = yield* withNode(where, (node) => node.ask((client) => client.cancelTask({ params: { id }, payload })))
  yield* json ? jsonLine(task) : out(harmless(task.lastFault?.message ?? `task "${id}" ${standing(task.state)}`))
})
