/** What is kept for a fleet is for that one: a node that works with another one later keeps it, and a file of before is read. */
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { Published } from "../../src/event/Event.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import * as Database from "../../src/state/Database.ts"
import * as EdgeLedger from "../../src/task/EdgeLedger.ts"
import { MemoryStore } from "../../src/task/MemoryStore.ts"
import * as Outbox from "../../src/task/Outbox.ts"
import { APPLICATION_ID, MIGRATIONS } from "../../src/task/OutboxSchema.ts"
import * as SqliteLedger from "../../src/task/SqliteLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { tempDir } from "../utils/Binary.ts"
import { task } from "../utils/Specs.ts"
import { CutLink } from "./CutLink.ts"
import { memory, stateOf, test } from "./EdgeNode.ts"
import { around, done } from "./Homes.ts"

const directory = Effect.map(
  Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]())),
  ({ path }) => path
)
const openFor = (dir: string, fleet: string) => Outbox.open(join(dir, Outbox.FILE), { fleet, events: 3 })

/** A fleet that outlives the nodes that work with it. */
const fleetOf = Effect.fnUntraced(function* (name: string) {
  const store = new MemoryStore()
  return { name, store, ledger: yield* memory(store) }
})
type Fleet = Effect.Success<ReturnType<typeof fleetOf>>

/** One life of the node of this directory, with this fleet. */
const life = <A, E, R>(
  dir: string,
  { ledger: shared, name, store }: Fleet,
  live: (node: {
    readonly ledger: TaskLedger["Service"]
    readonly outbox: Outbox.Outbox
    readonly link: CutLink
    readonly becomes: (mode: string) => Effect.Effect<void>
  }) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const link = new CutLink(true)
    const outbox = yield* openFor(dir, name)
    const edge = yield* EdgeLedger.make({
      link,
      outbox,
      local: yield* TaskLedger,
      open: Effect.succeed(link.fleet(shared, store)),
      whenCutOff: "storeAndForward",
      tasks: 10
    })
    const becomes = Effect.fnUntraced(function* (mode: string) {
      while (edge.mode() !== mode) yield* TestClock.adjust("1 second")
    })
    return yield* live({ ledger: edge.ledger, outbox, link, becomes })
  }).pipe(Effect.provide(SqliteLedger.layer(join(dir, "cutoff.db"))), Effect.scoped)

