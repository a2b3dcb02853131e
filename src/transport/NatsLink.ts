/**
 * One connection to the NATS servers, which lasts as long as its Scope whatever becomes of the servers. The client
 * reconnects by itself; here is what it leaves open: the first connection, who listens before there is one, and a typed
 * reason for each failure. What leaves is `NatsOutbox`'s business.
 */
import { Deferred, Duration, Effect, Latch, Random, Schedule, type Scope } from "effect"
import type { ConnectionOptions, NatsConnection, Status, Subscription } from "nats"
import { Farewell } from "./Farewell.ts"
import { NatsArrived } from "./NatsMessage.ts"
import * as NatsOrder from "./NatsOrder.ts"
import * as NatsOutbox from "./NatsOutbox.ts"
import * as NatsParser from "./NatsParser.ts"
import { refusal } from "./NatsRefusal.ts"
import * as NatsSecurity from "./NatsSecurity.ts"
import { NatsConnectionImpl, useSockets, type WithSocketEvents } from "./NatsSocket.ts"
import type { ReadSecret } from "./SecretSource.ts"
import {
  AuthenticationRefused,
  type LinkRefused,
  PermissionDenied,
  ServerLost,
  TlsFailed,
  TransportClosed
} from "./TransportError.ts"
import type { TransportSettings } from "./TransportSettings.ts"
import { hostOf, insistsOnTls, portOf } from "./TransportSettings.ts"
import type { Lane, LinkSnapshot } from "./TransportStatus.ts"
import type { Listener, Listening, Wire, WireEvents } from "./Wire.ts"

/** Questions "are you there" that may be open. */
const PINGS_OUT = 2
/** What was published is known to have arrived after at most this. */
const CONFIRM_EVERY = Duration.seconds(1)
/** How long what has left before a connection is changed may take to arrive. */
const ARRIVE = Duration.seconds(2)

export interface NatsLink extends Wire {
  /** The client's own, for what this port has not. The same for as long as the Scope. */
  readonly connection: Effect.Effect<NatsConnection, TransportClosed>
}

interface Ear {
  readonly subject: string
  readonly queue: string | undefined
  readonly listener: Listener
  subscription: Subscription | undefined
}

