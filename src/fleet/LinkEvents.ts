/** What a transport tells of its links, as events. */
import { brief, type Event } from "../event/Event.ts"
import type { LinkSnapshot, TransportStatus } from "../transport/TransportStatus.ts"
import { LANES, type Lane } from "../transport/TransportStatus.ts"

export type LinkEvent = Extract<Event, { readonly type: "transport.status" }>

/** Messages of one connection that were not allowed, or not taken, and are told of: there may be one for each event. */
export const TOLD = 20

/** Where links are that have not come up yet: their first words may have been missed. */
export const atFirst = (snapshot: Readonly<Record<Lane, LinkSnapshot>>): ReadonlyArray<LinkEvent> =>
  LANES.flatMap((lane) => (snapshot[lane].state === "connecting" ? [eventOf({ type: "connecting", lane })] : []))

/** Undefined for what need not be told (again). */
export const make = (): ((status: TransportStatus) => LinkEvent | undefined) => {
  const told: Record<Lane, number> = { control: 0, bulk: 0 }
  return (status) => {
    if (status.type === "up") told[status.lane] = 0
    if (status.type === "denied" || status.type === "dropped") {
      if (told[status.lane] >= TOLD) return undefined
      told[status.lane]++
    }
    return eventOf(status)
  }
}

const eventOf = (status: TransportStatus): LinkEvent => {
  const of = "lane" in status ? { lane: status.lane } : {}
  const is = { type: "transport.status" as const, ...of, is: status.type }
  switch (status.type) {
    case "up":
      return { ...is, server: status.server, detail: `version ${status.version}` }
    case "down":
      return {
        ...is,
        server: status.fault.server,
        detail: brief(status.fault.message),
        unconfirmed: status.unconfirmed
      }
    case "refused":
      return {
        ...is,
        detail: brief(`${status.fault.message}${status.fault.hint === undefined ? "" : `; ${status.fault.hint}`}`)
      }
    case "denied":
    case "slow":
    case "dropped":
      return { ...is, detail: brief(status.fault.message) }
    case "caught_up":
      return { ...is, detail: brief(`${status.dropped} messages to "${status.subject}" were dropped`) }
    case "leaving":
      return { ...is, server: status.server }
    case "gap":
      return { ...is, detail: `${status.missed} changes were missed` }
    default:
      return is
  }
}

/** What would tell over the servers that something could not be told over them, and so on for ever. */
export const isOwnEcho = (event: Event): boolean =>
  event.type === "transport.status" && (event.is === "denied" || event.is === "dropped")
