/** Ledgers in buckets of real servers. Each node has connections of its own. */
import { Context, Effect, Layer, type Scope } from "effect"
import { connect } from "nats"
import * as JetStreamLedger from "../../src/task/JetStreamLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { NatsConnections } from "../../src/transport/NatsTransport.ts"
import { around } from "./Homes.ts"

/** The client's own, without what the transport adds: they are built on any clock. */
export const connections = (servers: string | ReadonlyArray<string>): Layer.Layer<NatsConnections> =>
  Layer.effect(
    NatsConnections,
    Effect.gen(function* () {
      const open: Effect.Effect<Awaited<ReturnType<typeof connect>>, never, Scope.Scope> = Effect.acquireRelease(
        Effect.promise(() =>
          connect({ servers: [...[servers].flat()], maxReconnectAttempts: -1, reconnectTimeWait: 50 })
        ),
        (connection) => Effect.promise(() => connection.close())
      )
      const control = yield* open
      const bulk = yield* open
      return NatsConnections.of({ control: Effect.succeed(control), bulk: Effect.succeed(bulk) })
    })
  )

/** Its attempts say nothing of nodes, as those of a ledger that one process has. That they name this node is seen here. */
const unnamed = (name: string) =>
  Layer.effect(
    TaskLedger,
    Effect.map(TaskLedger, (ledger) => ({
      ...ledger,
      history: (id: string) =>
        Effect.map(ledger.history(id), (attempts) =>
          attempts.map(({ node, ...attempt }) => {
            if (node !== name) throw new Error(`an attempt of ${id} is of the node ${node}`)
            return attempt
          })
        )
    }))
  )

export const node = (servers: string | ReadonlyArray<string>, options: JetStreamLedger.JetStreamLedgerOptions) =>
  unnamed(options.node).pipe(
    Layer.provide(JetStreamLedger.layer(options)),
    Layer.provide(connections(servers)),
    Layer.provideMerge(around)
  )

/** A ledger that can be ended as by SIGKILL: nothing of it is heard any more, and nothing is said good-bye to. */
export const mortal = (url: string | ReadonlyArray<string>, options: JetStreamLedger.JetStreamLedgerOptions) =>
  Effect.gen(function* () {
    const home = Layer.fresh(JetStreamLedger.layer(options)).pipe(
      Layer.provideMerge(connections(url)),
      Layer.provide(around)
    )
    const context = yield* Effect.orDie(Layer.build(home))
    const { bulk, control } = Context.get(context, NatsConnections)
    const die = Effect.orDie(
      Effect.flatMap(Effect.all([control, bulk]), (both) =>
        Effect.promise(() => Promise.all(both.map((connection) => connection.close())))
      )
    )
    return { ledger: Context.get(context, TaskLedger), die }
  })

let buckets = 0
/** A bucket that nobody has used. */
export const newBucket = () => `test-${process.pid}-${++buckets}`
