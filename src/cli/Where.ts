/** Which node a command means: said by a flag, by the environment, or the one of this directory. */
import { resolve } from "node:path"
import { Effect, Option } from "effect"
import { AdminClient } from "../admin/AdminClient.ts"
import { socketIn } from "../admin/Socket.ts"
import { DATA_DIR } from "../config/Config.ts"
import { dataDirOf } from "../config/DataDirOf.ts"
import { UsageWrong } from "./UsageFault.ts"

export interface Where {
  readonly dataDir: Option.Option<string>
  readonly config: Option.Option<string>
}

const socketOf = Effect.fnUntraced(function* ({ config, dataDir }: Where) {
  if (Option.isSome(dataDir) && Option.isSome(config)) {
    return yield* new UsageWrong({ problem: "--data-dir and --config both say where the node is", advice: "give one" })
  }
  if (Option.isSome(dataDir)) return socketIn(resolve(dataDir.value))
  if (Option.isSome(config)) return socketIn(yield* dataDirOf(config.value, process.env))
  const socket = process.env["MISTER_SMITH_SOCKET"]
  return socket === undefined || socket === "" ? socketIn(resolve(DATA_DIR)) : resolve(socket)
})

/** Does something with the node that is meant. */
export const withNode = <A, E, R>(where: Where, use: (node: AdminClient["Service"]) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(socketOf(where), (socket) =>
    Effect.provide(Effect.flatMap(AdminClient, use), AdminClient.layer(socket))
  )

/** What a command about one agent is given. */
export interface AgentInput {
  readonly agent: string
  readonly json: boolean
  readonly where: Where
}
