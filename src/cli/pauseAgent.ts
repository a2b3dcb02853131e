/** `pause AGENT`: bring an agent to a halt in the middle of what it does; `resume AGENT`: let it go on. */
import { tellAgents } from "./Targets.ts"
import type { AgentInput } from "./Where.ts"

export const pauseAgent = (input: AgentInput) =>
  tellAgents(input, {
    act: (node, id) => node.wait((client) => client.pauseAgent({ params: { id } })),
    done: { paused: true },
    said: (agent) => `${agent} is paused, and stays so until \`mister-smith resume ${agent}\``
  })

export const resumeAgent = (input: AgentInput) =>
  tellAgents(input, {
    act: (node, id) => node.wait((client) => client.resumeAgent({ params: { id } })),
    done: { paused: false },
    said: (agent) => `${agent} goes on`
  })
