/** `explain AGENT`: why an agent is as it is, in a sentence. */
import { Effect } from "effect"
import { jsonLine, out } from "./Printing.ts"
import { type AgentInput, withNode } from "./Where.ts"
import { harmless } from "./Words.ts"

export const explainAgent = Effect.fn("cli.explain")(function* ({ agent, json, where }: AgentInput) {
  const answer = yield* withNode(where, (node) => node.ask((client) => client.explain({ params: { id: agent } })))
  yield* json ? jsonLine(answer) : out(harmless(answer.why))
})
