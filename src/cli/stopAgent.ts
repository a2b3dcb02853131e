/** `stop AGENT`: end an agent, and keep it down. */
import { tellAgents } from "./Targets.ts"
import type { AgentInput } from "./Where.ts"

export const stopAgent = (input: AgentInput) =>
  tellAgents(input, {
    act: (node, id) => node.wait((client) => client.stopAgent({ params: { id } })),
    done: { stopped: true },
    said: (agent) => `${agent} is stopped, and stays so until \`mister-smith start ${agent}\``
  })
