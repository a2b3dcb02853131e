/**
 * Has a node found with the stock tools of NATS: a micro-service that answers PING, INFO and STATS. What a PING tells stays the
 * same for a life of the service; load is in INFO, and in the STATS of the endpoint.
 */
import { Effect, type Scope } from "effect"
import type { NatsConnection, ServiceConfig } from "nats"
import { VERSION } from "../domain/Version.ts"
import { inModule } from "../observability/Log.ts"
import { Farewell } from "../transport/Farewell.ts"
import type { TransportClosed } from "../transport/TransportError.ts"

/** What it is called, for `nats service ls` and the like. */
export const NAME = "mister-smith"
/** Characters of a list in the metadata: a server that is asked for all must be able to say so. */
const MAX_LIST = 4096
/** How long a service that was ended by the client is left alone. */
const PAUSE = "5 seconds"

export interface NodeInfo {
  readonly node: string
  /** This run of it. */
  readonly life: string
  readonly everyMillis: number
  readonly startedAt: number
  readonly prefix: string | undefined
  readonly agents: ReadonlyArray<string>
  readonly taskTypes: ReadonlyArray<string>
  readonly capabilities: ReadonlyArray<string>
  readonly mode: string
  readonly running: number
  readonly slots: { readonly total: number; readonly free: number }
  /** The subject of its heartbeats. */
  readonly heartbeat: string
}

const listOf = (words: ReadonlyArray<string>) => {
  const text = words.join(",")
  return text.length <= MAX_LIST ? text : `${text.slice(0, text.lastIndexOf(",", MAX_LIST))},…`
}

/** What stays as it is while the agents do. */
const lasting = (info: NodeInfo) => ({
  node: info.node,
  life: info.life,
  every_millis: String(info.everyMillis),
  agents: listOf(info.agents),
  capabilities: listOf(info.capabilities),
  task_types: listOf(info.taskTypes),
  started_at: new Date(info.startedAt).toISOString(),
  heartbeat: info.heartbeat,
  ...(info.prefix === undefined ? {} : { prefix: info.prefix })
})

const load = ({ mode, running, slots }: NodeInfo) => ({
  mode,
  running: String(running),
  slots: String(slots.total),
  slots_free: String(slots.free)
})

/** Until the Scope closes. `info` is asked for each time that someone asks. */
export const serve = (
  connection: Effect.Effect<NatsConnection, TransportClosed>,
  info: () => NodeInfo
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const client = yield* connection
    while (true) {
      const why = yield* Effect.scoped(life(client, info))
      if (why !== undefined)
        yield* Effect.logWarning(`tools cannot find this node: ${why.message}; tried again in ${PAUSE}`)
      yield* Effect.sleep(PAUSE)
    }
  }).pipe(
    // The node stops.
    Effect.catchTag("TransportClosed", () => Effect.void),
    Effect.tapCause((cause) => Effect.logDebug("the micro-service has ended", cause)),
    inModule("fleet"),
    Effect.forkScoped,
    Effect.asVoid
  )

/** Until the client ends it: with the error, if any. */
const life = (client: NatsConnection, info: () => NodeInfo) =>
  Effect.gen(function* () {
    const farewell = yield* Farewell
    const service = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () => {
          const metadata = lasting(info())
          const config: ServiceConfig = {
            name: NAME,
            version: VERSION,
            description: "Keeps Claude CLI agents working",
            // Read each time that INFO or STATS is asked for.
            metadata: dynamic(metadata, info),
            statsHandler: () => Promise.resolve(load(info()))
          }
          return client.services.add(config)
        },
        catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
      }),
      (service) => farewell.say(Effect.tryPromise(() => service.stop()))
    )
    return (yield* Effect.promise(() => service.stopped)) ?? undefined
  }).pipe(Effect.catch((error: Error) => Effect.succeed(error)))

/** Holds what `lasting` says, and what the node's load is when it is looked at. */
const dynamic = (fixed: Record<string, string>, info: () => NodeInfo): Record<string, string> => {
  const metadata: Record<string, string> = { ...fixed }
  const define = (key: string, get: () => string) => Object.defineProperty(metadata, key, { enumerable: true, get })
  for (const key of Object.keys(lasting(info()))) define(key, () => lasting(info())[key as "node"])
  for (const key of ["mode", "running", "slots", "slots_free"] as const) define(key, () => load(info())[key])
  return metadata
}
