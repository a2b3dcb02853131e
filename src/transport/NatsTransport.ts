/**
 * The Transport over NATS servers: two links, one for what is urgent and one for what is much. The Layer is built at once,
 * whether a server can be reached or not: who needs one waits for `ready`.
 */
import { Context, Effect, Layer, Stream } from "effect"
import type { NatsConnection } from "nats"
import { inModule } from "../observability/Log.ts"
import * as NatsLink from "./NatsLink.ts"
import { type ReadSecret, readSecret } from "./SecretSource.ts"
import { Transport } from "./Transport.ts"
import type { TransportClosed } from "./TransportError.ts"
import { type TransportSettings, warnings } from "./TransportSettings.ts"
import type { Lane, TransportStatus } from "./TransportStatus.ts"
import * as Wired from "./Wired.ts"

/**
 * The client's own connections, for what the port has not: JetStream and the micro-service framework. Each waits for its
 * first connection, and is the same for as long as the Layer.
 */
export class NatsConnections extends Context.Service<
  NatsConnections,
  Readonly<Record<Lane, Effect.Effect<NatsConnection, TransportClosed>>>
>()("mister-smith/transport/NatsConnections") {}

export interface Options {
  /** What the servers know this node by. */
  readonly name: string
  /** Looks up what the settings refer to. Default readSecret. */
  readonly secrets?: ReadSecret
  /** Whether changes of its links are log lines. Default true; false where whoever has it tells of them, so that none is told twice. */
  readonly logs?: boolean
}

export const layer = (settings: TransportSettings, { logs = true, name, secrets = readSecret }: Options) =>
  Layer.effectContext(
    Effect.gen(function* () {
      for (const warning of warnings(settings)) yield* Effect.logWarning(warning)
      let connections: NatsConnections["Service"] | undefined
      const transport = yield* Wired.make((events) =>
        Effect.gen(function* () {
          const control = yield* NatsLink.make("control", name, settings, secrets, events("control"))
          const bulk = yield* NatsLink.make("bulk", name, settings, secrets, events("bulk"))
          connections = { control: control.connection, bulk: bulk.connection }
          return { control, bulk }
        })
      )
      if (logs) yield* Effect.forkScoped(Stream.runForEach(yield* transport.status, log))
      return Context.make(Transport, transport).pipe(
        Context.add(NatsConnections, connections as NatsConnections["Service"])
      )
    }).pipe(inModule("transport"))
  )

const log = (status: TransportStatus): Effect.Effect<void> => {
  switch (status.type) {
    case "up":
      return Effect.logInfo(`the ${status.lane} link to ${status.server} is up`)
    case "down":
      return Effect.logWarning(
        status.unconfirmed === 0
          ? status.fault.message
          : `${status.fault.message}; up to ${status.unconfirmed} messages may not have arrived`
      )
    case "refused":
      return Effect.logError(`${status.fault.message}: ${status.fault.hint ?? ""}`)
    case "denied":
    case "slow":
    case "dropped":
      return Effect.logWarning(status.fault.message)
    case "caught_up":
      return Effect.logInfo(`the subscription to "${status.subject}" keeps up again, after ${status.dropped} dropped`)
    case "leaving":
      return Effect.logInfo(`${status.server} is about to stop; another server is looked for`)
    default:
      return Effect.void
  }
}
