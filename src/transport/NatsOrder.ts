/**
 * In which order servers are tried, where the order of the list counts: the first that answers is taken, and when an
 * earlier one answers again for a while, the link goes back to it. So a site's own server comes before those far away.
 */
import { connect } from "node:net"
import { Duration, Effect } from "effect"
import type { NatsConnectionImpl } from "./NatsSocket.ts"
import { hostOf, portOf, type TransportSettings } from "./TransportSettings.ts"

/** Looks in a row at which an earlier server must have answered. */
const LOOKS = 2

type Settings = Pick<TransportSettings, "servers" | "connectTimeout" | "returnAfter">

export interface NatsOrder {
  /** From now on they are tried from the first on. Those that are not in the list come last. */
  readonly fromTheFirst: (nc: NatsConnectionImpl) => void
  /** Looks again and again for an earlier server than the one in use, and completes when one is there to stay. */
  readonly earlier: (current: Effect.Effect<string | undefined>) => Effect.Effect<string>
}

const placeOf = (server: string) => `${hostOf(server)}:${portOf(server)}`

export const make = ({ connectTimeout, returnAfter, servers }: Settings): NatsOrder => {
  const places = servers.map(placeOf)
  const rank = (place: string) => {
    const at = places.indexOf(place)
    return at === -1 ? places.length : at
  }
  const look = Duration.times(returnAfter, 1 / LOOKS)
  return {
    fromTheFirst: ({ protocol }) => {
      // The client takes the first of these, and puts it at the end.
      protocol.servers
        .getServers()
        .sort((one, other) => rank(`${one.hostname}:${one.port}`) - rank(`${other.hostname}:${other.port}`))
    },
    earlier: (current) =>
      Effect.gen(function* () {
        let seen = 0
        let last: string | undefined
        for (;;) {
          yield* Effect.sleep(look)
          const now = yield* current
          const before = now === undefined ? [] : servers.slice(0, rank(now))
          let found: string | undefined
          for (const server of before) {
            found = (yield* answers(server, connectTimeout)) ? server : undefined
            if (found !== undefined) break
          }
          seen = found !== undefined && found === last ? seen + 1 : Number(found !== undefined)
          last = found
          if (found !== undefined && seen >= LOOKS) return found
        }
      })
  }
}

/** The first that a server says, before anything is secured or asked for. */
const GREETING = "INFO "

const answers = (server: string, patience: Duration.Duration): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const socket = connect({ host: hostOf(server), port: portOf(server) })
    const end = (answer: boolean) => {
      socket.destroy()
      resume(Effect.succeed(answer))
    }
    socket.once("error", () => end(false))
    socket.once("close", () => end(false))
    socket.once("data", (bytes) => end(bytes.toString("latin1").startsWith(GREETING)))
    return Effect.sync(() => socket.destroy())
  }).pipe(
    Effect.timeoutOption(patience),
    Effect.map((answer) => answer._tag === "Some" && answer.value)
  )
