/** `start AGENT`: start an agent that is down, whatever it went down for. */
import { tellAgents } from "./Targets.ts"
import type { AgentInput } from "./Where.ts"

export const startAgent = (input: AgentInput) =>
  tellAgents(input, {
    act: (node, id) => node.wait((client) => client.startAgent({ params: { id } })),
    done: { started: true },
    said: (agent) => `${agent} is started`,
    already: "ChildRunning"
  })
