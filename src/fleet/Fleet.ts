/**
 * This node among others: it says that it is there and how it is with every heartbeat, lets its agents be told, and knows who
 * else is there. It begins when the node has, and ends before: a node that stops is not listed while its agents are ended.
 */
import { Clock, Context, Duration, Effect, Exit, Layer, Option, type Redacted, Scope, Stream } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import type { Fault } from "../domain/Fault.ts"
import { VERSION } from "../domain/Version.ts"
import { EventBus } from "../event/EventBus.ts"
import type { KeyInvalid } from "../message/MessageError.ts"
import type { RouterShape } from "../message/MessageRouter.ts"
import { type AgentStatus, MAX_WORDS, type NodeStatus } from "../message/Status.ts"
import { inModule } from "../observability/Log.ts"
import type { PeerState } from "../supervision/Peers.ts"
import { TaskLedger } from "../task/TaskLedger.ts"
import { Farewell } from "../transport/Farewell.ts"
import * as Commands from "./Commands.ts"
import { Edge } from "./Edge.ts"
import type { NodeNameTaken, RegistryUnusable } from "./FleetError.ts"
import { FleetHome } from "./FleetHome.ts"
import type { FleetSettings } from "./FleetSettings.ts"
import * as LateEvents from "./LateEvents.ts"
import { Lease, type LeaseShape } from "./Lease.ts"
import { type Listed, MAX_NAMED } from "./NodeRecord.ts"
import * as Registry from "./Registry.ts"
import * as Roster from "./Roster.ts"
import * as Speech from "./Speech.ts"
import { Steered } from "./Steered.ts"
import * as Telling from "./Telling.ts"

/** What a node is in a fleet. */
export interface Self {
  readonly node: string
  /** Before every subject. */
  readonly prefix: string | undefined
  readonly settings: FleetSettings
  readonly seed: Redacted.Redacted | undefined
}

/** Subscriptions that are made at a time. */
const AT_ONCE = 64

/** What has begun before the agents, and ends after them. */
export class FleetVoice extends Context.Service<
  FleetVoice,
  { readonly roster: Roster.Roster; readonly speech: Speech.Speech | undefined }
>()("mister-smith/fleet/FleetVoice") {
  static readonly layer = (
    self: Self
  ): Layer.Layer<FleetVoice, KeyInvalid, FleetHome | EventBus | TaskLedger | SecureRandom> =>
    Layer.effect(
      this,
      Effect.gen(function* () {
        const { events, wire } = yield* FleetHome
        const roster = Roster.make(self.node)
        if (wire === undefined) {
          yield* Effect.forkScoped(Stream.runForEach(events, (event) => Effect.sync(() => roster.note(event))))
          return { roster, speech: undefined }
        }
        const { node, prefix, seed, settings } = self
        const speech = yield* Speech.make(wire.transport, {
          source: `node:${node}`,
          prefix,
          signing: settings.signing,
          seed
        })
        const router = yield* speech.router([])
        const { subjects } = speech
        const edge = Option.getOrElse(yield* Effect.serviceOption(Edge), () => Edge.none)
        const late = yield* LateEvents.make(edge, yield* SecureRandom, yield* speech.surely, subjects)
        yield* Telling.tell(events, { node, roster, router, subjects, late, flush: wire.transport.flush })
        return { roster, speech }
      })
    )
}

export class Fleet extends Context.Service<
  Fleet,
  {
    /** What this node is called. */
    readonly node: string
    /** Who is there, this node among them. */
    readonly nodes: Effect.Effect<ReadonlyArray<Listed>, RegistryUnusable>
    /** Who leads, and what is to be done by one node only. */
    readonly lease: LeaseShape
  }
>()("mister-smith/fleet/Fleet") {
  static readonly layer = (self: Self) => Layer.effect(this, inModule("fleet")(make(self)))
}

