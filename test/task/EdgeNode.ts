/** A node at the edge, and its fleet, in this process: what a test of it begins with. */
import { join } from "node:path"
import { it } from "@effect/vitest"
import { Effect, type Scope, Stream } from "effect"
import type { SecureRandom } from "effect/crypto/SecureRandom"
import { TestClock } from "effect/testing"
import type { Published } from "../../src/event/Event.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import * as EdgeLedger from "../../src/task/EdgeLedger.ts"
import type * as EdgeReach from "../../src/task/EdgeReach.ts"
import * as Ledger from "../../src/task/Ledger.ts"
import { KEPT } from "../../src/task/LedgerStore.ts"
import { MemoryStore } from "../../src/task/MemoryStore.ts"
import * as Outbox from "../../src/task/Outbox.ts"
import type { TaskLedger } from "../../src/task/TaskLedger.ts"
import { tempDir } from "../utils/Binary.ts"
import { CutLink } from "./CutLink.ts"
import { around } from "./Homes.ts"

export const memory = (
  store = new MemoryStore()
): Effect.Effect<TaskLedger["Service"], never, EventBus | SecureRandom | Scope.Scope> => Ledger.make(() => store, KEPT)

interface Setting {
  readonly up: boolean
  readonly whenCutOff?: "noNewWork" | "storeAndForward"
  readonly tasks?: number
}

export const make = Effect.fnUntraced(function* ({ tasks = 100, up, whenCutOff = "storeAndForward" }: Setting) {
  const link = new CutLink(up)
  const store = new MemoryStore()
  const fleet = yield* memory(store)
  const local = yield* memory()
  const dir = yield* Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]()))
  const outbox = yield* Outbox.open(join(dir.path, Outbox.FILE), { fleet: "one", events: 10 })
  const opening = { link, local, outbox, open: Effect.succeed(link.fleet(fleet, store)), whenCutOff, tasks }
  const edge = yield* EdgeLedger.make(opening)
  /** As the next life finds it. */
  const again = EdgeLedger.make(opening)
  const heard: Array<Published> = []
  const events = yield* (yield* EventBus).subscribe
  yield* Effect.forkScoped(Stream.runForEach(events, (event) => Effect.sync(() => void heard.push(event))))
  /** Completes when the node says that it does this. */
  const becomes = Effect.fnUntraced(function* (mode: EdgeReach.EdgeMode) {
    // It may have failed once more, and wait before it tries again.
    while (edge.mode() !== mode) yield* TestClock.adjust("1 second")
  })
  return {
    edge,
    ledger: edge.ledger,
    fleet,
    local,
    link,
    outbox,
    again,
    heard,
    becomes,
    cut: Effect.andThen(link.cut, becomes(whenCutOff === "storeAndForward" ? "store_and_forward" : "no_new_work")),
    mend: Effect.andThen(link.mend, becomes("full"))
  }
})

export const test = <E>(what: string, body: Effect.Effect<unknown, E, EventBus | SecureRandom | Scope.Scope>) =>
  it.effect(what, () => Effect.provide(Effect.scoped(body), around))

export const stateOf = (ledger: TaskLedger["Service"], id: string) => Effect.map(ledger.get(id), ({ state }) => state)
export const settled = (ledger: TaskLedger["Service"], id: string) => Effect.asVoid(ledger.result(id))
