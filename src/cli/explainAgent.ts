/** `explain NAME`: why an agent is as it is, or why a task is where it is, in a sentence. Of one name, the agent is meant. */
import { Effect } from "effect"
import type { AdminClient } from "../admin/AdminClient.ts"
import { jsonLine, out } from "./Printing.ts"
import { type Where, withNode } from "./Where.ts"
import { harmless } from "./Words.ts"

export interface ExplainInput {
  readonly name: string
  readonly task: boolean
  readonly json: boolean
  readonly where: Where
}

export const explainAgent = Effect.fn("cli.explain")(function* ({ json, name, task, where }: ExplainInput) {
  const answer = yield* withNode(where, (node) => explain(node, name, task))
  yield* json ? jsonLine(answer) : out(harmless(answer.why))
})

const explain = Effect.fnUntraced(function* (node: AdminClient["Service"], name: string, task: boolean) {
  const params = { id: name }
  const ofTask = node.ask((client) => client.explainTask({ params }))
  if (task) return yield* ofTask
  return yield* Effect.catchTag(
    node.ask((client) => client.explain({ params })),
    "AgentUnknown",
    // Where it is neither, what is known is the agents.
    (unknown) => Effect.catchTag(ofTask, "TaskUnknown", () => Effect.fail(unknown))
  )
})
