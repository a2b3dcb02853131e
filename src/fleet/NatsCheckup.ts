/**
 * What can be found out about the NATS servers of a node before it is there: whether each answers, JetStream, what it says of the streams, and what the
 * user may hear there. It makes nothing, publishes nothing but questions, and is gone when it has looked: whether a node
 * may publish what it must shows only when it does.
 */
import { Context, Duration, Effect, Layer, References } from "effect"
import { type JetStreamManager, type NatsConnection, NatsError } from "nats"
import { explain } from "../state/JetStreamMeaning.ts"
import * as Streams from "../state/JetStreamStreams.ts"
import * as NatsTransport from "../transport/NatsTransport.ts"
import { Transport } from "../transport/Transport.ts"
import type { TransportSettings } from "../transport/TransportSettings.ts"
import { bucketOf } from "./BucketRegistry.ts"
import { type FleetSettings, ledgerBucketOf, sharesLedger } from "./FleetSettings.ts"

export interface Finding {
  readonly name: string
  readonly verdict: "ok" | "warning" | "problem"
  readonly says: string
  /** What an operator can do. */
  readonly hint?: string
}

/** What a node is given of its config. */
export interface Examined {
  readonly transport: TransportSettings
  readonly fleet: Pick<FleetSettings, "ledger" | "ledgerSize" | "replicas">
}

/** How long a server may take. */
const PATIENCE = Duration.seconds(5)
/** Of one question to JetStream, in milliseconds. */
const QUESTION = 3_000
/** Servers that are tried one by one. */
const MAX_SERVERS = 16
/** What is kept beside a task is written in pieces of 512 KiB, and some of it as text. */
const PAYLOAD = 1024 * 1024

const finding = (name: string, verdict: Finding["verdict"], says: string, hint?: string): Finding => ({
  name,
  verdict,
  says,
  ...(hint === undefined ? {} : { hint })
})

/** Nothing where the node is alone. */
export const servers = Effect.fn("NatsCheckup.servers")(function* (config: Examined) {
  if (config.transport.kind !== "nats") return []
  const { transport } = config
  const named = transport.servers.slice(0, MAX_SERVERS)
  const each = yield* Effect.forEach(named, (server) => answers({ ...transport, servers: [server] }), {
    concurrency: "unbounded"
  })
  const up = each.filter((answer) => answer.up)
  const found = each.map(({ hint, says, up: isUp }, at) =>
    finding(named[at] ?? "", isUp ? "ok" : up.length > 0 ? "warning" : "problem", says, hint)
  )
  return up.length === 0 ? found : [...found, ...(yield* offers(config))]
})

/** A connection as the node has one, until the Scope closes; undefined where there is none in time. */
const linked = (settings: TransportSettings) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(NatsTransport.layer(settings, { name: "doctor", logs: false })).pipe(
      Effect.provideService(References.MinimumLogLevel, "None")
    )
    const { ready, snapshot } = Context.get(context, Transport)
    const { control } = Context.get(context, NatsTransport.NatsConnections)
    const refused = yield* ready.pipe(
      Effect.as(undefined),
      Effect.timeoutOrElse({ duration: PATIENCE, orElse: () => Effect.fail(undefined) }),
      Effect.catch((fault) => Effect.succeed({ fault }))
    )
    return { refused: refused?.fault, late: refused !== undefined, control, links: yield* snapshot }
  })

interface Answer {
  readonly up: boolean
  readonly says: string
  readonly hint?: string | undefined
}

const answers = (settings: TransportSettings): Effect.Effect<Answer> =>
  Effect.gen(function* () {
    const { late, links, refused } = yield* linked(settings)
    const { version, why } = links.control
    if (!late) return { up: true, says: `it takes the connection; nats-server ${version ?? "of an unknown version"}` }
    if (refused !== undefined) return { up: false, says: refused.message, hint: refused.hint }
    return {
      up: false,
      says: `it does not answer${why === undefined ? "" : `: ${why}`}`,
      hint: "see that it runs, that its address and port are these, and what stands between"
    }
  }).pipe(Effect.scoped)

/** What the first that answers has to offer. */
const offers = (config: Examined) =>
  Effect.gen(function* () {
    const { control, late } = yield* linked(config.transport)
    if (late) return []
    const client = yield* control
    return [
      ...payload(client.info?.max_payload),
      ...(yield* Effect.promise(() => hears(client, config))),
      ...(yield* Effect.promise(() => streams(client, config)))
    ]
  }).pipe(
    Effect.scoped,
    Effect.catchTag("TransportClosed", () => Effect.succeed([]))
  )

const payload = (most = PAYLOAD): ReadonlyArray<Finding> =>
  most >= PAYLOAD
    ? []
    : [
        finding(
          "max_payload",
          "warning",
          `a message may have ${most} bytes: longer prompts and results are refused`,
          "raise max_payload of the servers to 1 MiB, which is their default"
        )
      ]

/** What a node subscribes to. */
const HEARD = ["agents.*.commands", "agents.*.inbox", "tasks.*.bid"]
const SERVED = ["$SRV.PING"]

