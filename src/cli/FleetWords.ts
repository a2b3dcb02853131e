/** What happens between a node and its fleet, in sentences. */
import type { Published } from "../event/Event.ts"
import type { Paint } from "./Words.ts"

type FleetEvent = Extract<
  Published,
  { readonly type: "transport.status" | "agent.told" | "fleet.trouble" | "fleet.leader" }
>

/** Undefined for what people need not see. */
export const fleetLine = (event: FleetEvent, p: Paint): string | undefined => {
  switch (event.type) {
    case "transport.status":
      return linkLine(event, p)
    case "agent.told": {
      const who = event.by ?? "someone"
      const why = event.reason === undefined ? "" : ` (${event.reason})`
      return event.fault === undefined
        ? `${event.agent}: told to ${event.command} by ${who}${why}`
        : p("yellow", `${event.agent}: ${who} told it to ${event.command}${why}: ${event.fault.message}`)
    }
    case "fleet.leader":
      if (event.mine) return `fleet: this node leads, in epoch ${event.epoch}`
      return event.leader === undefined ? undefined : `fleet: ${event.leader} leads, in epoch ${event.epoch}`
    case "fleet.trouble":
      return p("yellow", event.hint === undefined ? event.message : `${event.message}; ${event.hint}`)
  }
}

const linkLine = (
  {
    detail = "",
    is,
    lane = "control",
    server = "",
    unconfirmed = 0
  }: Extract<FleetEvent, { type: "transport.status" }>,
  p: Paint
): string | undefined => {
  switch (is) {
    case "connecting":
      return p("yellow", `NATS: the ${lane} link waits for a server`)
    case "up":
      return `NATS: the ${lane} link to ${server} is up`
    case "down":
      return p(
        "yellow",
        `NATS: ${detail}${unconfirmed > 0 ? `; up to ${unconfirmed} messages may not have arrived` : ""}`
      )
    case "leaving":
      return `NATS: ${server} is about to stop; another server is looked for`
    case "closed":
      return undefined
    case "refused":
      return p("red", `NATS: ${detail}`)
    default:
      return p("yellow", `NATS: ${detail}`)
  }
}
