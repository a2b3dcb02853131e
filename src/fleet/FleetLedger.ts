/**
 * Which ledger a node works on: its own file, or the one that it shares with its fleet. The only place where this is decided.
 *
 * Promises: a node whose servers are not there yet waits for them, says so, and can be stopped meanwhile, unless it may work
 * without them (`fleet.edge`); what no waiting
 * cures (permissions, a stream that is set up otherwise) fails the start. The client of NATS is loaded by those only who need it.
 */
import { hostname } from "node:os"
import { join, resolve } from "node:path"
import { Context, Duration, Effect, Exit, Layer, Scope } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import { EventBus } from "../event/EventBus.ts"
import * as Subject from "../message/Subject.ts"
import { StateStore } from "../state/StateStore.ts"
import * as EdgeLedger from "../task/EdgeLedger.ts"
import { peersOf } from "../task/FailureSettings.ts"
import { KEPT, type Kept } from "../task/LedgerStore.ts"
import * as Outbox from "../task/Outbox.ts"
import * as SqliteLedger from "../task/SqliteLedger.ts"
import { TaskLedger } from "../task/TaskLedger.ts"
import type { TaskFilter } from "../task/TaskRecord.ts"
import { Edge } from "./Edge.ts"
import * as EdgeLink from "./EdgeLink.ts"
import type { Self } from "./Fleet.ts"
import { FleetHome } from "./FleetHome.ts"
import { ledgerBucketOf } from "./FleetSettings.ts"

export interface FleetLedgerOptions {
  readonly self: Self
  readonly shared: boolean
  readonly dataDir: string
  /** How much is kept of what has ended. */
  readonly kept: Kept
  readonly bounds: { readonly interruptions: number }
}

/** Characters of results that a fleet keeps: each node has them all in memory. */
const SHARED_TEXT = 64 * 1024 * 1024
/** In the data directory: the tasks that a node accepts while it is cut off. */
const CUT_OFF = "cutoff.db"
/** How long the start of a node that could do without waits for its servers. */
const FIRST = Duration.seconds(2)
/** A start that waits so long for its servers says so. */
const SILENCE = Duration.seconds(2)
/** Before the servers are asked again. */
const AGAIN = Duration.seconds(1)

export const layer = (options: FleetLedgerOptions) => (options.shared ? shared(options) : own(options))

const own = ({ bounds, dataDir, kept, self }: FleetLedgerOptions) =>
  Layer.effect(
    TaskLedger,
    Effect.map(TaskLedger, (ledger) => ({
      ...ledger,
      // All that stands in it is of this node, which is written nowhere.
      list: ({ node, ...filter }: TaskFilter = {}) =>
        node === undefined || node === self.node ? ledger.list(filter) : Effect.succeed([]),
      here: { node: self.node, shared: false, lastNode: () => undefined }
    }))
  ).pipe(
    Layer.provide(SqliteLedger.layer(join(dataDir, SqliteLedger.FILE), { kept, bounds })),
    Layer.merge(Edge.layerNone)
  )

