/** `explain NAME`: why an agent is as it is, with its last moves, or why a task is where it is. Of one name, the agent is meant. */
import { Effect } from "effect"
import type { AdminClient } from "../admin/AdminClient.ts"
import { jsonLine, out, painter } from "./Printing.ts"
import { type Where, withNode } from "./Where.ts"
import { harmless } from "./Words.ts"

export interface ExplainInput {
  readonly name: string
  readonly task: boolean
  readonly json: boolean
  readonly where: Where
}

export const explainAgent = Effect.fn("cli.explain")(function* ({ json, name, task, where }: ExplainInput) {
  const p = yield* painter
  const answer = yield* withNode(where, (node) => explain(node, name, task))
  if (json) return yield* jsonLine(answer)
  const moves = ("moves" in answer ? answer.moves : []).map(
    ({ at, from, reason, to }) => `  ${p("dim", new Date(at).toLocaleString("sv-SE"))}  ${from} → ${to}  ${reason}`
  )
  yield* out(harmless([answer.why, ...moves].join("\n")))
})

const explain = Effect.fnUntraced(function* (node: AdminClient["Service"], name: string, task: boolean) {
  const params = { id: name }
  const ofTask = node.ask((client) => client.explainTask({ params }))
  if (task) return yield* ofTask
  const ofAgent = Effect.gen(function* () {
    const answer = yield* node.ask((client) => client.explain({ params }))
    return { ...answer, moves: yield* node.ask((client) => client.moves({ params })) }
  })
  return yield* Effect.catchTag(
    ofAgent,
    "AgentUnknown",
    // Where it is neither, what is known is the agents.
    (unknown) => Effect.catchTag(ofTask, "TaskUnknown", () => Effect.fail(unknown))
  )
})
