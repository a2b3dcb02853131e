/**
 * A node at the edge as a process that can be killed at any point, in the directory that it is given; its fleet is another
 * file there, which outlives it. It works on tasks of the fleet, is cut off, ends them, accepts and performs tasks of its
 * own, and is reached again. What is done already it does not do once more. `performed` in the directory lists what it did.
 */
import { appendFileSync } from "node:fs"
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import * as EdgeLedger from "../../src/task/EdgeLedger.ts"
import * as Outbox from "../../src/task/Outbox.ts"
import * as SqliteLedger from "../../src/task/SqliteLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { task } from "../utils/Specs.ts"
import { CutLink } from "./CutLink.ts"
import { around, done, failed, fault } from "./Homes.ts"

const [dir = ""] = process.argv.slice(2)

const ledgerIn = (file: string) =>
  Effect.map(Layer.build(Layer.fresh(SqliteLedger.layer(join(dir, file)))), (context) =>
    Context.get(context, TaskLedger)
  )

const life = Effect.gen(function* () {
  const link = new CutLink(true)
  const fleet = link.fleet(yield* ledgerIn("fleet.db"), { has: () => false })
  const local = yield* ledgerIn("cutoff.db")
  const outbox = yield* Outbox.open(join(dir, Outbox.FILE), { fleet: "one", events: 10 })
  const { ledger, mode, waiting } = yield* EdgeLedger.make({
    local,
    outbox,
    link,
    open: Effect.succeed(fleet),
    whenCutOff: "storeAndForward",
    tasks: 100
  })
  const until = (holds: () => boolean) =>
    Effect.gen(function* () {
      while (!holds()) yield* Effect.sleep(5)
    })
  const begin = (ids: ReadonlyArray<string>) =>
    Effect.filter(ids, (id) =>
      Effect.flatMap(ledger.get(id), ({ state }) =>
        state === "queued" ? Effect.as(ledger.claim(id, "agent"), true) : Effect.succeed(false)
      )
    )
  const perform = (id: string) => Effect.sync(() => appendFileSync(join(dir, "performed"), `${id}\n`))

  const theirs = ["done", "dead", "parked"]
  yield* ledger.submitAll(theirs.map((id) => task({ id })))
  const begun = yield* begin(theirs)
  yield* link.cut
  yield* until(() => mode() !== "full")
  for (const id of begun) {
    const { attempt, usage } = yield* ledger.get(id)
    yield* perform(id)
    if (id === "done") yield* ledger.complete(id, attempt, done(id, { text: "of the fleet" }))
    else if (id === "dead") yield* ledger.giveUp(id, attempt, failed(id))
    else yield* ledger.park(id, attempt, { until: 4e12, fault, usage })
  }
  const own = ["own", "own-too", "fresh", "later"]
  yield* ledger.submitAll(
    own.map((id) => ({ ...task({ id }), ...(id === "later" ? { notBefore: "2099-01-01T00:00:00Z" } : {}) }))
  )
  for (const id of yield* begin(["own", "own-too"])) {
    const { attempt } = yield* ledger.get(id)
    yield* perform(id)
    yield* ledger.complete(id, attempt, done(id, { text: "by itself" }))
  }
  yield* link.mend
  yield* until(() => mode() === "full" && waiting().reports + waiting().tasks === 0)
})

await Effect.runPromise(Effect.provide(Effect.scoped(life), around))
