/** What is told with `--fleet`: to an agent wherever it is, over the servers of its fleet. */
import { Effect, Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"
import type { Visitor } from "../fleet/Visitor.ts"
import type { AgentCommand } from "../message/Command.ts"
import { type FleetWhere, withFleet } from "./FleetWhere.ts"
import { jsonLine, out } from "./Printing.ts"
import type { AgentInput } from "./Where.ts"
import { harmless } from "./Words.ts"

/** Names that are given as advice. */
const MAX_NAMED = 10

/** No node that answers has an agent of this name. */
export class NobodyCalled extends Schema.TaggedError<NobodyCalled, Fault>("mister-smith/NobodyCalled")("NobodyCalled", {
  agent: Schema.String,
  /** Whom it may have meant. */
  there: Schema.Array(Schema.String),
  /** Which is listed with it, and does not answer. */
  node: Schema.optionalKey(Schema.String)
}) {
  static {
    follow(this, { severity: "low", recovery: "ignore" })
  }
  override get hint() {
    const some = this.there.slice(0, MAX_NAMED).join(", ")
    if (this.node !== undefined)
      return "see in `nodes` when that was heard of last; a node that has died is listed until `fleet.expire`"
    return this.there.length === 0
      ? "see `ps --fleet`, and whether prefix and account are the same as those of its node"
      : `with --fleet each agent is told by its own name, neither a group nor all at once; there are ${some}${this.there.length > MAX_NAMED ? ", …" : ""}`
  }
  override get message() {
    return this.node === undefined
      ? `no node of this fleet has an agent "${this.agent}"`
      : `node ${this.node}, which has the agent "${this.agent}", does not listen`
  }
}

/** Which agents are on which nodes, as far as that can be had. */
const listed = ({ nodes }: Visitor) =>
  nodes.pipe(
    Effect.map((all) => all.flatMap(({ agents }) => agents)),
    Effect.orElseSucceed(() => [])
  )

export const tellFleet = Effect.fn("cli.tellFleet")(function* (
  { agent, json, where }: AgentInput,
  fleet: FleetWhere,
  body: AgentCommand
) {
  const { command } = body
  yield* withFleet(
    where,
    fleet,
    Effect.fnUntraced(function* (visitor) {
      const status = yield* visitor
        .tell(agent, body)
        .pipe(
          Effect.catch((fault: Fault) =>
            fault._tag === "NoResponders"
              ? Effect.flatMap(listed(visitor), (all) => Effect.fail<Fault>(nobody(agent, all)))
              : Effect.fail(fault)
          )
        )
      // One has answered; every node that has an agent of this name was told.
      const also = (yield* listed(visitor))
        .filter((other) => other.agent === agent && other.node !== status?.node)
        .map(({ node }) => node)
      if (json)
        return yield* jsonLine({
          agent,
          command,
          done: true,
          ...(status === undefined ? {} : { status }),
          ...(also.length === 0 ? {} : { also })
        })
      yield* out(harmless(status === undefined ? `${agent} did it` : `${agent} on ${status.node} is ${status.state}`))
      if (also.length > 0) yield* out(harmless(`those of this name on ${also.join(", ")} were told the same`))
    })
  )
})

const nobody = (agent: string, all: ReadonlyArray<{ readonly agent: string; readonly node: string }>) => {
  const known = all.find((each) => each.agent === agent)
  if (known !== undefined) return new NobodyCalled({ agent, there: [], node: known.node })
  const names = [...new Set(all.map((each) => each.agent))]
  const replicas = names.filter((name) => name.startsWith(`${agent}-`) && /^\d+$/.test(name.slice(agent.length + 1)))
  return new NobodyCalled({ agent, there: replicas.length > 0 ? replicas : names })
}
