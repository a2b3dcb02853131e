/** A node's home at NATS servers: its links, told of as events, the list of nodes in a bucket, and the micro-service. */
import { Context, Effect, Layer, Stream } from "effect"
import { EventBus } from "../event/EventBus.ts"
import { inModule } from "../observability/Log.ts"
import * as NatsTransport from "../transport/NatsTransport.ts"
import { Transport } from "../transport/Transport.ts"
import type { TransportSettings } from "../transport/TransportSettings.ts"
import * as BucketRegistry from "./BucketRegistry.ts"
import { doubts } from "./FleetDoubts.ts"
import type { FleetSettings } from "./FleetSettings.ts"
import * as LinkEvents from "./LinkEvents.ts"
import * as NodeService from "./NodeService.ts"
import * as Pinged from "./Pinged.ts"

export const make = Effect.fnUntraced(function* (
  settings: TransportSettings,
  { expire, replicas }: Pick<FleetSettings, "expire" | "replicas">,
  node: string
) {
  const context = yield* Layer.build(NatsTransport.layer(settings, { name: node, logs: false }))
  const transport = Context.get(context, Transport)
  const { control } = Context.get(context, NatsTransport.NatsConnections)
  const bus = yield* EventBus
  const eventOf = LinkEvents.make()
  for (const doubt of doubts(settings, { replicas })) yield* inModule("fleet")(Effect.logWarning(doubt))
  const statuses = yield* transport.status
  for (const event of LinkEvents.atFirst(yield* transport.snapshot)) yield* bus.publish(event)
  yield* Effect.forkScoped(
    Stream.runForEach(statuses, (status) => {
      const event = eventOf(status)
      return event === undefined ? Effect.void : bus.publish(event)
    })
  )
  return {
    registry: BucketRegistry.make(control, {
      bucket: BucketRegistry.bucketOf(settings.prefix),
      made: { expire, replicas }
    }),
    wire: {
      transport,
      connections: Layer.succeed(NatsTransport.NatsConnections, Context.get(context, NatsTransport.NatsConnections)),
      serve: (info: () => NodeService.NodeInfo) => NodeService.serve(control, info),
      ping: (options: Pinged.Options) => Pinged.list(control, options)
    }
  }
})
