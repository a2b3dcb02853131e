import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Liveness from "../../src/agent/Liveness.ts"
import { ClaudeDecoder, type ClaudeEvent } from "../../src/claude/ClaudeEvent.ts"

/** As the decoder hands it over. */
const event = (line: unknown): ClaudeEvent => {
  const [event] = new ClaudeDecoder({ maxLine: 1 << 20 }).push(Buffer.from(`${JSON.stringify(line)}\n`))
  assert.isDefined(event)
  assert.notStrictEqual(event.kind, "misfit")
  return event
}
const says = (content: ReadonlyArray<unknown>) =>
  event({
    type: "assistant",
    parent_tool_use_id: null,
    request_id: null,
    message: { id: "m", model: "x", stop_reason: null, content }
  })
const text = says([{ type: "text", text: "…" }])
const uses = says([{ type: "tool_use", id: "t1", name: "Bash", input: {} }])
const used = event({
  type: "user",
  parent_tool_use_id: null,
  message: { role: "user", content: [{ type: "tool_result", tool_use_id: "t1", content: "done" }] }
})
const compacting = event({ type: "system", subtype: "status", status: "compacting" })

/** A turn that never ends, watched. */
const turn = Effect.gen(function* () {
  const liveness = yield* Liveness.make("worker", Duration.minutes(1))
  const fiber = yield* Effect.forkChild(Effect.flip(liveness.during(Effect.never)))
  const pass = (time: Duration.Input) => TestClock.adjust(time)
  yield* pass("1 second")
  return { ...liveness, pass, fiber, isOver: Effect.sync(() => fiber.pollUnsafe() !== undefined) }
})

describe("Liveness", () => {
  it.effect("calls a CLI stalled that says nothing for longer than it may", () =>
    Effect.gen(function* () {
      const { fiber, hear, isOver, pass } = yield* turn
      yield* hear(text)
      yield* pass("1 minute")
      assert.isFalse(yield* isOver)
      yield* pass("3 minutes")
      const fault = yield* Fiber.join(fiber)
      assert.strictEqual(fault._tag, "Stalled")
      assert.strictEqual(fault.recovery, "restart")
    })
  )

  it.effect("holds no silence against it while a tool runs, and does again when the tool is done", () =>
    Effect.gen(function* () {
      const { hear, isOver, pass } = yield* turn
      yield* hear(uses)
      yield* pass("3 hours")
      assert.isFalse(yield* isOver)
      yield* hear(used)
      yield* pass("5 minutes")
      assert.isTrue(yield* isOver)
    })
  )

  it.effect("holds no silence against it that it has announced, nor one in which it compacts", () =>
    Effect.gen(function* () {
      const { hear, isOver, pass } = yield* turn
      yield* hear(compacting)
      yield* pass("1 hour")
      assert.isFalse(yield* isOver)
      const retry = { attempt: 1, max_retries: 2, retry_delay_ms: 3_600_000, error_status: 529, error: "overloaded" }
      yield* hear(event({ type: "system", subtype: "api_retry", ...retry }))
      yield* pass("1 hour")
      assert.isFalse(yield* isOver)
      yield* pass("5 minutes")
      assert.isTrue(yield* isOver)
    })
  )

  it.effect("does not watch between two turns", () =>
    Effect.gen(function* () {
      const liveness = yield* Liveness.make("worker", Duration.minutes(1))
      yield* liveness.during(Effect.void)
      yield* TestClock.adjust("3 hours")
      assert.strictEqual(yield* liveness.during(Effect.succeed(7)), 7)
    })
  )
})
