import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { MAX_OPEN } from "../../src/task/Accepting.ts"
import * as Ledger from "../../src/task/Ledger.ts"
import { MemoryStore } from "../../src/task/MemoryStore.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { tempDir } from "../utils/Binary.ts"
import { task } from "../utils/Specs.ts"
import { conformance } from "./conformance.ts"
import { around, done, failed, memory, sqlite, sqliteIn } from "./Homes.ts"

conformance("in memory", memory)
conformance("in a file", sqlite)

const kept = { tasks: 3, text: 100, dead: 2 }
const bounded = {
  "in memory": () =>
    Layer.effect(
      TaskLedger,
      Ledger.make(() => new MemoryStore(), kept)
    ).pipe(Layer.provide(around)),
  "in a file": (dir: string) => sqliteIn(dir, { kept })
}
for (const [name, home] of Object.entries(bounded)) {
  it.effect(
    `keeps so many ended tasks and so much of their results ${name}, the latest; never forgets an open one`,
    () =>
      Effect.gen(function* () {
        using dir = tempDir()
        yield* Effect.gen(function* () {
          const ledger = yield* TaskLedger
          const finish = Effect.fnUntraced(function* (id: string, text: string) {
            yield* ledger.submit(task({ id, prompt: "p".repeat(5_000) }))
            yield* ledger.claim(id, "a")
            yield* ledger.complete(id, 1, done(id, { text }))
          })
          const known = Effect.map(ledger.list(), (records) => records.map(({ id }) => id).reverse())
          yield* ledger.submit(task({ id: "open" }))
          for (const id of ["a", "b", "c", "d"]) yield* finish(id, "x")
          assert.deepStrictEqual(yield* known, ["open", "b", "c", "d"])
          yield* finish("e", "y".repeat(99))
          assert.deepStrictEqual(yield* known, ["open", "d", "e"])
          yield* finish("f", "z".repeat(1_000))
          assert.deepStrictEqual(yield* known, ["open", "f"])
          assert.strictEqual((yield* ledger.result("f")).text.length, 1_000)
          assert.strictEqual((yield* Effect.flip(ledger.get("e")))._tag, "TaskUnknown")
          // Forgotten is forgotten: it is a new task.
          assert.strictEqual((yield* ledger.submit(task({ id: "e", prompt: "other" }))).state, "queued")
        }).pipe(Effect.provide(home(dir.path)))
      })
  )
}

for (const [name, home] of Object.entries(bounded)) {
  it.effect(
    `keeps so many dead letters ${name}, whatever else ends, and forgets one that was dropped in its turn`,
    () =>
      Effect.gen(function* () {
        using dir = tempDir()
        yield* Effect.gen(function* () {
          const ledger = yield* TaskLedger
          const finish = Effect.fnUntraced(function* (id: string, dead = false) {
            yield* TestClock.adjust(1)
            yield* ledger.submit(task({ id }))
            const { attempt } = yield* ledger.claim(id, "a")
            yield* dead ? ledger.giveUp(id, attempt, failed(id)) : ledger.complete(id, attempt, done(id))
          })
          const known = Effect.map(ledger.list(), (records) => records.map(({ id }) => id).reverse())
          for (const id of ["d1", "d2"]) yield* finish(id, true)
          for (const id of ["a", "b", "c", "d", "e"]) yield* finish(id)
          assert.deepStrictEqual(yield* known, ["d1", "d2", "c", "d", "e"])
          yield* finish("d3", true)
          assert.deepStrictEqual(yield* known, ["d2", "c", "d", "e", "d3"])
          yield* TestClock.adjust(1)
          yield* ledger.drop("d2")
          for (const id of ["f", "g"]) yield* finish(id)
          assert.deepStrictEqual(yield* known, ["d2", "d3", "f", "g"])
          yield* finish("h")
          assert.deepStrictEqual(yield* known, ["d3", "f", "g", "h"])
          yield* ledger.replay("d3")
          for (const id of ["i", "j", "k"]) yield* finish(id)
          assert.deepStrictEqual(yield* known, ["d3", "i", "j", "k"])
        }).pipe(Effect.provide(home(dir.path)))
      })
  )
}

for (const [name, home] of Object.entries({ "in memory": memory, "in a file": sqlite })) {
  it.effect(`holds ${MAX_OPEN} open tasks ${name}, not one more, and another when one has ended`, () =>
    Effect.gen(function* () {
      const ledger = yield* TaskLedger
      const many = (from: number, to: number) =>
        Array.from({ length: to - from }, (_, n) => task({ id: `t${from + n}`, prompt: "p" }))
      for (let from = 0; from < MAX_OPEN; from += 10_000) yield* ledger.submitAll(many(from, from + 10_000))
      assert.strictEqual((yield* Effect.flip(ledger.submit(task({ id: "more" }))))._tag, "LedgerFull")
      assert.strictEqual((yield* ledger.submit(task({ id: "t5", prompt: "p" }))).id, "t5")
      yield* ledger.claim("t7", "a")
      yield* ledger.complete("t7", 1, done("t7"))
      const two = yield* Effect.flip(ledger.submitAll([task({ id: "more" }), task({ id: "most" })]))
      assert.strictEqual(two._tag, "LedgerFull")
      yield* ledger.submit(task({ id: "more" }))
      assert.strictEqual((yield* Effect.flip(ledger.submit(task({ id: "most" }))))._tag, "LedgerFull")
    }).pipe(Effect.provide(home))
  )
}
