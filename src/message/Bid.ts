/** What a node offers for a task that waits, where nodes bid for tasks. It holds for a moment; what is claimed counts. */
import { Schema } from "effect"
import { TaskId } from "../domain/Ids.ts"
import { Count, Name } from "./Fields.ts"

const Amount = Schema.Finite.pipe(
  Schema.check(Schema.isGreaterThanOrEqualTo(0, { message: "expected a number, 0 or more" }))
)

export const TaskBid = Schema.Struct({
  task: TaskId,
  attempt: Count.annotateKey({ description: "How often the task had been begun: a bid counts for this time only" }),
  node: Name,
  free: Count.annotateKey({
    description: "Its agents that are idle and may take the task. None: the bid is withdrawn"
  }),
  slots: Count.annotateKey({ description: "Its agents that are up" }),
  warm: Schema.Boolean.annotateKey({ description: "The task was begun there before" }),
  spare: Count.annotateKey({ description: "What the agent that is meant can do and the task does not require" }),
  quotaUsd: Schema.optionalKey(Schema.Finite).annotateKey({
    description:
      "Dollars that the node may still spend, where it has been told a bound; below 0 where it has gone beyond"
  }),
  price: Schema.optionalKey(Amount).annotateKey({ description: "Dollars for a million tokens, where it has been told" })
})
export type TaskBid = typeof TaskBid.Type
