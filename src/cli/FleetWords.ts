/** What happens between a node and its fleet, in sentences. */
import type { Published } from "../event/Event.ts"
import { type Paint, seconds } from "./Words.ts"

type FleetEvent = Extract<
  Published,
  {
    readonly type:
      | "transport.status"
      | "agent.told"
      | "fleet.trouble"
      | "fleet.leader"
      | "fleet.suspected"
      | "fleet.dead"
      | "fleet.back"
      | "fleet.mode"
      | "outbox.kept"
      | "outbox.refused"
      | "outbox.lost"
  }
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
    case "fleet.suspected":
      return p("yellow", `node ${event.node} has given no sign of life for ${seconds(event.silenceMillis)}`)
    case "fleet.dead": {
      const { tasks } = event
      const held =
        tasks === 0 ? "" : `; ${tasks === 1 ? "the task" : `the ${tasks} tasks`} that it had are queued again`
      return p("red", `node ${event.node} counts as dead, silent for ${seconds(event.silenceMillis)}${held}`)
    }
    case "fleet.mode":
      return modeLine(event, p)
    case "outbox.kept":
      return p(
        "yellow",
        `task ${event.task}: its attempt ${event.attempt} is over, and the fleet is told when it can be`
      )
    case "outbox.refused":
      return p(
        "yellow",
        `task ${event.task}: what was done here in attempt ${event.attempt} is dropped: ${event.fault.message}`
      )
    case "outbox.lost":
      return p("yellow", `${event.events} events were not told to the fleet: more were waiting than may`)
    case "fleet.back":
      return `node ${event.node}, which ${event.was === "dead" ? "counted as dead" : "was suspected"}, is back`
  }
}

const modeLine = ({ reason, reports, tasks, to }: Extract<FleetEvent, { type: "fleet.mode" }>, p: Paint) => {
  if (to === "full") return `fleet: this node works with the others again`
  if (to === "draining") return `fleet: this node finishes what it has, and ends`
  const waiting = reports + tasks === 0 ? "" : `; ${reports} ends of attempts and ${tasks} of its own tasks wait`
  return to === "no_new_work"
    ? p("yellow", `fleet: this node finishes what it has, and takes no more: ${reason}${waiting}`)
    : p("yellow", `fleet: this node goes on by itself: ${reason}${waiting}`)
}

/** Undefined where nobody else had bid. */
export const placedLine = (
  { bids, by, node, task }: Extract<Published, { readonly type: "task.placed" }>,
  p: Paint
): string | undefined => {
  const others = bids.flatMap((bid) => (bid.node === node ? [] : [bid.node])).join(", ")
  if (others === "") return undefined
  return by === "best_bid"
    ? `task ${p("cyan", task)}: this node has outbid ${others}`
    : `task ${p("cyan", task)}: taken here, because ${bids[0]?.node} had bid better and did not take it`
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
