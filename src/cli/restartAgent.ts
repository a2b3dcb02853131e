/** `restart AGENT`: stop and start in one. What it was doing goes on in its next life. */
import { tellAgents } from "./Targets.ts"
import type { AgentInput } from "./Where.ts"

export const restartAgent = (input: AgentInput) =>
  tellAgents(input, {
    act: (node, id) => node.wait((client) => client.restartAgent({ params: { id } })),
    done: { restarted: true },
    said: (agent) => `${agent} is restarted`
  })
