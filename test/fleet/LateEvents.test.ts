/** Events of a node that is cut off: kept within bounds, told late, in their order, each once it is acknowledged. */
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Result, Stream } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import { TestClock } from "effect/testing"
import type { Fault } from "../../src/domain/Fault.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import type { EdgeState } from "../../src/fleet/Edge.ts"
import { Unacknowledged } from "../../src/fleet/FleetError.ts"
import * as LateEvents from "../../src/fleet/LateEvents.ts"
import { MessageTooLarge } from "../../src/message/MessageError.ts"
import type { Draft } from "../../src/message/MessageRouter.ts"
import * as Subject from "../../src/message/Subject.ts"
import * as Outbox from "../../src/task/Outbox.ts"
import { around } from "../task/Homes.ts"
import { tempDir } from "../utils/Binary.ts"

const event = (seq: number) => ({ type: "logs.lost" as const, reason: `r${seq}`, seq, at: seq })

const make = Effect.gen(function* () {
  const dir = yield* Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]()))
  const outbox = yield* Outbox.open(join(dir.path, Outbox.FILE), { fleet: "one", events: 3 })
  const now: { mode: EdgeState["mode"]; refuses: number; tooLarge?: string } = { mode: "full", refuses: 0 }
  const told: Array<{ readonly subject: string; readonly reason: string; readonly id: string }> = []
  const publish = (subject: string, { body, id = "" }: Draft) =>
    Effect.suspend((): Effect.Effect<void, Fault> => {
      const { reason } = body as { readonly reason: string }
      told.push({ subject, id, reason })
      if (reason === now.tooLarge) return Effect.fail(new MessageTooLarge({ size: 2, limit: 1 }))
      return now.refuses-- > 0 ? Effect.fail(new Unacknowledged({ subject, reason: "full" })) : Effect.void
    })
  const router = {
    publish,
    request: () => Effect.die("nobody asks"),
    listen: () => Effect.die("nobody listens"),
    counts: Effect.die("nobody counts")
  }
  const edge = { state: () => ({ mode: now.mode, reports: 0, tasks: 0, events: 0 }), events: { outbox } }
  const subjects = Result.getOrThrow(Subject.make())
  const late = yield* LateEvents.make(edge, yield* SecureRandom, router, subjects)
  const reasons = () => told.map(({ reason }) => reason)
  return { late, now, outbox, told, reasons }
})

it.effect("keeps nothing while the fleet is there, and what comes behind what waits waits as well", () =>
  Effect.gen(function* () {
    const { late, now, reasons, told } = yield* make
    assert.isFalse(yield* late.keep(event(1)))
    now.mode = "store_and_forward"
    assert.isTrue(yield* late.keep(event(2)))
    yield* late.tell
    assert.isEmpty(told)
    now.mode = "full"
    assert.isTrue(yield* late.keep(event(3)))
    yield* late.tell
    assert.deepStrictEqual(reasons(), ["r2", "r3"])
    assert.strictEqual(told[0]?.subject, "events.logs.lost")
    assert.isFalse(yield* late.keep(event(4)))
  }).pipe(Effect.scoped, Effect.provide(around))
)

it.effect("lets the oldest go where more wait than may, and says how many, once", () =>
  Effect.gen(function* () {
    const { late, now, outbox, reasons } = yield* make
    const heard = yield* (yield* EventBus).subscribe
    const lost = yield* Effect.forkChild(Stream.runCollect(Stream.take(heard, 1)))
    now.mode = "store_and_forward"
    for (let n = 1; n <= 5; n++) yield* late.keep(event(n))
    assert.strictEqual(outbox.counts().events, 3)
    now.mode = "full"
    yield* late.tell
    assert.deepStrictEqual(reasons(), ["r3", "r4", "r5"])
    assert.deepInclude((yield* Fiber.join(lost))[0], { type: "outbox.lost", events: 2 })
    assert.strictEqual(yield* outbox.lost(), 0)
  }).pipe(Effect.scoped, Effect.provide(around))
)

it.effect("tells one that was not acknowledged again, under the same id, before those behind it", () =>
  Effect.gen(function* () {
    const { late, now, reasons, told } = yield* make
    now.mode = "store_and_forward"
    for (let n = 1; n <= 2; n++) yield* late.keep(event(n))
    now.mode = "full"
    now.refuses = 1
    const telling = yield* Effect.forkChild(late.tell)
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(telling)
    assert.deepStrictEqual(reasons(), ["r1", "r1", "r2"])
    assert.strictEqual(told[0]?.id, told[1]?.id)
    assert.notStrictEqual(told[1]?.id, told[2]?.id)
  }).pipe(Effect.scoped, Effect.provide(around))
)

it.effect("passes over one that no message can say, and tells those behind it", () =>
  Effect.gen(function* () {
    const { late, now, outbox, reasons } = yield* make
    now.mode = "store_and_forward"
    for (let n = 1; n <= 3; n++) yield* late.keep(event(n))
    now.mode = "full"
    now.tooLarge = "r2"
    yield* late.tell
    assert.deepStrictEqual(reasons(), ["r1", "r2", "r3"])
    assert.strictEqual(outbox.counts().events, 0)
    assert.isFalse(yield* late.keep(event(4)))
  }).pipe(Effect.scoped, Effect.provide(around))
)
