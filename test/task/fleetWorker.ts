/**
 * A process that is a node of a ledger in a bucket, for tests that halt it or kill it. `fleetWorker.ts URL BUCKET NODE LEASE`
 * claims every task that comes. One of type "late" it reports as done when it is told `report` on stdin, whatever has become
 * of it meanwhile; at any other it works until it hears that it holds it no longer. It writes a line for each.
 */
import { writeSync } from "node:fs"
import { createInterface } from "node:readline"
import { Context, Deferred, Effect, Layer, Stream } from "effect"
import { EventBus } from "../../src/event/EventBus.ts"
import * as JetStreamLedger from "../../src/task/JetStreamLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { around, done } from "./Homes.ts"
import { connections } from "./JetStreamHomes.ts"

const [url = "", bucket = "", node = "", lease = ""] = process.argv.slice(2)
const say = (...words: ReadonlyArray<string | number>) => Effect.sync(() => void writeSync(1, `${words.join(" ")}\n`))

const home = JetStreamLedger.layer({ node, bucket, lease: Number(lease) }).pipe(
  Layer.provide(connections(url)),
  Layer.provideMerge(around)
)

const program = Effect.gen(function* () {
  const context = yield* Layer.build(home)
  const ledger = Context.get(context, TaskLedger)
  const bus = Context.get(context, EventBus)
  const told = yield* Deferred.make<void>()
  createInterface({ input: process.stdin }).once("line", () => Deferred.doneUnsafe(told, Effect.void))
  const verdicts = Stream.runForEach(yield* bus.subscribe, (event) =>
    event.type === "fleet.dead" || event.type === "fleet.suspected" ? say(event.type, event.node) : Effect.void
  )
  const perform = (id: string, type: string, attempt: number) =>
    type === "late"
      ? Deferred.await(told).pipe(
          Effect.andThen(ledger.complete(id, attempt, done(id, { text: `by ${node}` }))),
          Effect.matchEffect({
            onFailure: (error) => say("refused", id, error._tag),
            onSuccess: () => say("completed", id)
          })
        )
      : Effect.andThen(ledger.released(id, attempt), say("released", id))
  const changes = yield* ledger.changes
  const look = Effect.gen(function* () {
    for (const { id, spec } of yield* ledger.heads()) {
      const { attempt } = yield* ledger.claim(id, node)
      yield* say("claimed", id, attempt)
      yield* Effect.forkChild(perform(id, spec.type, attempt))
    }
  }).pipe(Effect.catchTag("AttemptSuperseded", () => Effect.void))
  yield* Effect.forkChild(verdicts, { startImmediately: true })
  yield* say("ready", node)
  yield* Effect.andThen(
    look,
    Stream.runForEach(changes, () => look)
  )
})

await Effect.runPromise(Effect.scoped(program) as Effect.Effect<void, unknown>)
