/** What is told with `--fleet`: to an agent wherever it is, over the servers of its fleet. */
import { Effect } from "effect"
import type { AgentCommand } from "../message/Command.ts"
import { type FleetWhere, withFleet } from "./FleetWhere.ts"
import { jsonLine, out } from "./Printing.ts"
import type { AgentInput } from "./Where.ts"
import { harmless } from "./Words.ts"

export const tellFleet = Effect.fn("cli.tellFleet")(function* (
  { agent, json, where }: AgentInput,
  fleet: FleetWhere,
  body: AgentCommand
) {
  const { command } = body
  const status = yield* withFleet(where, fleet, ({ tell }) => tell(agent, body))
  yield* json
    ? jsonLine({ agent, command, done: true, ...(status === undefined ? {} : { status }) })
    : out(harmless(status === undefined ? `${agent} did it` : `${agent} on ${status.node} is ${status.state}`))
})
