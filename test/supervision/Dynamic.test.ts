import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Domains from "../../src/supervision/Domains.ts"
import * as DynamicSupervisor from "../../src/supervision/DynamicSupervisor.ts"
import * as PartitionedSupervisor from "../../src/supervision/PartitionedSupervisor.ts"
import * as RestartBudget from "../../src/supervision/RestartBudget.ts"
import * as StoppedStore from "../../src/supervision/StoppedStore.ts"
import * as Supervisor from "../../src/supervision/Supervisor.ts"
import { Notebook, spec, within } from "./Script.ts"

describe("a dynamic supervisor", () => {
  it.effect("takes children up to its cap, and one more when one has gone", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const supervisor = yield* DynamicSupervisor.start({ id: "pool", maxChildren: 2 })
      yield* supervisor.startChild(notes.child("a", { restart: "temporary" }))
      yield* supervisor.startChild(notes.child("b"))
      const full = yield* Effect.flip(supervisor.startChild(notes.child("c")))
      assert.strictEqual(full.message, 'supervisor "pool" has 2 children, and may not have more')
      notes.end("a")
      yield* supervisor.startChild(notes.child("c"))
      assert.deepStrictEqual(yield* supervisor.count, { children: 2, active: 2, workers: 2, supervisors: 0 })
    })
  )

  it.effect("stops all its children at once, not one after the other", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = (id: string) => notes.child(id, { releasing: () => Effect.sleep("2 seconds") })
      const { stop, supervisor } = yield* within(DynamicSupervisor.specOf({ id: "pool", maxChildren: 9 }))
      for (const id of ["a", "b", "c"]) yield* supervisor.startChild(slow(id))
      const stopping = yield* Effect.forkChild(stop)
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(stopping)
    })
  )
})

describe("a partitioned supervisor", () => {
  it.effect("sends a key always to the same partition, and a storm under one leaves the others alone", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const pool = yield* PartitionedSupervisor.start({
        id: "pool",
        partitions: 4,
        maxChildrenEach: 50,
        maxRestarts: 1
      })
      const ids = Array.from({ length: 100 }, (_, n) => `job-${n}`)
      for (const id of ids) yield* pool.startChild(id, notes.child(id))
      const counts = yield* pool.counts
      assert.strictEqual(counts.length, 4)
      assert.isTrue(counts.every((count) => count > 10))
      assert.strictEqual(yield* pool.of("job-7"), yield* pool.of("job-7"))
      const storm = ids.filter((id) => PartitionedSupervisor.partitionOf(id, 4) === 0).slice(0, 2)
      for (const id of storm) notes.end(id)
      assert.deepStrictEqual(
        yield* pool.counts,
        counts.map((count, n) => (n === 0 ? 0 : count))
      )
      yield* pool.startChild(storm[0] ?? "", notes.child("new"))
    })
  )
})

describe("domains", () => {
  it.effect("are made on demand, once, each with its own cap", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const domains = yield* Domains.start({ id: "node", maxChildren: 2, caps: { research: 1 }, maxDomains: 2 })
      yield* Effect.all(
        ["a", "b"].map((id) => domains.startChild("code", notes.child(id))),
        { concurrency: "unbounded" }
      )
      yield* domains.startChild("research", notes.child("r"))
      assert.deepStrictEqual(yield* domains.domains, ["code", "research"])
      const full = yield* Effect.flip(domains.startChild("research", notes.child("s")))
      assert.strictEqual(full.message, 'supervisor "node/research" has 1 children, and may not have more')
      assert.strictEqual((yield* Effect.flip(domains.of("analysis")))._tag, "SupervisorFull")
    })
  )
})

describe("a restart budget of the node", () => {
  it.effect("ends the whole tree when all supervisors together restart too often", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const inner = (id: string) => Supervisor.child(spec([notes.child(`${id}-child`)], { id, maxRestarts: 5 }))
      const budget = RestartBudget.make(3, "60 seconds")
      const { supervisor } = yield* within(spec([inner("x"), inner("y")], { maxRestarts: 5, budget }))
      for (const id of ["x", "y", "x"]) notes.end(`${id}-child`)
      assert.isTrue(notes.isRunning("x-child") && notes.isRunning("y-child"))
      notes.end("y-child")
      const error = yield* Effect.flip(supervisor.ended)
      assert.strictEqual(error.why, "budget")
      assert.include(error.message, "more than 3 restarts within 1 minute are not allowed to the whole node")
      assert.isFalse(notes.isRunning("x-child"))
    })
  )
})

describe("a deliberate stop", () => {
  it.effect("stays a stop when the supervisor comes back, until the child is restarted", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const stopped = StoppedStore.memory()
      const tree = () =>
        spec([Supervisor.child(spec([notes.child("a"), notes.child("b")], { id: "inner" }))], { stopped })
      let inner: Supervisor.Supervisor | undefined
      const keep = (supervisor: Supervisor.Supervisor) => {
        inner = supervisor
      }
      const life = () =>
        within(spec([Supervisor.child(spec([notes.child("a"), notes.child("b")], { id: "inner" }), keep)], { stopped }))
      const first = yield* life()
      yield* inner?.terminateChild("a") ?? Effect.void
      yield* first.stop
      notes.take()
      const second = yield* within(tree())
      assert.deepStrictEqual(notes.take(), ["+b", "b!"])
      yield* second.stop
      const third = yield* life()
      yield* inner?.restartChild("a") ?? Effect.void
      yield* third.stop
      notes.take()
      yield* within(tree())
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b", "b!"])
    })
  )
})
