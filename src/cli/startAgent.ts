/** `start AGENT`: start an agent that is down, whatever it went down for. */
import { Effect } from "effect"
import { jsonLine, out } from "./Printing.ts"
import { type AgentInput, withNode } from "./Where.ts"

export const startAgent = Effect.fn("cli.start")(function* ({ agent, json, where }: AgentInput) {
  yield* withNode(where, (node) => node.wait((client) => client.startAgent({ params: { id: agent } })))
  yield* json ? jsonLine({ agent, started: true }) : out(`${agent} is started`)
})
