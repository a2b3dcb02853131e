/**
 * Looks at all trees together every so often: what they use, and whether one has gone over a limit that the kernel does
 * not enforce, which ends it. The walk also shows who belongs to whom while parents are alive, so that a process that
 * leaves its family later is still known.
 */
import { Clock, type Duration, Effect } from "effect"
import { signal, signalLed } from "./ProcessTable.ts"
import { type Exceeded, isBlind, type Tree, type Trees } from "./Trees.ts"
import { makeSampler, type TreeUsage } from "./Usage.ts"

export interface Sampling {
  of(marker: string): TreeUsage | undefined
  history(marker: string): ReadonlyArray<TreeUsage>
  forget(marker: string): void
}

/** Goes on until the Scope closes. Does nothing while there are no trees. */
export const start = Effect.fnUntraced(function* (trees: Trees, every: Duration.Duration) {
  const sampler = makeSampler()
  const look = Effect.gen(function* () {
    if (trees.live.size === 0) return
    const walk = yield* trees.walk
    if (isBlind(walk)) return
    const { members, table } = walk
    const at = yield* Clock.currentTimeMillis
    const measured = [...trees.live.values()].map((tree) => ({
      run: tree.marker,
      pids: members.get(tree.marker) ?? [],
      cgroup: tree.cgroup === undefined ? undefined : { usage: () => told(tree.cgroup) }
    }))
    sampler.tick(measured, table, at)
    for (const tree of trees.live.values()) {
      const over = excess(tree, sampler.of(tree.marker), () => sampler.exact(tree.marker))
      if (over === undefined) continue
      tree.exceeded = over
      tree.cgroup?.kill()
      signalLed(tree.leader, "SIGKILL")
      for (const member of members.get(tree.marker) ?? []) signal(member, "SIGKILL")
    }
  })
  yield* Effect.forkScoped(Effect.forever(Effect.delay(look, every)))
  const made: Sampling = {
    of: (marker) => sampler.of(marker),
    history: (marker) => sampler.history(marker),
    forget: (marker) => sampler.forget(marker)
  }
  return made
})

/** Its count of processes is one of threads. */
const told = (cgroup: Tree["cgroup"]) => ({ ...cgroup?.usage(), processes: undefined })

const excess = (tree: Tree, usage: TreeUsage | undefined, exact: () => TreeUsage | undefined): Exceeded | undefined => {
  if (usage === undefined || tree.exceeded !== undefined) return undefined
  const samples = (limit: string) => tree.unenforced.some((each) => each.limit === limit && each.instead === "sampled")
  const { memory, processes } = tree.limits ?? {}
  if (memory !== undefined && samples("memory") && usage.memory > memory) {
    // The cheap figure is an estimate: nobody is ended for an estimate.
    const used = exact()?.memory ?? 0
    if (used > memory) return { limit: "memory", allowed: memory, used, by: "sampler" }
  }
  if (processes !== undefined && samples("processes") && usage.threads > processes) {
    return { limit: "processes", allowed: processes, used: usage.threads, by: "sampler" }
  }
  return undefined
}

/** The kernel says itself that it has ended something in this group for want of memory; an exit code alone would not. */
export const killedByKernel = ({ cgroup, limits }: Tree): Exceeded | undefined => {
  if (limits?.memory === undefined || !((cgroup?.events().oomKill ?? 0) > 0)) return undefined
  return { limit: "memory", allowed: limits.memory, used: cgroup?.usage().memoryPeak ?? limits.memory, by: "kernel" }
}
