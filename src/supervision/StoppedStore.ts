/**
 * Which children were stopped on purpose, by path ("node/agents/reviewer-1"), so that they stay stopped when the
 * runtime comes back. A port: this file has the home in memory, which forgets with the process.
 */
import { Effect } from "effect"
import type { StopNotKept } from "./ChildError.ts"

export interface StoppedStore {
  /** The paths of all children that were stopped on purpose. Read once, when a supervisor starts. */
  readonly all: Effect.Effect<ReadonlySet<string>>
  /** Completes when it is remembered, whatever becomes of this process. */
  add(path: string): Effect.Effect<void, StopNotKept>
  remove(path: string): Effect.Effect<void, StopNotKept>
}

export const memory = (): StoppedStore => {
  const paths = new Set<string>()
  return {
    all: Effect.sync(() => new Set(paths)),
    add: (path) => Effect.sync(() => void paths.add(path)),
    remove: (path) => Effect.sync(() => void paths.delete(path))
  }
}
