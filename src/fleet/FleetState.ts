/**
 * What the nodes of a fleet share beside the ledger: who leads, and small states. The only place where it is decided where
 * they are kept. Neither is waited for: a node works without them, and each finds its servers when they are there.
 */
import { Effect, Layer } from "effect"
import { SharedState } from "../state/SharedState.ts"
import type { Self } from "./Fleet.ts"
import { FleetHome } from "./FleetHome.ts"
import { tokenOf } from "./FleetSettings.ts"
import { Lease } from "./Lease.ts"

/** The buckets of a fleet, by its prefix. No two prefixes have the same. */
export const leaseBucketOf = (prefix?: string): string => `mister-smith-lease${tokenOf(prefix)}`
export const stateBucketOf = (prefix?: string): string => `mister-smith-state${tokenOf(prefix)}`

/** A node alone leads; where nodes share no ledger, there is nothing to lead. */
export const layerLease = ({ node, prefix, settings }: Self, shared: boolean) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { wire } = yield* FleetHome
      if (wire?.connections === undefined) return Lease.layerMemory(node)
      if (!shared) return Lease.layerNone
      const { connections } = wire
      // The client of NATS is loaded by those who need it only.
      const { make } = yield* Effect.promise(() => import("./JetStreamLease.ts"))
      const { replicas, takeover } = settings
      return Layer.effect(Lease, make({ node, lease: takeover, bucket: leaseBucketOf(prefix), replicas })).pipe(
        Layer.provide(connections)
      )
    })
  )

export const layerState = ({ prefix, settings }: Self) =>
  Layer.effect(
    SharedState,
    Effect.gen(function* () {
      const { wire } = yield* FleetHome
      if (wire?.connections === undefined) return undefined
      const { make } = yield* Effect.promise(() => import("../state/JetStreamStateStore.ts"))
      const { NatsConnections } = yield* Effect.promise(() => import("../transport/NatsTransport.ts"))
      const connections = yield* Effect.provide(NatsConnections, wire.connections)
      return make(connections, { bucket: stateBucketOf(prefix), replicas: settings.replicas, patience: PATIENCE })
    })
  )

/** How long a state is written or read while no server answers, in milliseconds: who waits for it does so in the background. */
const PATIENCE = 10_000
