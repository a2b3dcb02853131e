/** The homes of the ledger, each new and empty, for tests that every home must pass. */
import { join } from "node:path"
import { Effect, Layer } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { EventBus } from "../../src/event/EventBus.ts"
import * as Ledger from "../../src/task/Ledger.ts"
import { KEPT } from "../../src/task/LedgerStore.ts"
import { MemoryStore } from "../../src/task/MemoryStore.ts"
import * as SqliteLedger from "../../src/task/SqliteLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { tempDir } from "../utils/Binary.ts"

export { done, failed, fault } from "../utils/Results.ts"

export const around = Layer.mergeAll(EventBus.layer, SecureRandom.layerWebCrypto)

export const memory = TaskLedger.layerMemory.pipe(Layer.provideMerge(around))

/** Where a task may be broken off so often. */
export const memoryWith = (interruptions: number) =>
  Layer.effect(
    TaskLedger,
    Ledger.make(() => new MemoryStore(), KEPT, { interruptions })
  ).pipe(Layer.provideMerge(around))

export const sqliteIn = (dir: string, options?: SqliteLedger.SqliteLedgerOptions) =>
  SqliteLedger.layer(join(dir, SqliteLedger.FILE), options).pipe(Layer.provideMerge(around))

export const sqlite = Layer.unwrap(
  Effect.map(
    Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]())),
    ({ path }) => sqliteIn(path)
  )
)