const make = Effect.fnUntraced(function* ({ node, prefix, settings }: Self) {
  const bus = yield* EventBus
  const { registry, wire } = yield* FleetHome
  const { roster, speech } = yield* FleetVoice
  const lease = yield* Lease
  const farewell = yield* Farewell
  const steered = yield* Steered
  const edge = Option.getOrElse(yield* Effect.serviceOption(Edge), () => Edge.none)
  const ledger = yield* TaskLedger
  const random = yield* SecureRandom
  const life = yield* random.uuidV7()
  const startedAt = yield* Clock.currentTimeMillis
  const scope = yield* Effect.scope
  let beat = 0
  let draining = false
  /** The epoch in which this node leads others. */
  let leads: number | undefined

  const look = Effect.gen(function* () {
    draining = yield* steered.draining
    const agents = yield* steered.agents
    const known = yield* Effect.forEach(agents, (agent) =>
      steered.moves(agent.id).pipe(
        Effect.orElseSucceed(() => []),
        Effect.map((moves) => {
          const last = moves.at(-1)
          return { agent, since: last?.at ?? startedAt, reason: last?.reason }
        })
      )
    )
    roster.know(known)
    return agents
  })

  const statusNow = (agents: ReadonlyArray<AgentStatus>): NodeStatus => {
    const up = agents.filter(({ state }) => state !== "terminated")
    const anyType = up.some(({ taskTypes }) => taskTypes.length === 0)
    return {
      node,
      version: VERSION,
      mode: draining ? "draining" : edge.state().mode,
      startedAt,
      beat,
      everyMillis: Math.round(Duration.toMillis(settings.heartbeat)),
      agents: agents.length,
      slots: {
        total: up.length,
        free: draining || edge.state().mode === "no_new_work" ? 0 : up.filter(({ state }) => state === "idle").length
      },
      running: roster.running(),
      ...(leads === undefined ? {} : { leads }),
      taskTypes: anyType ? [] : distinct(up.flatMap(({ taskTypes }) => taskTypes)),
      capabilities: distinct(up.flatMap(({ capabilities }) => capabilities))
    }
  }

  // Others are told of a trouble once, and again when there has been none between.
  let trouble: string | undefined
  const troubled = (fault: RegistryUnusable | NodeNameTaken) =>
    Effect.suspend(() => {
      const same = trouble === fault.message
      trouble = fault.message
      return same
        ? Effect.void
        : bus.publish({ type: "fleet.trouble", kind: fault._tag, message: fault.message, hint: fault.hint })
    })

  const announce = Effect.suspend(() => {
    const agents = roster.all()
    return registry.announce({ life, status: statusNow(agents), agents: agents.slice(0, MAX_NAMED) })
  }).pipe(
    Effect.tap(() =>
      Effect.sync(() => {
        trouble = undefined
      })
    ),
    Effect.catch(troubled)
  )

  const speaking =
    wire === undefined || speech === undefined ? undefined : { wire, router: yield* commands(speech), speech }

  function commands({ router, subjects }: Speech.Speech) {
    const statusOf = (agent: string) => Effect.map(look, () => roster.status(agent))
    return Effect.flatMap(Commands.handler(steered, { subjects, statusOf }), (handler) =>
      router([handler, Commands.inbox(steered, subjects)])
    )
  }

  const ears = new Map<string, Scope.Closeable>()
  const listen = Effect.fnUntraced(function* (router: RouterShape, { subjects }: Speech.Speech, agent: string) {
    const own = yield* Scope.fork(scope)
    ears.set(agent, own)
    yield* Effect.forEach([subjects.commands(agent), subjects.inbox(agent)], (subject) =>
      Effect.flatMap(Effect.fromResult(subject), (subject) => router.listen(subject, { ordered: true }))
    ).pipe(
      Scope.provide(own),
      // Tried again at the next beat.
      Effect.catch((fault: Fault) => Effect.andThen(deafen(agent), Effect.logWarning(fault.message)))
    )
  })
  const deafen = (agent: string) =>
    Effect.suspend(() => {
      const own = ears.get(agent)
      ears.delete(agent)
      return own === undefined ? Effect.void : Scope.close(own, Exit.void)
    })

  /** Knows who its agents are, and hears what they are told. */
  const attend = Effect.gen(function* () {
    const agents = yield* look
    if (speaking !== undefined) {
      const { router, speech } = speaking
      const ids = new Set(agents.map(({ id }) => id))
      yield* Effect.forEach(
        [...ears.keys()].filter((id) => !ids.has(id)),
        deafen,
        { discard: true }
      )
      yield* Effect.forEach(
        [...ids].filter((id) => !ears.has(id)),
        (id) => listen(router, speech, id),
        { concurrency: AT_ONCE, discard: true }
      )
    }
  })

  const once = Effect.gen(function* () {
    beat++
    yield* attend
    if (speaking !== undefined) {
      const { router, speech, wire } = speaking
      const { control } = yield* wire.transport.snapshot
      // What is newest is true: nothing of this need wait for a link.
      if (control.state !== "up") return
      const { subjects } = speech
      const all = roster.all()
      yield* say(router, subjects.heartbeat(node), { type: "NodeStatus", body: statusNow(all) })
      for (const body of all) yield* say(router, subjects.status(body.agent), { type: "AgentStatus", body })
    }
    yield* announce
  })

  const say = (
    router: RouterShape,
    subject: ReturnType<Speech.Speech["subjects"]["status"]>,
    message: Parameters<RouterShape["publish"]>[1]
  ) =>
    Effect.flatMap(Effect.fromResult(subject), (subject) => router.publish(subject, message)).pipe(
      Effect.catch((fault: Fault) => Effect.logDebug(fault.message))
    )

  yield* Effect.addFinalizer(() => farewell.say(registry.leave(node, life)))
  const events = yield* bus.subscribe
  // Who is alone leads nobody.
  if (wire !== undefined)
    yield* Effect.forkScoped(
      Stream.runForEach(lease.changes, ({ epoch, leader, mine }) => {
        leads = mine ? epoch : undefined
        return epoch === 0 ? Effect.void : bus.publish({ type: "fleet.leader", leader, epoch, mine })
      })
    )
  // The subscriptions for commands are there when the Layer is.
  yield* attend
  if (speaking !== undefined) {
    const { speech, wire } = speaking
    const heartbeat = speech.subjects.heartbeat(node)
    yield* wire.serve(() => {
      const all = roster.all()
      const { capabilities, everyMillis, mode, running, slots, taskTypes } = statusNow(all)
      return {
        node,
        life,
        everyMillis,
        startedAt,
        prefix,
        agents: all.map(({ agent }) => agent),
        taskTypes,
        capabilities,
        mode,
        running,
        slots,
        heartbeat: heartbeat._tag === "Success" ? heartbeat.success : ""
      }
    })
  }
  // A beat at its time, and when there is something new to be told of.
  const reasons = events.pipe(
    Stream.filter(
      (event) =>
        event.type === "reload.done" ||
        event.type === "fleet.leader" ||
        (event.type === "transport.status" && event.is === "up" && event.lane === "control")
    ),
    Stream.as(undefined)
  )
  yield* Stream.tick(settings.heartbeat).pipe(
    Stream.merge(reasons),
    Stream.runForEach(() => once),
    Effect.tapCause((cause) => Effect.logError("this node tells no more that it is there, please report it", cause)),
    Effect.forkScoped
  )
  const standing = (name: string) => ledger.here?.others?.standing(name)
  const ping = speaking === undefined ? undefined : speaking.wire.ping({ prefix, ask: asking(speaking) })
  const list = ping === undefined ? registry.list : Registry.orElse(registry.list, ping)
  return { node, nodes: Effect.map(list, (all) => all.map((listed) => judged(listed, standing))), lease }
})

const judged = (listed: Listed, standing: (node: string) => PeerState | undefined): Listed => {
  const state = standing(listed.status.node)
  return state === "suspected" || state === "dead" ? { ...listed, standing: state } : listed
}

/** Each agent by its own word. */
const asking =
  ({ router, speech: { subjects } }: { readonly router: RouterShape; readonly speech: Speech.Speech }) =>
  (agent: string) =>
    Speech.statusOf(router, subjects, agent)

const distinct = (words: ReadonlyArray<string>): ReadonlyArray<string> => [...new Set(words)].slice(0, MAX_WORDS)
