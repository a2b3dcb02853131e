/** `stop AGENT`: end an agent, and keep it down. */
import { Effect } from "effect"
import { jsonLine, out } from "./Printing.ts"
import { type AgentInput, withNode } from "./Where.ts"

export const stopAgent = Effect.fn("cli.stop")(function* ({ agent, json, where }: AgentInput) {
  yield* withNode(where, (node) => node.wait((client) => client.stopAgent({ params: { id: agent } })))
  yield* json
    ? jsonLine({ agent, stopped: true })
    : out(`${agent} is stopped, and stays so until \`mister-smith start ${agent}\``)
})
