/**
 * Who is there, as each node says itself: asked as the stock tools ask, by INFO of the micro-service, and each agent by a
 * `status` command. For servers that have no list of nodes, because they have no JetStream. Who does not answer in time is not there.
 */
import { Clock, Effect, Option, Schema } from "effect"
import { type NatsConnection, RequestStrategy, type ServiceInfo } from "nats"
import type { AgentStatus } from "../message/Status.ts"
import type { TransportClosed } from "../transport/TransportError.ts"
import { RegistryUnusable } from "./FleetError.ts"
import { Listed, MAX_NAMED } from "./NodeRecord.ts"
import { NAME } from "./NodeService.ts"
import { byName } from "./Registry.ts"

/** How long nodes may take to answer; it ends earlier when they have. */
const PATIENCE = 2_000
/** Nodes that are listed: whoever may answer could answer for ever. */
const MAX_NODES = 10_000
/** Agents that are asked at a time. */
const AT_ONCE = 32

export interface Options {
  readonly prefix: string | undefined
  /** How an agent is; undefined where it does not say. */
  ask(agent: string): Effect.Effect<AgentStatus | undefined>
}

const decode = Schema.decodeUnknownOption(Listed)

const wordsIn = (text: string | undefined): ReadonlyArray<string> =>
  text === undefined || text === "" ? [] : text.split(",").filter((word) => word !== "…")

/** Undefined for what is no node of ours, or one of another prefix. */
const nodeOf = ({ metadata = {}, version }: ServiceInfo, prefix: string | undefined, now: number) => {
  const number = (key: string) => Number(metadata[key] ?? Number.NaN)
  if (metadata["prefix"] !== prefix) return undefined
  const agents = wordsIn(metadata["agents"])
  const listed = decode({
    life: metadata["life"],
    seenAt: now,
    agents: [],
    status: {
      node: metadata["node"],
      version,
      mode: metadata["mode"],
      startedAt: Date.parse(metadata["started_at"] ?? ""),
      beat: 0,
      everyMillis: number("every_millis"),
      agents: agents.length,
      slots: { total: number("slots"), free: number("slots_free") },
      running: number("running"),
      taskTypes: wordsIn(metadata["task_types"]),
      capabilities: wordsIn(metadata["capabilities"])
    }
  })
  return Option.isNone(listed) ? undefined : { listed: listed.value, agents }
}

export const list = (
  connection: Effect.Effect<NatsConnection, TransportClosed>,
  { ask, prefix }: Options
): Effect.Effect<ReadonlyArray<Listed>, RegistryUnusable> =>
  Effect.gen(function* () {
    const client = yield* connection
    const answers = yield* Effect.tryPromise(async () => {
      const answers: Array<ServiceInfo> = []
      const found = await client.services
        .client({ strategy: RequestStrategy.JitterTimer, maxWait: PATIENCE })
        .info(NAME)
      for await (const info of found) if (answers.push(info) >= MAX_NODES) break
      return answers
    })
    const now = yield* Clock.currentTimeMillis
    const nodes = answers.flatMap((info) => nodeOf(info, prefix, now) ?? [])
    const all = yield* Effect.forEach(nodes, ({ agents, listed }) =>
      Effect.map(
        Effect.forEach(agents.slice(0, MAX_NAMED), ask, { concurrency: AT_ONCE }),
        // Another node may have an agent of the same name, and be the one that answered.
        (statuses) => ({
          ...listed,
          agents: statuses.flatMap((one) => (one?.node === listed.status.node ? [one] : []))
        })
      )
    )
    return byName(all)
  }).pipe(
    Effect.mapError((cause) => new RegistryUnusable({ reason: cause instanceof Error ? cause.message : String(cause) }))
  )
