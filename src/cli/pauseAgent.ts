/** `pause AGENT`: bring an agent to a halt in the middle of what it does; `resume AGENT`: let it go on. */
import { Effect } from "effect"
import { jsonLine, out } from "./Printing.ts"
import { type AgentInput, withNode } from "./Where.ts"

export const pauseAgent = Effect.fn("cli.pause")(function* ({ agent, json, where }: AgentInput) {
  yield* withNode(where, (node) => node.wait((client) => client.pauseAgent({ params: { id: agent } })))
  yield* json
    ? jsonLine({ agent, paused: true })
    : out(`${agent} is paused, and stays so until \`mister-smith resume ${agent}\``)
})

export const resumeAgent = Effect.fn("cli.resume")(function* ({ agent, json, where }: AgentInput) {
  yield* withNode(where, (node) => node.wait((client) => client.resumeAgent({ params: { id: agent } })))
  yield* json ? jsonLine({ agent, paused: false }) : out(`${agent} goes on`)
})
