import { openSync, readFileSync, statSync, truncateSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import { noUsage } from "../../src/domain/Task.ts"
import { open } from "../../src/state/Database.ts"
import { FILE } from "../../src/task/SqliteLedger.ts"
import { APPLICATION_ID, MIGRATIONS } from "../../src/task/SqliteRows.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { directory, readOnly, small } from "../state/Mounts.ts"
import { tempDir } from "../utils/Binary.ts"
import { task } from "../utils/Specs.ts"
import { done, fault, sqliteIn } from "./Homes.ts"

/** One life of a ledger in this directory. */
const life = <A, E>(dir: string, body: (ledger: TaskLedger["Service"]) => Effect.Effect<A, E>) =>
  Effect.provide(Effect.flatMap(TaskLedger, body), Layer.fresh(sqliteIn(dir)))

const refusal = (dir: string) =>
  Effect.flip(life(dir, () => Effect.void)).pipe(
    Effect.map((error) => ({
      tag: error._tag,
      problem: error.problem,
      recovery: error.recovery,
      severity: error.severity,
      hint: error.hint,
      message: error.message
    }))
  )

describe("the ledger's file", () => {
  it.effect("brings everything into the next life: states, attempts, dates, results, the order of the queue", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const { path } = dir
      const seen = (ledger: TaskLedger["Service"]) =>
        Effect.gen(function* () {
          const records = yield* ledger.list()
          const histories = yield* Effect.forEach(records, ({ id }) => ledger.history(id))
          return { records, histories, heads: yield* ledger.heads() }
        })
      const before = yield* life(path, (ledger) =>
        Effect.gen(function* () {
          for (const id of ["first", "second", "parked", "running", "done", "cancelled"])
            yield* ledger.submit(task({ id, type: id === "second" ? "first" : id }))
          for (const id of ["parked", "running", "done"]) yield* ledger.claim(id, "a")
          yield* ledger.park("parked", 1, { until: 1e12, fault, usage: { ...noUsage, costUsd: 0.1 } })
          yield* ledger.complete("done", 1, done("done", { output: { n: 1 } }))
          yield* ledger.cancel("cancelled", "why")
          return yield* seen(ledger)
        })
      )
      assert.deepEqual(yield* life(path, seen), before)
      assert.strictEqual(statSync(join(path, FILE)).mode & 0o077, 0)
    })
  )

  it.effect("ends in the next life what has run out of its time while nobody was there", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      yield* life(dir.path, (ledger) =>
        Effect.gen(function* () {
          yield* ledger.submitAll([
            { ...task({ id: "queue" }), timeouts: { queue: "1 hour" } },
            { ...task({ id: "whole" }), timeouts: { whole: "1 hour" } },
            { ...task({ id: "later" }), timeouts: { whole: "1 day" } }
          ])
          yield* ledger.claim("whole", "a")
        })
      )
      yield* TestClock.adjust("2 hours")
      yield* life(dir.path, (ledger) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* ledger.result("queue")).fault?.kind, "NotBegunInTime")
          assert.strictEqual((yield* ledger.result("whole")).fault?.kind, "TaskOverdue")
          assert.strictEqual((yield* ledger.get("later")).state, "queued")
        })
      )
    })
  )

  it.effect("takes a series over with its next occurrence, also where its first is forgotten", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const given = { ...task({ id: "often" }), schedule: "* * * * *" }
      const kept = { tasks: 2, dead: 2, text: 1_000 }
      const home = Layer.fresh(sqliteIn(dir.path, { kept }))
      const perform = (ledger: TaskLedger["Service"]) =>
        Effect.gen(function* () {
          yield* TestClock.adjust("1 minute")
          const [head] = yield* ledger.heads()
          const id = head?.id ?? ""
          yield* ledger.complete(id, (yield* ledger.claim(id, "a")).attempt, done(id))
          return id
        })
      const first = yield* Effect.provide(
        Effect.flatMap(TaskLedger, (ledger) =>
          Effect.gen(function* () {
            yield* ledger.submit(given)
            const ids: Array<string> = []
            for (let n = 0; n < 4; n++) ids.push(yield* perform(ledger))
            assert.strictEqual((yield* Effect.flip(ledger.get("often")))._tag, "TaskUnknown")
            return ids
          })
        ),
        home
      )
      assert.deepStrictEqual(first.slice(0, 2), ["often", "often@19700101T000200Z"])
      yield* TestClock.adjust("1 day")
      yield* Effect.provide(
        Effect.flatMap(TaskLedger, (ledger) =>
          Effect.gen(function* () {
            const [record] = yield* ledger.submitAll([given], { again: true })
            assert.strictEqual(record?.id, "often@19700101T000500Z")
            assert.strictEqual(yield* perform(ledger), record?.id)
            assert.lengthOf(yield* ledger.list({ states: ["parked", "queued"] }), 1)
          })
        ),
        home
      )
    })
  )

  it.effect("of the first version is brought up to date, with its queue in its order", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      yield* Effect.gen(function* () {
        const database = yield* open({
          file: join(dir.path, FILE),
          applicationId: APPLICATION_ID,
          migrations: MIGRATIONS.slice(0, 1)
        })
        for (const [id, state, fresh, place, at] of [
          ["third", "queued", 1, 4, 5],
          ["first", "queued", 0, 9, 0],
          ["second", "queued", 1, 3, 7],
          ["parked", "parked", 0, 2, 8]
        ] as const)
          database.run(
            `INSERT INTO tasks (id, type, wanted, state, fresh, place, attempt, before, submitted_at, due_at, prompt)
             VALUES (?, 'task', '', ?, ?, ?, ?, 0, ?, ?, 'do it')`,
            id,
            state,
            fresh,
            place,
            fresh === 0 ? 1 : 0,
            at,
            state === "parked" ? 1_000 : null
          )
      }).pipe(Effect.scoped)
      yield* life(dir.path, (ledger) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* ledger.submit(task({ id: "second" }))).state, "queued")
          yield* ledger.submit(task({ id: "fourth" }))
          yield* ledger.submit({ ...task({ id: "high" }), priority: 1 })
          yield* TestClock.adjust(1_000)
          const order: Array<string> = []
          for (let head = (yield* ledger.heads())[0]; head !== undefined; head = (yield* ledger.heads())[0]) {
            order.push(head.id)
            yield* ledger.claim(head.id, "a")
          }
          assert.deepStrictEqual(order, ["first", "parked", "high", "second", "third", "fourth"])
        })
      )
    })
  )

  it.effect("is refused where it is damaged, of a newer version, another's, or cannot be written", (context) =>
    Effect.gen(function* () {
      using dir = tempDir()
      const file = join(dir.path, FILE)
      writeFileSync(file, "garbage ".repeat(5_000))
      const damaged = yield* refusal(dir.path)
      assert.deepInclude(damaged, {
        tag: "LedgerUnusable",
        problem: "damaged",
        recovery: "escalate",
        severity: "critical"
      })
      assert.include(damaged.message, file)
      assert.include(damaged.hint, ".recover")
      truncateSync(file, 0)
      yield* Effect.scoped(open({ file, applicationId: APPLICATION_ID, migrations: Array(99).fill("SELECT 1") }))
      assert.strictEqual((yield* refusal(dir.path)).problem, "newer")
      const other = yield* directory
      yield* life(other.path, (ledger) => ledger.submit(task({ id: "t" })))
      const mounted = yield* readOnly(other.path)
      if ("skipped" in mounted) return context.skip(mounted.skipped)
      assert.deepInclude(yield* refusal(other.path), { problem: "readOnly", recovery: "escalate" })
    })
  )

  it.effect(
    "on a full disk refuses what is new, loses nothing accepted, and takes results when there is room",
    (context) =>
      Effect.gen(function* () {
        const disk = yield* small
        if ("skipped" in disk) return context.skip(disk.skipped)
        const scope = yield* Scope.make()
        const ledger = Context.get(yield* Layer.buildWithScope(sqliteIn(disk.path), scope), TaskLedger)
        yield* ledger.submit(task({ id: "running" }))
        yield* ledger.claim("running", "a")
        const accepted: Array<string> = []
        let refused: string | undefined
        for (let n = 0; refused === undefined; n++) {
          const id = `t${n}`
          const answer = yield* Effect.result(ledger.submit(task({ id, prompt: `${n} ${"x".repeat(5_000)}` })))
          if (Result.isSuccess(answer)) accepted.push(id)
          else refused = answer.failure._tag === "LedgerUnusable" ? answer.failure.problem : answer.failure._tag
        }
        assert.strictEqual(refused, "full")
        assert.isAbove(accepted.length, 10)
        // One that is smaller may still find room.
        const long = done("running", { text: "y".repeat(500_000) })
        const late = yield* Effect.flip(ledger.complete("running", 1, long))
        assert.deepInclude(
          { tag: late._tag, recovery: "recovery" in late ? late.recovery : undefined },
          { tag: "LedgerUnusable", recovery: "retry" }
        )
        assert.strictEqual((yield* ledger.get("running")).state, "running")
        assert.lengthOf(yield* ledger.list({ limit: 10_000 }), accepted.length + 1)
        disk.free()
        yield* ledger.complete("running", 1, long)
        yield* Scope.close(scope, Exit.void)
        yield* life(disk.path, (again) =>
          Effect.gen(function* () {
            assert.strictEqual((yield* again.result("running")).text.length, 500_000)
            for (const id of accepted) assert.strictEqual((yield* again.get(id)).state, "queued")
          })
        )
      })
  )

  it.effect("that is damaged while it is open is an error to who asks, and refused from then on", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      yield* life(dir.path, (ledger) =>
        Effect.gen(function* () {
          const prompt = (n: number) => `${n} `.repeat(3_000)
          yield* ledger.submitAll(Array.from({ length: 1_000 }, (_, n) => task({ id: `t${n}`, prompt: prompt(n) })))
          const file = openSync(join(dir.path, FILE), "r+")
          const pages = statSync(join(dir.path, FILE)).size / 4096
          assert.isAbove(pages, 1_000)
          for (let page = 100; page < pages - 100; page += 7)
            writeSync(file, Buffer.alloc(4096, 0xa5), 0, 4096, page * 4096)
          let damaged = 0
          for (let n = 0; n < 1_000; n++) {
            const answer = yield* Effect.result(ledger.get(`t${n}`))
            if (Result.isSuccess(answer)) assert.strictEqual(answer.success.id, `t${n}`)
            else if (answer.failure._tag === "LedgerUnusable") {
              assert.strictEqual(answer.failure.problem, "damaged")
              damaged++
            } else assert.fail(answer.failure.message)
          }
          assert.isAbove(damaged, 0)
        })
      )
      assert.strictEqual((yield* refusal(dir.path)).problem, "damaged")
      assert.isAbove(readFileSync(join(dir.path, FILE)).length, 0)
    })
  )
})