describe("an outbox of several fleets", () => {
  test(
    "gives each what is kept for it, and keeps what is another's",
    Effect.gen(function* () {
      const dir = yield* directory
      const one = yield* fleetOf("one")
      const other = yield* fleetOf("other")
      const heard: Array<Published> = []
      const events = yield* (yield* EventBus).subscribe
      yield* Effect.forkScoped(Stream.runForEach(events, (event) => Effect.sync(() => void heard.push(event))))
      yield* life(dir, one, ({ becomes, ledger, link }) =>
        Effect.gen(function* () {
          yield* ledger.submit(task({ id: "t" }))
          yield* ledger.claim("t", "agent")
          yield* link.cut
          yield* becomes("store_and_forward")
          yield* ledger.complete("t", 1, done("t", { text: "ours" }))
        })
      )
      // The other fleet has one of the same id, which is none of it.
      yield* other.ledger.submit(task({ id: "t" }))
      yield* other.ledger.claim("t", "theirs", 3_600_000)
      yield* life(dir, other, ({ becomes, ledger, link, outbox }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* outbox.elsewhere(), [{ fleet: "one", reports: 1, tasks: 0, events: 0 }])
          assert.deepStrictEqual(outbox.counts(), { reports: 0, events: 0 })
          assert.strictEqual(yield* stateOf(ledger, "t"), "running")
          yield* link.cut
          yield* becomes("store_and_forward")
          yield* link.mend
          yield* becomes("full")
          assert.lengthOf(yield* outbox.elsewhere(), 1)
        })
      )
      assert.deepInclude(yield* other.ledger.get("t"), { state: "running", agent: "theirs" })
      assert.isEmpty(heard.filter(({ type }) => type === "outbox.refused"))
      yield* life(dir, one, ({ outbox }) => Effect.map(outbox.elsewhere(), (kept) => assert.isEmpty(kept)))
      assert.strictEqual((yield* one.ledger.result("t")).text, "ours")
    })
  )

  test(
    "hands no task to two of them, and does what had left for another one where it is asked for here",
    Effect.gen(function* () {
      const dir = yield* directory
      const one = yield* fleetOf("one")
      const other = yield* fleetOf("other")
      yield* life(dir, one, ({ becomes, ledger, link }) =>
        Effect.gen(function* () {
          yield* link.cut
          yield* becomes("store_and_forward")
          yield* ledger.submitAll([task({ id: "ended" }), task({ id: "left" }), task({ id: "leaves" })])
          yield* ledger.claim("ended", "agent")
          yield* ledger.complete("ended", 1, done("ended"))
          // The answer to the last of them is lost: whether that fleet has it is not known.
          yield* link.loseAnswer(3)
          yield* link.mend
          while (link.isUp()) yield* TestClock.adjust("1 second")
        })
      )
      yield* life(dir, other, ({ becomes, ledger, link, outbox }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* outbox.elsewhere(), [{ fleet: "one", reports: 0, tasks: 1, events: 0 }])
          assert.isEmpty(yield* other.ledger.list())
          yield* link.cut
          yield* becomes("store_and_forward")
          assert.strictEqual((yield* ledger.submit(task({ id: "left" }))).state, "queued")
          yield* link.mend
          yield* becomes("full")
          assert.deepStrictEqual(
            (yield* other.ledger.list()).map(({ id, state }) => `${id} ${state}`),
            ["left queued"]
          )
        })
      )
      yield* life(dir, one, ({ outbox }) =>
        Effect.gen(function* () {
          assert.isEmpty(yield* outbox.elsewhere())
          assert.isEmpty(yield* outbox.leaving())
        })
      )
      assert.lengthOf(yield* one.ledger.list(), 3)
    })
  )
})

it.effect("an outbox of before, which did not say for which fleet, is the present one's", () =>
  Effect.gen(function* () {
    const dir = yield* directory
    yield* Effect.scoped(
      Effect.gen(function* () {
        const database = yield* Database.open({
          file: join(dir, Outbox.FILE),
          applicationId: APPLICATION_ID,
          migrations: MIGRATIONS.slice(0, 1)
        })
        database.transact(true, () => {
          const report = JSON.stringify({ kind: "complete", result: done("t") })
          database.run("INSERT INTO reports (task, attempt, agent, report) VALUES ('t', 1, 'a', ?)", report)
          database.run("INSERT INTO leaving (task, record) VALUES ('l', ?)", JSON.stringify({ id: "l" }))
          database.run("INSERT INTO known (task, record) VALUES ('k', NULL)")
          database.run("INSERT INTO events (id, event) VALUES ('e', '{}')")
          database.run("INSERT INTO counts (name, n) VALUES ('lost', 7)")
        })
      })
    )
    const read = (fleet: string) =>
      Effect.gen(function* () {
        const outbox = yield* openFor(dir, fleet)
        return {
          counts: outbox.counts(),
          reports: (yield* outbox.reports(10)).map(({ task }) => task),
          leaving: (yield* outbox.leaving()).map(({ id }) => id),
          known: outbox.isKnown("k"),
          given: outbox.isGiven("k"),
          events: (yield* outbox.events(10)).map(({ id }) => id),
          lost: yield* outbox.lost(),
          elsewhere: yield* outbox.elsewhere()
        }
      }).pipe(Effect.scoped)
    const present = {
      counts: { reports: 1, events: 1 },
      reports: ["t"],
      leaving: ["l"],
      known: true,
      given: true,
      events: ["e"],
      lost: 7,
      elsewhere: []
    }
    assert.deepStrictEqual(yield* read("present"), present)
    assert.deepStrictEqual(yield* read("next"), {
      counts: { reports: 0, events: 0 },
      reports: [],
      leaving: [],
      known: false,
      given: true,
      events: [],
      lost: 0,
      elsewhere: [{ fleet: "present", reports: 1, tasks: 1, events: 1 }]
    })
    assert.deepStrictEqual(yield* read("present"), present)
  }).pipe(Effect.scoped, Effect.provide(around))
)
