/** What benches of the fleet's ledger share: a server, and the ledger as a node opens it, without the rest of a node. */
import { Context, Effect, Exit, Layer, Scope } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { connect } from "nats"
import { EventBus } from "../../src/event/EventBus.ts"
import { type JetStreamLedgerOptions, layer } from "../../src/task/JetStreamLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { NatsConnections } from "../../src/transport/NatsTransport.ts"
import { natsServer } from "../../test/utils/Nats.ts"
import { done } from "../../test/utils/Results.ts"

/** A nats-server with JetStream, until it is stopped. */
export const startServer = async () => {
  const scope = Scope.makeUnsafe()
  const server = await Effect.runPromise(Effect.provideService(natsServer({ jetstream: true }), Scope.Scope, scope))
  return { ...server, stop: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

export type Ledger = TaskLedger["Service"]

export interface Opened {
  readonly ledger: Ledger
  /** Its connections end, as those of a node that dies. */
  readonly die: Effect.Effect<void>
}

export const openLedger = (url: string, options: JetStreamLedgerOptions): Effect.Effect<Opened, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const client = Effect.acquireRelease(
      Effect.promise(() => connect({ servers: url })),
      (connection) => Effect.promise(() => connection.close())
    )
    const [control, bulk] = [yield* client, yield* client]
    const connections = NatsConnections.of({ control: Effect.succeed(control), bulk: Effect.succeed(bulk) })
    const home = layer(options).pipe(
      Layer.provide(Layer.succeed(NatsConnections, connections)),
      Layer.provide(Layer.mergeAll(EventBus.layer, SecureRandom.layerWebCrypto))
    )
    const ledger = Context.get(yield* Layer.build(Layer.fresh(home)), TaskLedger)
    return { ledger, die: Effect.promise(() => Promise.all([control.close(), bulk.close()])) }
  })

/** What an agent that takes no time does with a task that is queued. */
export const finish = (ledger: Ledger, id: string, text?: string) =>
  Effect.gen(function* () {
    const { attempt } = yield* ledger.claim(id, "agent")
    yield* ledger.complete(id, attempt, done(id, { agent: "agent", ...(text === undefined ? {} : { text }) }))
  })