export const make = Effect.fnUntraced(function* (
  lane: Lane,
  name: string,
  settings: TransportSettings,
  read: ReadSecret,
  events: WireEvents
): Effect.fn.Return<NatsLink, never, Scope.Scope> {
  const random = yield* Random.Random
  const farewell = yield* Farewell
  const up = yield* Latch.make(false)
  const connected = yield* Deferred.make<NatsConnectionImpl, TransportClosed>()
  const firstServer = settings.servers[0] ?? "nats://127.0.0.1:4222"

  let state: LinkSnapshot["state"] = "connecting"
  let connection: NatsConnectionImpl | undefined
  let refused: LinkRefused | undefined
  let whenRefused = Deferred.makeUnsafe<never, LinkRefused>()
  let reason: string | undefined
  let tries = 0
  let reconnects = 0
  let breaks = 0
  let received = 0
  let denied = 0

  const order = settings.order === "listed" ? NatsOrder.make(settings) : undefined
  const outbox = NatsOutbox.make({
    lane,
    maxPending: settings.maxPending,
    dropped: (fault) => events.status({ type: "dropped", lane, fault })
  })
  const ears = new Set<Ear>()

  const server = () => connection?.getServer() || firstServer
  const isUp = () => state === "up" && connection?.protocol.connected === true

  const refuse = (fault: LinkRefused) => {
    const known = refused
    refused = fault
    if (known?._tag !== fault._tag || known.message !== fault.message) events.status({ type: "refused", lane, fault })
    // A secret that cannot be read now may have been read before, and do.
    if (fault._tag !== "SecretUnreadable") Deferred.doneUnsafe(whenRefused, Effect.fail(fault))
  }

  const security = NatsSecurity.make(settings, read, refuse)

  const wait = () => {
    const { first, longest } = settings.reconnect
    const most = Math.min(Duration.toMillis(longest), Duration.toMillis(first) * 2 ** Math.min(tries, MOST_DOUBLINGS))
    return Math.ceil(most * (0.5 + random.nextDoubleUnsafe() / 2))
  }

  const sockets: WithSocketEvents["socketEvents"] = {
    security,
    tlsFailed: (why: string) => refuse(new TlsFailed({ lane, reason: why })),
    failed: (why: string) => {
      reason = why
    }
  }

  const options: ConnectionOptions & WithSocketEvents = {
    socketEvents: sockets,
    servers: [...settings.servers],
    name: `${name} ${lane}`,
    // Said by `security`, anew for each connection: here only that there is to be TLS.
    ...(insistsOnTls(settings) ? { tls: {} } : {}),
    authenticator: security.authenticator,
    inboxPrefix: settings.inboxPrefix,
    timeout: Duration.toMillis(settings.connectTimeout),
    pingInterval: Duration.toMillis(settings.pingInterval),
    maxPingOut: PINGS_OUT,
    reconnect: true,
    noRandomize: order !== undefined,
    maxReconnectAttempts: -1,
    // Refused credentials may be replaced.
    ignoreAuthErrorAbort: true,
    reconnectDelayHandler: () => {
      useSockets()
      return wait()
    },
    // The system's own lookup knows its hosts file, and tries every address of a name.
    resolve: false,
    noAsyncTraces: true
  }

  const whenUp = (nc: NatsConnectionImpl) => {
    if (isUp() || state === "closed") return
    if (breaks > 0) reconnects++
    state = "up"
    tries = 0
    reason = undefined
    refused = undefined
    whenRefused = Deferred.makeUnsafe()
    events.status({ type: "up", lane, server: server(), version: nc.info?.version ?? "unknown" })
    NatsParser.hasten(nc.protocol.parser)
    outbox.opened(nc)
    order?.fromTheFirst(nc)
    up.openUnsafe()
  }

  const whenDown = () => {
    if (state !== "up") return
    state = "down"
    breaks++
    up.closeUnsafe()
    const fault = new ServerLost({ lane, server: server(), reason: reason ?? "the connection ended" })
    events.status({ type: "down", lane, fault, unconfirmed: outbox.broke() })
  }

  const whenDenied = (operation: "publish" | "subscribe", subject: string) => {
    denied++
    const fault = new PermissionDenied({ operation, subject })
    events.status({ type: "denied", lane, fault })
    if (operation === "publish") return events.publishDenied(fault)
    for (const ear of ears) if (ear.subject === subject) deafen(ear, fault)
  }

  const deafen = (ear: Ear, fault: PermissionDenied) => {
    if (!ears.delete(ear)) return
    ear.subscription?.unsubscribe()
    ear.listener.failed(fault)
  }

  const whenStatus = (nc: NatsConnectionImpl, { data, permissionContext, type }: Status) => {
    switch (type) {
      case "disconnect":
        whenDown()
        // A server that ends the connection while it is being made leaves the client waiting for its time-out.
        if (!nc.protocol.connected) nc.protocol.connectError?.(new Error(reason ?? "the server ended the connection"))
        return
      case "reconnecting":
        tries++
        return
      case "reconnect":
        return whenUp(nc)
      case "staleConnection":
        reason ??= "the server does not answer"
        return
      case "ldm":
        return events.status({ type: "leaving", lane, server: server() })
      case "error": {
        if (permissionContext !== undefined) {
          return whenDenied(
            permissionContext.operation === "publish" ? "publish" : "subscribe",
            permissionContext.subject
          )
        }
        const words = nc.protocol.lastError?.message ?? String(data)
        reason = words
        const why = refusal(words)
        if (why !== undefined) refuse(new AuthenticationRefused({ lane, why, reason: words }))
      }
    }
  }

  /** Of a message that arrived. Callbacks of the client: nothing may escape from here. */
  const hear = (ear: Ear, nc: NatsConnectionImpl) => {
    ear.subscription = nc.subscribe(ear.subject, {
      ...(ear.queue === undefined ? {} : { queue: ear.queue }),
      callback: (error, message) => {
        if (error !== null) {
          if (ears.has(ear)) deafen(ear, new PermissionDenied({ operation: "subscribe", subject: ear.subject }))
          return
        }
        received++
        ear.listener.message(new NatsArrived(message, events.answer))
      }
    })
  }

  const listen = (subject: string, queue: string | undefined, listener: Listener): Listening => {
    const ear: Ear = { subject, queue, listener, subscription: undefined }
    ears.add(ear)
    if (connection !== undefined && state !== "closed") hear(ear, connection)
    const stop = () => {
      if (ears.delete(ear) && state !== "closed") ear.subscription?.unsubscribe()
    }
    return {
      stop,
      drain: Effect.suspend(() => {
        const { subscription } = ear
        if (subscription === undefined || !isUp() || !ears.has(ear)) return Effect.sync(stop)
        return Effect.andThen(
          Effect.ignore(Effect.tryPromise(() => subscription.drain())),
          Effect.sync(() => void ears.delete(ear))
        )
      })
    }
  }

  const roundTrip = Effect.suspend(() => {
    const nc = connection
    return nc === undefined || !isUp() ? Effect.void : Effect.ignore(Effect.tryPromise(() => outbox.confirm(nc)))
  })

  /** The first connection. The client tries each server once; then it is our turn to wait. */
  const dial = Effect.tryPromise({
    try: (signal) => {
      useSockets()
      return NatsConnectionImpl.connect(options).then((made) => {
        const nc = made as NatsConnectionImpl
        if (signal.aborted) void nc.close()
        return nc
      })
    },
    catch: (error) => {
      tries++
      const words = error instanceof Error ? error.message : String(error)
      const why = refusal(`${words} ${error instanceof Error && "code" in error ? error.code : ""}`)
      reason = why === undefined ? (reason ?? words) : words
      if (why !== undefined) refuse(new AuthenticationRefused({ lane, why, reason: words }))
    }
  })

  const first = Effect.gen(function* () {
    while (connection === undefined) {
      const nc = yield* Effect.option(dial)
      if (nc._tag === "None") {
        yield* Effect.sleep(wait())
        continue
      }
      connection = nc.value
      remember(nc.value)
      void follow(nc.value)
      for (const ear of ears) hear(ear, nc.value)
      whenUp(nc.value)
      Deferred.doneUnsafe(connected, Effect.succeed(nc.value))
    }
  })

  /** Servers that were down at the first try are forgotten by the client, for ever. */
  const remember = ({ protocol: { servers } }: NatsConnectionImpl) => {
    const known = new Set(servers.getServers().map(({ hostname, port }) => `${hostname}:${port}`))
    for (const address of settings.servers) {
      if (!known.has(`${hostOf(address)}:${portOf(address)}`)) servers.addServer(address, false)
    }
  }

  /** The first that answers is taken, and left when an earlier one is back. */
  const goBack = ({ earlier }: NatsOrder.NatsOrder) =>
    Effect.gen(function* () {
      const found = yield* earlier(Effect.sync(() => (isUp() ? connection?.getServer() : undefined)))
      yield* Effect.timeoutOption(roundTrip, ARRIVE)
      const nc = connection
      if (nc === undefined || !isUp()) return
      reason = `${found}, which stands before it in the list, is back`
      yield* Effect.ignore(Effect.tryPromise(() => nc.reconnect()))
    })

  const follow = async (nc: NatsConnectionImpl) => {
    for await (const status of nc.status()) whenStatus(nc, status as Status)
  }

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      yield* farewell.say(roundTrip)
      state = "closed"
      ears.clear()
      outbox.close()
      Deferred.doneUnsafe(connected, Effect.fail(new TransportClosed()))
      up.openUnsafe()
      const nc = connection
      if (nc !== undefined) yield* farewell.say(Effect.tryPromise(() => nc.close()))
      events.status({ type: "closed", lane })
    })
  )
  events.status({ type: "connecting", lane })
  yield* Effect.forkScoped(first)
  if (order !== undefined) yield* Effect.forkScoped(Effect.forever(goBack(order)))
  yield* Effect.forkScoped(Effect.sync(outbox.confirmRest).pipe(Effect.repeat(Schedule.spaced(CONFIRM_EVERY))))

  const whenUpOrClosed: Effect.Effect<void, TransportClosed> = Effect.andThen(
    up.await,
    Effect.suspend(() => (state === "closed" ? Effect.fail(new TransportClosed()) : Effect.void))
  )
  return {
    lane,
    inboxPrefix: settings.inboxPrefix,
    connection: Deferred.await(connected) as Effect.Effect<NatsConnection, TransportClosed>,
    publish: outbox.publish,
    listen,
    isUp,
    up: whenUpOrClosed,
    roundTrip,
    breaks: () => breaks,
    down: () => ({ server: server(), reason: reason ?? refused?.message ?? "there is no connection yet" }),
    ready: Effect.suspend(() => Effect.raceFirst(whenUpOrClosed, Deferred.await(whenRefused))),
    reload: Effect.andThen(
      Effect.timeoutOption(roundTrip, ARRIVE),
      Effect.suspend(() => {
        const nc = connection
        if (nc === undefined || !isUp()) return Effect.void
        reason = "the settings were read again"
        return Effect.ignore(Effect.tryPromise(() => nc.reconnect()))
      })
    ),
    snapshot: () => ({
      state,
      server: connection?.getServer(),
      version: connection?.info?.version,
      maxPayload: connection?.info?.max_payload,
      reconnects,
      published: outbox.published(),
      received,
      denied,
      pendingBytes: outbox.pendingBytes(),
      refused,
      why: isUp() ? undefined : (refused?.message ?? reason)
    })
  }
})

/** Beyond that every wait is the longest. */
const MOST_DOUBLINGS = 20
