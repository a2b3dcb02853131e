/** What moves a task that has ended: `task retry ID`, `task replay ID` and `task drop ID`. */
import { Effect } from "effect"
import { jsonLine, out } from "./Printing.ts"
import { standing } from "./TaskWords.ts"
import { type Where, withNode } from "./Where.ts"

export interface MoveInput {
  readonly id: string
  readonly json: boolean
  readonly where: Where
}

const tell =
  ({ id, json }: MoveInput) =>
  (task: { readonly state: string }) =>
    json ? jsonLine(task) : out(`task "${id}" ${standing(task.state)}`)

/** Does a task once more that has failed, was given up or was cancelled. */
export const retryTask = Effect.fn("cli.task.retry")(function* (input: MoveInput) {
  const params = { id: input.id }
  return yield* Effect.flatMap(
    withNode(input.where, (node) => node.ask((client) => client.retryTask({ params }))),
    tell(input)
  )
})

/** Gives a dead letter a new life: it goes back to the queue. */
export const replayTask = Effect.fn("cli.task.replay")(function* (input: MoveInput) {
  const params = { id: input.id }
  return yield* Effect.flatMap(
    withNode(input.where, (node) => node.ask((client) => client.replayTask({ params }))),
    tell(input)
  )
})

/** A dead letter need not be kept: it counts as cancelled, and is forgotten in its turn. */
export const dropTask = Effect.fn("cli.task.drop")(function* (input: MoveInput) {
  const params = { id: input.id }
  return yield* Effect.flatMap(
    withNode(input.where, (node) => node.ask((client) => client.dropTask({ params }))),
    tell(input)
  )
})
