import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { CAPACITY, type From, History } from "../../src/admin/History.ts"
import { EventBus } from "../../src/event/EventBus.ts"

const layer = () => History.layer.pipe(Layer.provideMerge(EventBus.layer))

const publish = Effect.fnUntraced(function* (count: number) {
  const bus = yield* EventBus
  for (let n = 0; n < count; n++) {
    yield* bus.publish({ type: "runtime.started", name: "n", version: "1", agents: 1 })
    if (n % 1000 === 999) yield* settled
  }
  yield* settled
})

/** Lets the History hear what was published. */
const settled = Effect.forEach(Array(10), () => Effect.yieldNow, { discard: true })

const read = Effect.fnUntraced(function* (from: From) {
  const events = yield* Stream.runCollect(yield* (yield* History).read(from, false))
  return events.map((event) => (event.type === "events.gap" ? `gap ${event.missed}` : event.seq))
})

it.effect("gives what there is after a number, the latest so many, or nothing from the past", () =>
  Effect.gen(function* () {
    yield* publish(5)
    assert.deepStrictEqual(yield* read({ after: 0 }), [1, 2, 3, 4, 5])
    assert.deepStrictEqual(yield* read({ after: 3 }), [4, 5])
    assert.deepStrictEqual(yield* read({ last: 2 }), [4, 5])
    assert.deepStrictEqual(yield* read({ last: 99 }), [1, 2, 3, 4, 5])
    assert.deepStrictEqual(yield* read({ last: 0 }), [])
    assert.deepStrictEqual(yield* read({}), [])
    assert.deepStrictEqual(yield* read({ after: 5 }), [])
  }).pipe(Effect.provide(layer()))
)

it.effect("goes on with what happens, from the place it was asked at and not from where it was first read", () =>
  Effect.gen(function* () {
    yield* publish(3)
    const stream = yield* (yield* History).read({}, true)
    yield* publish(2)
    const reader = yield* Effect.forkChild(Stream.runCollect(Stream.take(stream, 4)))
    yield* settled
    yield* publish(2)
    const events = yield* Fiber.join(reader)
    assert.deepStrictEqual(
      events.map(({ seq }) => seq),
      [4, 5, 6, 7]
    )
  }).pipe(Effect.provide(layer()))
)

it.effect("is bounded, and says how many events it has let go", () =>
  Effect.gen(function* () {
    yield* publish(5 * CAPACITY)
    const [gap, first, ...rest] = yield* read({ after: 10 })
    assert.isAtLeast(rest.length + 1, CAPACITY)
    assert.isAtMost(rest.length + 1, 2 * CAPACITY)
    assert.strictEqual(gap, `gap ${Number(first) - 11}`)
    assert.strictEqual(rest.at(-1), 5 * CAPACITY)
  }).pipe(Effect.provide(layer()))
)

it.effect("tells a reader who was too slow, in its place, and goes on", () =>
  Effect.gen(function* () {
    const stream = yield* (yield* History).read({}, true)
    // Asked, and not read until the History has let go of what came first.
    yield* publish(3 * CAPACITY)
    const [gap, first] = yield* Stream.runCollect(Stream.take(stream, 2))
    assert.strictEqual(gap?.type, "events.gap")
    assert.strictEqual(gap?.type === "events.gap" ? gap.missed : 0, Number(first?.seq) - 1)
  }).pipe(Effect.provide(layer()))
)

it.effect("ends its readers when it ends", () =>
  Effect.gen(function* () {
    const stream = yield* Effect.scoped(
      Effect.flatMap(Layer.build(layer()), (context) =>
        Effect.flatMap(Effect.provideContext(History, context), (history) => history.read({ after: 0 }, true))
      )
    )
    assert.deepStrictEqual(yield* Stream.runCollect(stream), [])
  })
)
