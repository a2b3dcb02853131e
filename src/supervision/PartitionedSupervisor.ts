/**
 * Several dynamic supervisors side by side, so that one is no bottleneck and a storm of restarts under one leaves the
 * others alone. A key decides which: the same key always comes to the same partition.
 */
import { Effect } from "effect"
import type { Fault } from "../domain/Fault.ts"
import type { Child } from "./Child.ts"
import { SupervisorEnded } from "./ChildError.ts"
import * as DynamicSupervisor from "./DynamicSupervisor.ts"
import * as Supervisor from "./Supervisor.ts"

export interface PartitionedSpec extends Omit<DynamicSupervisor.DynamicSpec, "maxChildren"> {
  readonly partitions: number
  /** Children of one partition at most. */
  readonly maxChildrenEach: number
}

/** FNV-1a: spreads names evenly, and is the same on every machine. */
export const partitionOf = (key: string, partitions: number): number => {
  let hash = 0x811c9dc5
  for (let n = 0; n < key.length; n++) hash = Math.imul(hash ^ key.charCodeAt(n), 0x01000193)
  return (hash >>> 0) % partitions
}

export const start = Effect.fnUntraced(function* <R = never>(spec: PartitionedSpec) {
  const { id, maxChildrenEach, maxRestarts = 3, partitions, within = "60 seconds", ...shared } = spec
  const current = new Map<number, Supervisor.Supervisor<R>>()
  const partition = (n: number) =>
    DynamicSupervisor.child<R>(
      { id: `partition-${n}`, maxRestarts, within, maxChildren: maxChildrenEach },
      (life) => void current.set(n, life)
    )
  const supervisor = yield* Supervisor.start<R>({
    id,
    strategy: "one_for_one",
    maxRestarts,
    within,
    ...shared,
    children: Array.from({ length: partitions }, (_, n) => partition(n))
  })
  /** The partition of a key. While it is being restarted its requests fail with `SupervisorEnded`. */
  const of = (key: string) =>
    Effect.suspend(() => {
      const found = current.get(partitionOf(key, partitions))
      return found === undefined ? Effect.fail(new SupervisorEnded({ supervisor: id })) : Effect.succeed(found)
    })
  return {
    path: supervisor.path,
    ended: supervisor.ended,
    of,
    startChild: (key: string, child: Child<Fault, R>) =>
      Effect.flatMap(of(key), (partition) => partition.startChild(child)),
    /** The children of each partition. */
    counts: Effect.suspend(() =>
      Effect.forEach([...current.values()], ({ count }) => Effect.map(count, ({ children }) => children))
    )
  }
})
