/** `nodes`: who is in the fleet, as a node of it knows, or as its servers do where no node runs here. `ps --fleet`: their agents. */
import { Effect, Option } from "effect"
import type { Listed } from "../fleet/NodeRecord.ts"
import { type FleetWhere, withFleet } from "./FleetWhere.ts"
import { age, type Cell, jsonLine, out, painter, table } from "./Printing.ts"
import { type Where, withNode } from "./Where.ts"

export interface NodesInput {
  readonly json: boolean
  readonly where: Where
  readonly fleet: FleetWhere
}

const ask = ({ fleet, where }: NodesInput) => {
  const direct = withFleet(where, fleet, ({ nodes }) => nodes)
  if (Option.isSome(fleet.server)) return direct
  const asked = withNode(where, (node) => node.ask((client) => client.nodes()))
  // Who names a config may mean its servers too.
  return Option.isSome(where.config) ? Effect.catchTag(asked, "NodeUnreachable", () => direct) : asked
}

export const nodes = Effect.fn("cli.nodes")(function* (input: NodesInput) {
  const p = yield* painter
  const all = yield* ask(input)
  if (input.json) return yield* Effect.forEach(all, (node) => jsonLine(lineOf(node)), { discard: true })
  if (all.length === 0) return yield* out("nobody is there")
  yield* out(
    table(
      ["NODE", "MODE", "VERSION", "UP", "AGENTS", "FREE", "RUNNING", "LEADS", "SEEN"],
      all.map(rowOf(leaderOf(all))),
      p
    )
  )
})

export const fleetAgents = Effect.fn("cli.fleetAgents")(function* (input: NodesInput) {
  const p = yield* painter
  const agents = (yield* ask(input)).flatMap(({ agents }) => agents)
  if (input.json) return yield* Effect.forEach(agents, jsonLine, { discard: true })
  if (agents.length === 0) return yield* out("nobody is there")
  const now = Date.now()
  const rows = agents.map(
    (agent): ReadonlyArray<Cell> => [
      agent.agent,
      agent.node,
      agent.state,
      agent.task ?? "-",
      age(now - agent.since),
      agent.reason ?? ""
    ]
  )
  yield* out(table(["NAME", "NODE", "STATE", "TASK", "SINCE", "REASON"], rows, p))
})

const lineOf = ({ agents, life, seenAt, standing, status }: Listed) => ({
  ...status,
  ...(standing === undefined ? {} : { standing }),
  life,
  seenAt,
  names: agents.map(({ agent }) => agent)
})

const modeOf = ({ standing, status: { mode } }: Listed): Cell =>
  standing !== undefined ? [standing, "red"] : [mode, mode === "full" ? "green" : "yellow"]

/** One who does not know yet that it leads no more says so all the same: the greatest epoch counts. */
const leaderOf = (all: ReadonlyArray<Listed>): number | undefined =>
  all.reduce<number | undefined>(
    (most, { status: { leads } }) => (leads === undefined ? most : Math.max(most ?? 0, leads)),
    undefined
  )

const rowOf =
  (epoch: number | undefined) =>
  (listed: Listed): ReadonlyArray<Cell> => {
    const { seenAt, status } = listed
    const now = Date.now()
    return [
      status.node,
      modeOf(listed),
      status.version,
      age(now - status.startedAt),
      String(status.agents),
      `${status.slots.free} of ${status.slots.total}`,
      String(status.running),
      status.leads !== undefined && status.leads === epoch ? [`epoch ${epoch}`, "cyan"] : "-",
      `${age(now - seenAt)} ago`
    ]
  }
