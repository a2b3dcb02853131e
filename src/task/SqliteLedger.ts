/**
 * The home of the ledger that outlives the process: one SQLite file.
 *
 * Promises: what is accepted, ended, parked or cancelled is on the disk when the answer comes, and is there whatever dies
 * afterwards; who holds a task survives the death of the process, and that of the machine up to the last second, which
 * nobody who held one survives. One runtime writes (state/DataDir.ts holds the directory); a second writer would be
 * refused by the same fences, but who waits for a result hears only of this process.
 */
import { Effect, Layer } from "effect"
import { open } from "../state/Database.ts"
import * as Ledger from "./Ledger.ts"
import { KEPT, type Kept } from "./LedgerStore.ts"
import { APPLICATION_ID, MIGRATIONS } from "./SqliteRows.ts"
import { SqliteStore } from "./SqliteStore.ts"
import { LedgerUnusable } from "./TaskError.ts"
import { TaskLedger } from "./TaskLedger.ts"

/** In the data directory. */
export const FILE = "ledger.db"

export interface SqliteLedgerOptions {
  readonly kept?: Kept
  /** How often a task may be broken off. */
  readonly bounds?: { readonly interruptions: number }
  /** How long a write waits for another program's, in milliseconds. */
  readonly busyTimeout?: number
}

/** The ledger in this file, which is made where it is not there. The data directory must be held already. */
export const layer = (file: string, { bounds, busyTimeout, kept = KEPT }: SqliteLedgerOptions = {}) =>
  Layer.effect(
    TaskLedger,
    open({
      file,
      applicationId: APPLICATION_ID,
      migrations: MIGRATIONS,
      ...(busyTimeout === undefined ? {} : { busyTimeout })
    }).pipe(
      Effect.mapError(({ detail, file, problem }) => new LedgerUnusable({ where: file, problem, detail })),
      Effect.flatMap((database) => Ledger.make(() => new SqliteStore(database), kept, bounds))
    )
  )
