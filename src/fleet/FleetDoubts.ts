/** What a person may write about a fleet, and will hardly mean: said by `check` and at the start of a node. */
import type { TransportSettings } from "../transport/TransportSettings.ts"
import type { FleetSettings } from "./FleetSettings.ts"

export const doubts = (
  { kind, servers }: Pick<TransportSettings, "kind" | "servers">,
  { replicas }: Pick<FleetSettings, "replicas">
): ReadonlyArray<string> => {
  if (kind !== "nats" || replicas === 1) return []
  const found: Array<string> = []
  if (servers.length < replicas)
    found.push(
      `fleet.replicas: ${replicas} servers are to keep what the nodes share, and transport.servers names ${servers.length}: while ${servers.length === 1 ? "it is" : "these are"} down no node can start, although the others go on; name them all, or set fleet.replicas to 1 where there is no cluster`
    )
  if (replicas % 2 === 0)
    found.push(
      `fleet.replicas: of ${replicas} servers more than half must be there, so that no more of them may fail than of ${replicas - 1}: set it to ${replicas - 1} or ${replicas + 1}`
    )
  return found
}