/** Which of it the user may not hear: the server says so before it answers what is asked afterwards. */
const hears = async (client: NatsConnection, { transport }: Examined): Promise<ReadonlyArray<Finding>> => {
  const before = transport.prefix === undefined ? "" : `${transport.prefix}.`
  const denied: Array<string> = []
  const subjects = [...HEARD.map((subject) => `${before}${subject}`), ...SERVED, `${transport.inboxPrefix}.doctor`]
  const all = subjects.map((subject) =>
    client.subscribe(subject, { callback: (error) => void (error !== null && denied.push(subject)) })
  )
  try {
    await client.flush()
    // What it does not allow stands before the answer; the client passes it on a moment later.
    await client.flush()
  } finally {
    for (const subscription of all) subscription.unsubscribe()
  }
  return denied.length === 0
    ? [finding("permissions", "ok", "all that a node subscribes to may be heard; publishing is not tried")]
    : [
        finding(
          "permissions",
          "problem",
          `this user may not subscribe to ${denied.join(", ")}`,
          "give it what docs/nats.md lists under Permissions"
        )
      ]
}

const streams = async (client: NatsConnection, { fleet, transport }: Examined): Promise<ReadonlyArray<Finding>> => {
  const shared = sharesLedger(transport.kind, fleet)
  const without = shared ? "problem" : "warning"
  const name = ledgerBucketOf(transport.prefix)
  try {
    const jsm = await client.jetstreamManager({ checkAPI: false, timeout: QUESTION })
    const { limits, storage } = await jsm.getAccountInfo()
    const most = limits.max_storage < 0 ? "as much as the server has" : sizeOf(limits.max_storage)
    const there = finding("JetStream", "ok", `it is there; ${sizeOf(storage)} are used of ${most}`)
    if (!shared) return [there]
    const { ledgerSize: maxBytes = -1, replicas } = fleet
    const wanted = [Streams.bucket({ name, replicas, maxBytes })]
    if (replicas > 1) wanted.push(Streams.fences({ name, replicas }))
    const found: Array<Finding> = [there]
    if (replicas > 1 && client.info?.cluster === undefined)
      found.push(
        finding(
          "cluster",
          "problem",
          `fleet.replicas is ${replicas}, and this server is in no cluster: the ledger cannot be made`,
          "set fleet.replicas to 1, or join the servers to a cluster"
        )
      )
    found.push(...announced(client, replicas))
    const missing = await deleted(jsm, name, bucketOf(transport.prefix))
    if (missing !== undefined) return [...found, missing]
    for (const each of wanted) found.push(await compared(jsm, each))
    return found
  } catch (error) {
    const { detail } = explain(`in the bucket ${name}`, error)
    return [
      finding(
        "JetStream",
        without,
        `it cannot be used: ${detail}`,
        shared
          ? "start the servers with JetStream, and give the user $JS.API.>; or set fleet.ledger to own, for a node that keeps its tasks for itself"
          : "without it nodes are found by PING only"
      )
    ]
  }
}

/** The ledger is not there, and nodes are: no node that runs makes it again. */
const deleted = async (jsm: JetStreamManager, ledger: string, nodes: string): Promise<Finding | undefined> => {
  const isThere = (bucket: string) =>
    jsm.streams.info(`KV_${bucket}`).then(
      ({ state }) => state.messages,
      (error: unknown) => {
        if (error instanceof NatsError && error.api_error?.code === 404) return undefined
        throw error
      }
    )
  if ((await isThere(ledger)) !== undefined || !((await isThere(nodes)) ?? 0)) return undefined
  return finding(
    `stream KV_${ledger}`,
    "problem",
    "it is not there, but nodes of this fleet are, or were a moment ago: it was deleted while they worked on it, unless all of them keep their tasks for themselves",
    'restore a backup, or start one node anew, which makes it: docs/nats.md says under "A ledger that was deleted" what comes back'
  )
}

/** A server of a cluster says where its others are. It may count one for several, and be told not to say it. */
const announced = ({ info }: NatsConnection, replicas: number): ReadonlyArray<Finding> => {
  const servers = new Set(info?.connect_urls ?? []).size
  if (replicas === 1 || info?.cluster === undefined || servers === 0 || servers >= replicas) return []
  return [
    finding(
      "replicas",
      "warning",
      `fleet.replicas is ${replicas}, and the cluster has announced ${servers} ${servers === 1 ? "server" : "servers"}: streams cannot be made on more than there are`,
      "join more servers to the cluster, or set fleet.replicas lower"
    )
  ]
}

const compared = async (jsm: JetStreamManager, wanted: Streams.Wanted): Promise<Finding> => {
  const name = `stream ${wanted.name}`
  try {
    const { config, state } = await jsm.streams.info(wanted.name)
    const differing = Streams.differences(wanted, config as Partial<Record<keyof Streams.Wanted, unknown>>)
    if (differing.length > 0)
      return finding(
        name,
        "problem",
        `it is set up otherwise than this config says: ${differing.join("; ")}`,
        "the node will not start so: change fleet.replicas or fleet.ledgerSize here, or the stream with `nats stream edit`"
      )
    return finding(
      name,
      "ok",
      `${state.messages} keys, ${sizeOf(state.bytes)}, on ${config.num_replicas} of the servers`
    )
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.code === 404)
      return finding(name, "ok", "it is made by the first node")
    const { detail } = explain(wanted.name, error)
    return finding(
      name,
      "problem",
      `it cannot be looked at: ${detail}`,
      "docs/nats.md lists what its user must be allowed"
    )
  }
}

const MIB = 1024 ** 2
const sizeOf = (bytes: number) => `${(bytes / MIB).toFixed(1)} MiB`
