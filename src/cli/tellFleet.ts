/** `pause`, `resume`, `restart` and `stop` with `--fleet`: to an agent wherever it is, over the servers of its fleet. */
import { Effect } from "effect"
import { type FleetWhere, withFleet } from "./FleetWhere.ts"
import { jsonLine, out } from "./Printing.ts"
import type { AgentInput } from "./Where.ts"
import { harmless } from "./Words.ts"

export const tellFleet = Effect.fn("cli.tellFleet")(function* (
  { agent, json, where }: AgentInput,
  fleet: FleetWhere,
  command: "pause" | "resume" | "restart" | "stop"
) {
  const status = yield* withFleet(where, fleet, ({ tell }) => tell(agent, { command }))
  yield* json
    ? jsonLine({ agent, command, done: true, ...(status === undefined ? {} : { status }) })
    : out(harmless(status === undefined ? `${agent} did it` : `${agent} on ${status.node} is ${status.state}`))
})
