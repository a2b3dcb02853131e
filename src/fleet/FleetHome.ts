/**
 * Where a node meets the others: in this process, where it is alone, or at the servers. Whichever it is, the list of nodes is
 * there; what is said over subjects needs servers.
 */
import { Context, Effect, Layer, type Scope, type Stream } from "effect"
import type { Published } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"
import type { NatsConnections } from "../transport/NatsTransport.ts"
import type { TransportShape } from "../transport/Transport.ts"
import type { TransportSettings } from "../transport/TransportSettings.ts"
import type { RegistryUnusable } from "./FleetError.ts"
import type { FleetSettings } from "./FleetSettings.ts"
import type { Listed } from "./NodeRecord.ts"
import type { NodeInfo } from "./NodeService.ts"
import type * as Pinged from "./Pinged.ts"
import * as Registry from "./Registry.ts"

export interface FleetHomeShape {
  readonly registry: Registry.RegistryShape
  /** Where others are to be reached. */
  readonly wire:
    | {
        readonly transport: TransportShape
        /** The client's own connections, for the ledger. */
        readonly connections?: Layer.Layer<NatsConnections>
        /** Answers the stock tools of NATS, until the Scope closes. Waits for a server. */
        serve(info: () => NodeInfo): Effect.Effect<void, never, Scope.Scope>
        /** Who is there by their own word, where the list cannot be used. */
        ping(options: Pinged.Options): Effect.Effect<ReadonlyArray<Listed>, RegistryUnusable>
      }
    | undefined
  /** All that happens on this node, for one reader. */
  readonly events: Stream.Stream<Published>
}

export class FleetHome extends Context.Service<FleetHome, FleetHomeShape>()("mister-smith/fleet/FleetHome") {
  static readonly layer = (transport: TransportSettings, fleet: FleetSettings, node: string) =>
    Layer.effect(
      this,
      Effect.gen(function* () {
        const events = yield* (yield* EventBus).subscribe
        if (transport.kind === "memory")
          return { registry: Registry.memory(Registry.room(), fleet.expire), wire: undefined, events }
        // The client of NATS is loaded by those who need it only.
        const { make } = yield* Effect.promise(() => import("./NatsHome.ts"))
        return { ...(yield* make(transport, fleet, node)), events }
      })
    )
}
