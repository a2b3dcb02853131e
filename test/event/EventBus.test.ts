import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { CAPACITY, EventBus } from "../../src/event/EventBus.ts"

const event = (n: number) => ({ type: "claude.untested", version: String(n), tested: [] }) as const

it.effect("delivers events in order to every subscriber", () =>
  Effect.gen(function* () {
    const bus = yield* EventBus
    const streams = yield* Effect.all([bus.subscribe, bus.subscribe])
    for (const n of [1, 2, 3]) yield* bus.publish(event(n))
    for (const stream of streams) {
      const got = yield* Stream.runCollect(Stream.take(stream, 3))
      assert.deepStrictEqual(
        got.map(({ seq }) => seq),
        [1, 2, 3]
      )
    }
  }).pipe(Effect.scoped, Effect.provide(EventBus.layer))
)

it.effect(
  "tells a subscriber that was too slow how many events it has missed, and never makes the publisher wait",
  () =>
    Effect.gen(function* () {
      const bus = yield* EventBus
      const stream = yield* bus.subscribe
      for (let n = 1; n <= CAPACITY + 10; n++) yield* bus.publish(event(n))
      const got = yield* Stream.runCollect(Stream.take(stream, 2))
      assert.deepStrictEqual(
        got.map((each) => (each.type === "events.gap" ? { missed: each.missed } : each.seq)),
        [{ missed: 10 }, 11]
      )
    }).pipe(Effect.scoped, Effect.provide(EventBus.layer))
)

it.effect("does not report as missed what was published before the subscription", () =>
  Effect.gen(function* () {
    const bus = yield* EventBus
    yield* bus.publish(event(1))
    const stream = yield* bus.subscribe
    const first = yield* Effect.forkChild(Stream.runHead(stream))
    yield* bus.publish(event(2))
    const got = yield* Fiber.join(first)
    assert.strictEqual(got._tag === "Some" && got.value.type, "claude.untested")
  }).pipe(Effect.scoped, Effect.provide(EventBus.layer))
)
