import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { TestClock } from "effect/testing"
import type { TaskResult } from "../../src/domain/Task.ts"
import { noUsage } from "../../src/domain/Task.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { task } from "../utils/Specs.ts"

const memory = TaskLedger.layerMemory.pipe(Layer.provide(EventBus.layer), Layer.provide(SecureRandom.layerWebCrypto))
const fault = { kind: "RateLimited", message: "wait", severity: "medium", recovery: "retry" } as const
const done = (id: string, attempts: number): TaskResult => ({
  task: id,
  status: "succeeded",
  text: "done",
  output: undefined,
  fault: undefined,
  agent: "a",
  session: undefined,
  attempts,
  denied: [],
  usage: noUsage,
  tookMillis: 1
})

describe("TaskLedger", () => {
  it.effect("takes a task once: the same id with the same content is answered with the first", () =>
    Effect.gen(function* () {
      const ledger = yield* TaskLedger
      const first = yield* ledger.submit(task({ id: "t" }))
      yield* ledger.claim("t", "a")
      const again = yield* ledger.submit(task({ id: "t" }))
      assert.strictEqual(again.submittedAt, first.submittedAt)
      assert.strictEqual(again.state, "running")
      const error = yield* Effect.flip(ledger.submit(task({ id: "t", prompt: "something else" })))
      assert.strictEqual(error._tag, "TaskConflict")
    }).pipe(Effect.provide(memory))
  )

  it.effect("gives a task without an id one of its own", () =>
    Effect.gen(function* () {
      const ledger = yield* TaskLedger
      const [a, b] = yield* Effect.all([ledger.submit(task()), ledger.submit(task())])
      assert.notStrictEqual(a.id, b.id)
    }).pipe(Effect.provide(memory))
  )

  it.effect("refuses what a superseded attempt reports", () =>
    Effect.gen(function* () {
      const ledger = yield* TaskLedger
      yield* ledger.submit(task({ id: "t" }))
      yield* ledger.claim("t", "a")
      yield* ledger.park("t", 1, { until: 0, fault, usage: noUsage })
      yield* TestClock.adjust(1)
      yield* ledger.claim("t", "b")
      const late = yield* Effect.flip(ledger.complete("t", 1, done("t", 1)))
      assert.strictEqual(late._tag, "AttemptSuperseded")
      yield* ledger.complete("t", 2, done("t", 2))
      const twice = yield* Effect.flip(ledger.complete("t", 2, done("t", 2)))
      assert.strictEqual(twice._tag, "AttemptSuperseded")
      assert.strictEqual((yield* ledger.result("t")).attempts, 2)
    }).pipe(Effect.provide(memory))
  )

  it.effect("queues a parked task again when it is due, not before", () =>
    Effect.gen(function* () {
      const ledger = yield* TaskLedger
      yield* ledger.submit(task({ id: "t" }))
      yield* ledger.claim("t", "a")
      yield* ledger.park("t", 1, { until: 1000, fault, usage: noUsage })
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(yield* ledger.queued, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(
        (yield* ledger.queued).map(({ id }) => id),
        ["t"]
      )
    }).pipe(Effect.provide(memory))
  )

  it.effect("claims a task for one agent only", () =>
    Effect.gen(function* () {
      const ledger = yield* TaskLedger
      yield* ledger.submit(task({ id: "t" }))
      yield* ledger.claim("t", "a")
      const second = yield* Effect.flip(ledger.claim("t", "b"))
      assert.strictEqual(second._tag, "AttemptSuperseded")
      assert.strictEqual((yield* ledger.get("t")).agent, "a")
    }).pipe(Effect.provide(memory))
  )

  it.effect("answers everyone who waits for a result, also later", () =>
    Effect.gen(function* () {
      const ledger = yield* TaskLedger
      yield* ledger.submit(task({ id: "t" }))
      const waiting = yield* Effect.forkChild(ledger.result("t"))
      yield* ledger.claim("t", "a")
      yield* ledger.complete("t", 1, done("t", 1))
      assert.strictEqual((yield* Fiber.join(waiting)).text, "done")
      assert.strictEqual((yield* ledger.result("t")).text, "done")
      assert.strictEqual((yield* Effect.flip(ledger.result("other")))._tag, "TaskUnknown")
    }).pipe(Effect.provide(memory))
  )
})