const shared = ({ bounds, dataDir, kept, self }: FleetLedgerOptions) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { wire } = yield* FleetHome
      const bus = yield* EventBus
      const { node, prefix, settings } = self
      if (wire?.connections === undefined) return yield* Effect.die("a node without servers shares no ledger")
      const { connections } = wire
      const { edge } = settings
      // Of one that does nothing by itself there is little to be told late.
      const keepsEvents = edge.whenCutOff === "storeAndForward" && edge.outbox.events > 0
      const around = yield* Effect.context<EventBus | SecureRandom>()
      const storesAndForwards = edge.whenCutOff === "storeAndForward"
      const home = yield* homeOf(dataDir)
      /** Where a server is there: what the start waits for. */
      let awaited = "its servers have not opened it yet"
      const awaitedFor = Effect.map(wire.transport.snapshot, ({ control, bulk }) => {
        const down = [control, bulk].find(({ state }) => state !== "up")
        if (down === undefined) return awaited
        return `no server of transport.servers takes the connection${down.why === undefined ? "" : ` (${down.why})`}`
      })
      const outsiders = yield* Effect.orDie(Effect.fromResult(Subject.make(prefix)))
      const link = yield* EdgeLink.make(wire.transport, storesAndForwards ? Effect.sleep(FIRST) : Effect.never)
      const { make } = yield* Effect.promise(() => import("../task/JetStreamLedger.ts"))
      const bucket = ledgerBucketOf(prefix)
      const fleets = attempt(
        make({
          node,
          home,
          waits: (who) => {
            awaited = `${who} has the name "${node}", and it is looked whether that one lives`
          },
          troubled: ({ message }) => {
            awaited = message
          },
          bucket,
          replicas: settings.replicas,
          ...(settings.ledgerSize === undefined ? {} : { maxBytes: settings.ledgerSize }),
          failure: peersOf(settings),
          // What a reload changes is read anew each time.
          kept: {
            get tasks() {
              return kept.tasks
            },
            get dead() {
              return kept.dead
            },
            text: Math.min(kept.text, SHARED_TEXT)
          },
          bounds,
          // Where nodes bid for tasks, no queue gives them out.
          ...(settings.placement === "auction"
            ? {}
            : {
                dispatch: {
                  grace: Duration.toMillis(settings.dispatch.grace),
                  ackWait: Duration.toMillis(settings.dispatch.ackWait)
                }
              }),
          linked: link.isUp,
          events: keepsEvents,
          outsiders
        }).pipe(Effect.provide(connections))
      )
      /** Told when it changes. */
      let told = ""
      const tell = (why: string) =>
        Effect.suspend(() => {
          if (told === why) return Effect.void
          told = why
          return bus.publish({
            type: "fleet.trouble",
            kind: "LedgerAwaited",
            message: `this node begins when it has the ledger of its fleet: ${why}`,
            hint: "it is tried until it is there; `fleet.ledger` own is for a node that keeps its tasks for itself, `fleet.edge` for one that is cut off at times"
          })
        })
      const built: typeof fleets = Effect.catchTag(fleets, "LedgerUnusable", (error) =>
        error.recovery === "retry"
          ? tell(error.message).pipe(Effect.andThen(Effect.sleep(AGAIN)), Effect.andThen(Effect.suspend(() => built)))
          : Effect.fail(error)
      )
      const late = Effect.andThen(Effect.sleep(SILENCE), Effect.flatMap(awaitedFor, tell))
      // Who may begin nothing without the fleet waits for it.
      const first = storesAndForwards ? undefined : yield* Effect.raceFirst(built, Effect.andThen(late, Effect.never))
      const local = Context.get(
        yield* Layer.build(
          SqliteLedger.layer(join(dataDir, CUT_OFF), {
            // What the fleet does not have yet is never forgotten.
            kept: { ...KEPT, tasks: edge.outbox.tasks + KEPT.tasks, dead: edge.outbox.tasks + KEPT.dead },
            bounds
          })
        ),
        TaskLedger
      )
      const outbox = yield* Outbox.open(join(dataDir, Outbox.FILE), {
        fleet: prefix === undefined ? bucket : `${bucket} (transport.prefix ${prefix})`,
        events: edge.outbox.events
      })
      yield* tellElsewhere(yield* outbox.elsewhere())
      const made = yield* EdgeLedger.make({
        node,
        local,
        outbox,
        link,
        open: first === undefined ? Effect.provideContext(fleets, around) : Effect.succeed(first),
        whenCutOff: edge.whenCutOff,
        tasks: edge.outbox.tasks
      })
      return Context.make(TaskLedger, made.ledger).pipe(
        Context.add(Edge, {
          state: () => {
            const why = made.why()
            const now = { mode: made.mode(), ...made.waiting(), events: outbox.counts().events }
            return why === undefined ? now : { ...now, why }
          },
          events: keepsEvents ? { outbox } : undefined
        })
      )
    })
  )

/** That this node has worked with another fleet, and something is still to be told there, a person must hear. */
const tellElsewhere = Effect.fnUntraced(function* (kept: ReadonlyArray<Outbox.KeptFor>) {
  const bus = yield* EventBus
  for (const { events, fleet, reports, tasks } of kept)
    yield* bus.publish({
      type: "fleet.trouble",
      kind: "OutboxOfOtherFleet",
      message: `the outbox of this node still holds what is for another fleet, ${fleet}: ${reports} ends of attempts, ${tasks} tasks on their way and ${events} events`,
      hint: "it is kept, and told to nobody else: start a node with this dataDir and that transport.prefix once; where that fleet is no more, and nothing waits for this one, remove outbox.db"
    })
})

/** Under which the mark of a data directory is kept in it. */
const HOME = ["node", "home"] as const

/** This data directory, and no other of the same path, also not on a machine of the same name. */
const homeOf = Effect.fnUntraced(function* (dataDir: string) {
  const store = yield* StateStore
  const random = yield* SecureRandom
  const known = yield* store.get(...HOME)
  const mark = known?.value ?? (yield* random.uuidV7())
  // One key that is short is never too much.
  if (known === undefined) yield* Effect.catchTag(store.put(...HOME, mark), "StateFull", Effect.die)
  return `${hostname()}:${resolve(dataDir)}#${mark}`
})

/** One try, of which nothing is left when it fails. */
const attempt = <A, E, R>(work: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Effect.scope)
    return yield* Effect.onExit(Scope.provide(work, scope), (exit) =>
      Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit)
    )
  })
