/**
 * What trees of processes use: cpu, memory, descriptors, storage. One walk of /proc serves all trees of a tick.
 *
 * Promises: `cpuMillis`, `ioRead` and `ioWritten` never fall, and count what the dead had used once (Tally.ts). Memory that
 * processes share is counted once: the cgroup's figure where there is one, else the sum of each process's proportional
 * share. That share is dear to read (the kernel walks page tables), so a tick looks closely at a bounded number of
 * processes only, of all trees together: the big, the new, those whose children came or went, and in time everyone.
 * For the others it takes the share of their resident memory that was theirs at the last look; `exact` looks at all
 * of one tree. Descriptors and storage are as of the last look too. Nothing throws. Where there is no /proc, or a walk
 * could not be completed, nothing is learnt and the last answer stands.
 */

import type { ProcessIdentity } from "./ProcessTable.ts"
import * as ProcFs from "./ProcFs.ts"
import { TreeMeter, urgency } from "./TreeMeter.ts"

/** Undefined is what is not known (yet). Sizes in bytes. */
export interface TreeUsage {
  readonly at: number
  /** All cpu time since the tree was first seen, and what its processes had used before. */
  readonly cpuMillis: number
  /** Of one core, since the tick before: 250 is two cores and a half. Undefined in a tree's first tick. */
  readonly cpuPercent: number | undefined
  readonly memory: number
  /** The cgroup's own where there is one, else the most that was seen. */
  readonly memoryPeak: number
  readonly processes: number
  readonly threads: number
  readonly descriptors: number | undefined
  /** From and to storage. */
  readonly ioRead: number | undefined
  readonly ioWritten: number | undefined
}

/**
 * What a cgroup tells of itself. It sees what is too short-lived for a walk, and is believed where it speaks. Its memory is
 * with the file cache that is charged to it.
 */
export interface CgroupUsage {
  readonly cpuMicros?: number | undefined
  readonly memory?: number | undefined
  readonly memoryPeak?: number | undefined
  readonly processes?: number | undefined
  readonly ioRead?: number | undefined
  readonly ioWritten?: number | undefined
}

export interface Tree {
  readonly run: string
  readonly pids: Iterable<ProcessIdentity>
  readonly cgroup?: { usage(): CgroupUsage } | undefined
}

/** How one process is looked at. */
export type Probe = Pick<typeof ProcFs, "memoryOf" | "residentOf" | "ioOf" | "descriptorsOf">

export interface SamplerOptions {
  /** So many ticks are kept of each tree. Default 120. */
  readonly historyLength?: number
  /** So many processes are looked at closely in a tick, of all trees together. Default 16. */
  readonly looksPerTick?: number
  /** And no more than so many resident pages of them are walked, but always one process. Default 262144: 1 GiB, some 5 ms. */
  readonly pagesPerTick?: number
  /** Default: ProcFs. */
  readonly probe?: Probe
}

export interface Sampler {
  /** Measures these trees with a walk just made. A tree that is not given stays as it was. */
  tick(trees: Iterable<Tree>, table: ReadonlyMap<number, ProcFs.ProcEntry>, nowMillis: number): void
  /** As of its last tick. */
  of(run: string): TreeUsage | undefined
  /** Oldest first. */
  history(run: string): ReadonlyArray<TreeUsage>
  /** As of its last tick, but every process of the tree is looked at now; a few milliseconds each at worst. */
  exact(run: string): TreeUsage | undefined
  /** Nothing is kept of it. */
  forget(run: string): void
}

const DEFAULT_HISTORY = 120
const DEFAULT_LOOKS = 16
const DEFAULT_PAGES = 256 * 1024

export const makeSampler = (options: SamplerOptions = {}): Sampler => {
  const { historyLength = DEFAULT_HISTORY, probe = ProcFs } = options
  const { looksPerTick = DEFAULT_LOOKS, pagesPerTick = DEFAULT_PAGES } = options
  const meters = new Map<string, TreeMeter>()
  let now = 0

  /** Looks at the most urgent ones of all trees, as far as the bounds allow. */
  const look = (followed: ReadonlyArray<TreeMeter>) => {
    const candidates = followed
      .flatMap((meter) =>
        [...meter.processes.values()].map((process) => ({ meter, process, urgency: urgency(process, now) }))
      )
      .sort((a, b) => b.urgency - a.urgency)
    let looks = 0
    let pages = 0
    for (const { meter, process } of candidates) {
      if (looks === looksPerTick) return
      const walked = meter.memoryIsTold ? 0 : process.entry.rssPages
      // The most urgent one always: so the turn comes even of one that is over the bound by itself.
      if (looks > 0 && pages + walked > pagesPerTick) continue
      looks++
      pages += walked
      meter.look(process, now)
      meter.lookAtIo(process)
    }
  }

  return {
    tick: (trees, table, nowMillis) => {
      // Not even this process is in it: the living must not be taken for dead.
      if (table.size === 0) return
      now++
      const followed: Array<TreeMeter> = []
      for (const tree of trees) {
        const meter = meters.get(tree.run) ?? new TreeMeter(probe)
        meters.set(tree.run, meter)
        meter.follow(tree, table, now)
        followed.push(meter)
      }
      look(followed)
      for (const meter of followed) meter.measure(nowMillis, historyLength)
    },
    of: (run) => meters.get(run)?.last,
    history: (run) => [...(meters.get(run)?.history ?? [])],
    exact: (run) => meters.get(run)?.exact(now),
    forget: (run) => void meters.delete(run)
  }
}
