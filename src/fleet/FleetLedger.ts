/**
 * Which ledger a node works on: its own file, or the one that it shares with its fleet. The only place where this is decided.
 *
 * Promises: a node whose servers are not there yet waits for them, says so, and can be stopped meanwhile; what no waiting
 * cures (permissions, a stream that is set up otherwise) fails the start. The client of NATS is loaded by those only who need it.
 */
import { join } from "node:path"
import { Duration, Effect, Exit, Layer, Scope } from "effect"
import type { SecureRandom } from "effect/crypto/SecureRandom"
import { EventBus } from "../event/EventBus.ts"
import * as Subject from "../message/Subject.ts"
import { peersOf } from "../task/FailureSettings.ts"
import type { Kept } from "../task/LedgerStore.ts"
import * as SqliteLedger from "../task/SqliteLedger.ts"
import type { LedgerUnusable } from "../task/TaskError.ts"
import { TaskLedger } from "../task/TaskLedger.ts"
import type { Self } from "./Fleet.ts"
import { FleetHome } from "./FleetHome.ts"
import { tokenOf } from "./FleetSettings.ts"

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
/** A start that waits so long for its servers says so. */
const SILENCE = Duration.seconds(2)
/** Before the servers are asked again. */
const AGAIN = Duration.seconds(1)

/** The bucket in which the tasks of a fleet stand, by its prefix. No two prefixes have the same. */
export const ledgerBucketOf = (prefix?: string): string => `mister-smith-tasks${tokenOf(prefix)}`

export const layer = (options: FleetLedgerOptions) => (options.shared ? shared(options) : own(options))

const own = ({ bounds, dataDir, kept, self }: FleetLedgerOptions) =>
  Layer.effect(
    TaskLedger,
    Effect.map(TaskLedger, (ledger) => ({
      ...ledger,
      here: { node: self.node, shared: false, lastNode: () => undefined }
    }))
  ).pipe(Layer.provide(SqliteLedger.layer(join(dataDir, SqliteLedger.FILE), { kept, bounds })))

const shared = ({ bounds, kept, self }: FleetLedgerOptions) =>
  Layer.effect(
    TaskLedger,
    Effect.gen(function* () {
      const { wire } = yield* FleetHome
      const bus = yield* EventBus
      const { node, prefix, settings } = self
      if (wire?.connections === undefined) return yield* Effect.die("a node without servers shares no ledger")
      const { connections } = wire
      const outsiders = yield* Effect.orDie(Effect.fromResult(Subject.make(prefix)))
      const ledger = yield* Effect.promise(() => import("../task/JetStreamLedger.ts")).pipe(
        Effect.map(({ layer }) =>
          layer({
            node,
            bucket: ledgerBucketOf(prefix),
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
            outsiders
          }).pipe(Layer.provide(connections))
        )
      )
      const waits = (detail: string) =>
        bus.publish({
          type: "fleet.trouble",
          kind: "LedgerAwaited",
          message: `this node begins when it has the ledger of its fleet: ${detail}`,
          hint: "it is tried until it is there; `fleet.ledger` own is for a node that keeps its tasks for itself"
        })
      /** Told once. */
      let told = false
      const tell = (detail: string) =>
        Effect.suspend(() => {
          if (told) return Effect.void
          told = true
          return waits(detail)
        })
      const built: Effect.Effect<TaskLedger["Service"], LedgerUnusable, Scope.Scope | EventBus | SecureRandom> =
        Effect.catchTag(attempt(ledger), "LedgerUnusable", (error) =>
          error.recovery === "retry"
            ? tell(error.message).pipe(Effect.andThen(Effect.sleep(AGAIN)), Effect.andThen(Effect.suspend(() => built)))
            : Effect.fail(error)
        )
      const late = Effect.andThen(Effect.sleep(SILENCE), tell("no server has answered yet"))
      return yield* Effect.raceFirst(built, Effect.andThen(late, Effect.never))
    })
  )

/** One try, of which nothing is left when it fails. */
const attempt = <E, R>(ledger: Layer.Layer<TaskLedger, E, R>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const context = yield* Effect.onExit(Layer.buildWithScope(ledger, scope), (exit) =>
      Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit)
    )
    return yield* Effect.provideContext(TaskLedger, context)
  })
