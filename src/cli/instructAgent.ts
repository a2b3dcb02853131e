/**
 * `interrupt AGENT`: break off what an agent does. `model AGENT MODEL`: give it another model. `tell AGENT MESSAGE`: say something
 * to it. All of them for the agent that runs: the config stays as it is.
 */
import { Effect } from "effect"
import { tellAgents } from "./Targets.ts"
import type { AgentInput } from "./Where.ts"

export const interruptAgent = (input: AgentInput) =>
  tellAgents(input, {
    act: (node, id) => node.wait((client) => client.interruptAgent({ params: { id } })),
    done: { interrupted: true },
    said: (agent) => `${agent} has broken off what it did; its task goes on after a pause`
  })

export const setModel = (input: AgentInput & { readonly model: string }) =>
  tellAgents(input, {
    act: (node, id) => node.ask((client) => client.setModel({ params: { id }, payload: { model: input.model } })),
    done: { model: input.model },
    said: (agent) => `${agent} uses ${input.model} until its next life`
  })

export const tellAgent = (input: AgentInput & { readonly message: string }) => {
  const waits = new Set<string>()
  return tellAgents(input, {
    act: (node, id) =>
      Effect.map(
        node.ask((client) => client.tellAgent({ params: { id }, payload: { text: input.message } })),
        ({ heard }) => {
          if (heard === "inbox") waits.add(id)
          return { heard }
        }
      ),
    done: { told: true },
    said: (agent) => (waits.has(agent) ? `${agent} hears it with its next turn` : `${agent} hears it in its turn`)
  })
}
