/**
 * The ledger of a fleet for who is no node: reads all of it, submits and cancels with the fences that hold for nodes, and
 * waits for ends. It makes nothing at the servers, has no name there, takes no task, does not look after what is due and
 * forgets nothing: that is left to the nodes.
 */
import { Effect } from "effect"
import { JetStreamBucket } from "../state/JetStreamBucket.ts"
import type { NatsConnections } from "../transport/NatsTransport.ts"
import { JetStreamAnnouncing } from "./JetStreamAnnouncing.ts"
import { JetStreamStore } from "./JetStreamStore.ts"
import { explain } from "./JetStreamUnusable.ts"
import * as Ledger from "./Ledger.ts"
import type { Kept } from "./LedgerStore.ts"

const ALL: Kept = {
  tasks: Number.POSITIVE_INFINITY,
  dead: Number.POSITIVE_INFINITY,
  text: Number.POSITIVE_INFINITY
}

/** How long the end of a visit waits for what it has said of its tasks. */
const GOOD_BYE = "500 millis"

/** The ledger in this bucket, until the Scope closes. */
export const visit = Effect.fn("JetStreamVisit.visit")(function* (
  connections: NatsConnections["Service"],
  bucket: string
) {
  const [control, bulk] = yield* Effect.all([connections.control, connections.bulk])
  const opening = Effect.tryPromise({
    try: async () => JetStreamStore.visit(await JetStreamBucket.find({ control, bulk, name: bucket })),
    catch: (error) => explain(`in the bucket ${bucket}`, error)
  })
  const store = yield* Effect.acquireRelease(opening, (store) => Effect.sync(() => store.stop()))
  const announcing = yield* Effect.acquireRelease(
    Effect.sync(() => new JetStreamAnnouncing({ connection: bulk, bucket, linked: () => true, failed: () => {} })),
    (announcing) =>
      Effect.promise(() => announcing.flush()).pipe(
        Effect.timeoutOption(GOOD_BYE),
        Effect.andThen(Effect.sync(() => announcing.stop()))
      )
  )
  // The nodes wait for it less long.
  store.onWrite((entry, before) => announcing.wrote(entry, before))
  return yield* Ledger.make(() => store, ALL)
})
