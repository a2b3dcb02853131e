/** Which fleet a command means, and by whose name it speaks there: said by an address, or by a config file. */
import { existsSync } from "node:fs"
import { Effect, Option, Schema } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Load from "../config/Load.ts"
import * as Visitor from "../fleet/Visitor.ts"
import { TransportSettings } from "../transport/TransportSettings.ts"
import { UsageWrong } from "./UsageFault.ts"
import { USUAL_CONFIG } from "./UsualConfig.ts"
import type { Where } from "./Where.ts"

export interface FleetWhere {
  /** An address. */
  readonly server: Option.Option<string>
  /** What its subjects begin with. */
  readonly prefix: Option.Option<string>
}

/** Who the messages are from. */
const SOURCE = "client:mister-smith"

const decode = Schema.decodeUnknownEffect(TransportSettings)

const settingsOf = Effect.fnUntraced(function* ({ config }: Where, { prefix, server }: FleetWhere) {
  if (Option.isSome(server)) {
    const transport = yield* decode({
      kind: "nats",
      servers: [server.value],
      ...(Option.isSome(prefix) ? { prefix: prefix.value } : {})
    }).pipe(
      Effect.mapError(
        () =>
          new UsageWrong({
            problem: "--server or --prefix cannot be used",
            advice:
              'write an address such as "nats://host:4222", without credentials (--config takes them from a config file), and words such as "team-a"'
          })
      )
    )
    return { transport, signing: undefined, seed: undefined }
  }
  const file = Option.getOrElse(config, () => (existsSync(USUAL_CONFIG) ? USUAL_CONFIG : undefined))
  if (file === undefined)
    return yield* new UsageWrong({
      problem: "which fleet is meant is not said",
      advice: `give --server with its address, or --config with the file of one of its nodes (here is no ${USUAL_CONFIG})`
    })
  const { fleet, transport } = yield* Load.load(file, process.env)
  if (transport.kind !== "nats")
    return yield* new UsageWrong({
      problem: `${file} names no servers: its node is alone`,
      advice: 'set transport to { "kind": "nats", "servers": [...] }'
    })
  return { transport, signing: fleet.signing, seed: fleet.seed }
})

/** Does something with the fleet that is meant, over its servers. */
export const withFleet = <A, E, R>(
  where: Where,
  fleet: FleetWhere,
  use: (visitor: Visitor.Visitor) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const { transport, ...signed } = yield* settingsOf(where, fleet)
    return yield* use(yield* Visitor.make(transport, { source: SOURCE, ...signed }))
  }).pipe(Effect.scoped, Effect.provide(SecureRandom.layerWebCrypto))
