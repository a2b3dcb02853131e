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
import { Tally } from "./Tally.ts"

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

/** What a cgroup tells of itself. It sees what is too short-lived for a walk, and is believed where it speaks. */
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

export interface SamplerOptions {
  /** So many ticks are kept of each tree. Default 120. */
  readonly historyLength?: number
  /** So many processes are looked at closely in a tick, of all trees together. Default 16. */
  readonly looksPerTick?: number
  /** And no more than so many resident pages of them are walked, but always one process. Default 262144: 1 GiB, some 5 ms. */
  readonly pagesPerTick?: number
  /** How a process is looked at. Default: ProcFs. */
  readonly probe?: Pick<typeof ProcFs, "memoryOf" | "residentOf" | "ioOf" | "descriptorsOf">
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

/** A process as it was last looked at. */
interface Looked {
  readonly startTime: string
  entry: ProcFs.ProcEntry
  /** Which part of its resident memory is its own. */
  share: number | undefined
  descriptors: number | undefined
  /** The tick of the last look; for one never looked at, long before it came. */
  at: number
  /** A child came or went since: what was shared with it may not be any more. */
  stale: boolean
}

/** A counter that two may tell of: each interval is taken from the better one that knows both its ends. */
class Counter {
  value: number | undefined
  #inner: number | undefined
  #outer: number | undefined

  advance(inner: number | undefined, outer: number | undefined): number | undefined {
    const grown =
      outer !== undefined && this.#outer !== undefined ? outer - this.#outer : (inner ?? 0) - (this.#inner ?? 0)
    this.value = this.value === undefined ? (outer ?? inner) : this.value + Math.max(0, grown)
    this.#inner = inner
    this.#outer = outer
    return this.value
  }
}

class TreeState {
  readonly processes = new Map<number, Looked>()
  readonly cpuTicks = new Tally()
  readonly readBytes = new Tally()
  readonly writtenBytes = new Tally()
  readonly cpu = new Counter()
  readonly ioRead = new Counter()
  readonly ioWritten = new Counter()
  ioKnown = false
  cgroup: Tree["cgroup"]
  told: CgroupUsage = {}
  last: TreeUsage | undefined
  readonly history: Array<TreeUsage> = []
}

const DEFAULT_HISTORY = 120
const DEFAULT_LOOKS = 16
const DEFAULT_PAGES = 256 * 1024
/** One that is new counts as not looked at for so many ticks, one whose children changed for so many times as many. */
const NEW_AGE = 64
const STALE_FACTOR = 8
/** The smallest count as if they had so many more. */
const SMALL_PAGES = 256

export const makeSampler = (options: SamplerOptions = {}): Sampler => {
  const { historyLength = DEFAULT_HISTORY, probe = ProcFs } = options
  const { looksPerTick = DEFAULT_LOOKS, pagesPerTick = DEFAULT_PAGES } = options
  const states = new Map<string, TreeState>()
  let now = 0

  const look = (state: TreeState, process: Looked) => {
    const { entry } = process
    if (state.told.memory === undefined) {
      const resident = entry.rssPages * ProcFs.pageSize
      const { pss, rssAnon } = probe.memoryOf(entry.pid)
      const own = pss ?? rssAnon
      if (own !== undefined && resident > 0) process.share = own / resident
    }
    process.descriptors = probe.descriptorsOf(entry.pid) ?? process.descriptors
    process.at = now
    process.stale = false
  }

  // A process's count already holds those of the children it has waited for, so any growth may be inherited.
  const lookAtIo = (state: TreeState, { entry }: Looked) => {
    if (state.told.ioRead !== undefined && state.told.ioWritten !== undefined) return
    const io = probe.ioOf(entry.pid)
    if (io === undefined) return
    state.ioKnown = true
    state.readBytes.read(entry, 0, io.read)
    state.writtenBytes.read(entry, 0, io.written)
  }

  /** Who is in the tree now, and what all of them, and those that were, have used of the cpu. */
  const follow = (state: TreeState, tree: Tree, table: ReadonlyMap<number, ProcFs.ProcEntry>) => {
    state.cgroup = tree.cgroup
    state.told = ask(tree.cgroup)
    for (const tally of [state.cpuTicks, state.readBytes, state.writtenBytes]) tally.bury(table)
    const present = new Set<number>()
    const relatives: Array<number> = []
    for (const { pid, startTime } of tree.pids) {
      const entry = table.get(pid)
      if (entry === undefined || entry.startTime !== startTime || entry.state === "Z" || entry.state === "X") continue
      present.add(pid)
      state.readBytes.know(entry)
      state.writtenBytes.know(entry)
      const known = state.processes.get(pid)
      if (known?.startTime === startTime) known.entry = entry
      else {
        state.processes.set(pid, {
          startTime,
          entry,
          share: undefined,
          descriptors: undefined,
          at: now - NEW_AGE,
          stale: false
        })
        relatives.push(entry.parent)
      }
    }
    for (const [pid, { entry }] of state.processes) {
      if (present.has(pid)) continue
      state.processes.delete(pid)
      relatives.push(entry.parent)
    }
    for (const pid of relatives) {
      const relative = state.processes.get(pid)
      if (relative?.share !== undefined) relative.stale = true
    }
    // A zombie still holds its time until it is waited for, and so does one that the caller does not list any more.
    for (const pid of new Set([...present, ...state.cpuTicks.pids])) {
      const entry = table.get(pid)
      if (entry !== undefined) state.cpuTicks.read(entry, entry.cpuTicks, entry.reapedTicks)
    }
    state.cpuTicks.settle()
  }

  /** Big, and long not looked at. Everyone's turn comes, for it grows while one waits. */
  const urgency = ({ at, entry, stale }: Looked): number =>
    Math.sqrt(entry.rssPages + SMALL_PAGES) * (now - at) * (stale ? STALE_FACTOR : 1)

  const estimate = (process: Looked) => {
    const resident = process.entry.rssPages * ProcFs.pageSize
    const own = probe.residentOf(process.entry.pid).rssAnon
    if (own !== undefined && resident > 0) process.share = own / resident
  }

  const sum = (
    state: TreeState
  ): Pick<TreeUsage, "memory" | "memoryPeak" | "processes" | "threads" | "descriptors"> => {
    let pages = 0
    let threads = 0
    let descriptors: number | undefined
    for (const process of state.processes.values()) {
      pages += process.entry.rssPages * (process.share ?? 1)
      threads += process.entry.threads
      if (process.descriptors !== undefined) descriptors = (descriptors ?? 0) + process.descriptors
    }
    const memory = state.told.memory ?? Math.round(pages * ProcFs.pageSize)
    return {
      memory,
      memoryPeak: Math.max(memory, state.told.memoryPeak ?? 0, state.last?.memoryPeak ?? 0),
      processes: state.told.processes ?? state.processes.size,
      threads,
      descriptors
    }
  }

  const storage = (state: TreeState): Pick<TreeUsage, "ioRead" | "ioWritten"> => {
    const read = state.readBytes.settle()
    const written = state.writtenBytes.settle()
    return {
      ioRead: state.ioRead.advance(state.ioKnown ? read : undefined, state.told.ioRead),
      ioWritten: state.ioWritten.advance(state.ioKnown ? written : undefined, state.told.ioWritten)
    }
  }

  return {
    tick: (trees, table, nowMillis) => {
      // Not even this process is in it: the living must not be taken for dead.
      if (table.size === 0) return
      now++
      const followed: Array<TreeState> = []
      const candidates: Array<{ readonly state: TreeState; readonly process: Looked; readonly urgency: number }> = []
      for (const tree of trees) {
        const state = states.get(tree.run) ?? new TreeState()
        states.set(tree.run, state)
        follow(state, tree, table)
        followed.push(state)
        for (const process of state.processes.values()) candidates.push({ state, process, urgency: urgency(process) })
      }
      candidates.sort((a, b) => b.urgency - a.urgency)
      let looks = 0
      let pages = 0
      for (const { process, state } of candidates) {
        if (looks === looksPerTick) break
        const walked = state.told.memory === undefined ? process.entry.rssPages : 0
        // The most urgent one always: so the turn comes even of one that is over the bound by itself.
        if (looks > 0 && pages + walked > pagesPerTick) continue
        looks++
        pages += walked
        look(state, process)
        lookAtIo(state, process)
      }
      for (const { process, state } of candidates) {
        if (process.share === undefined && state.told.memory === undefined) estimate(process)
      }
      for (const state of followed) {
        const { last } = state
        const innerMillis = (state.cpuTicks.total * 1000) / ProcFs.clockTicks
        const micros = state.told.cpuMicros
        const cpuMillis = state.cpu.advance(innerMillis, micros === undefined ? undefined : micros / 1000) ?? 0
        const passed = last === undefined ? 0 : nowMillis - last.at
        const cpuPercent = last === undefined || passed <= 0 ? undefined : ((cpuMillis - last.cpuMillis) / passed) * 100
        state.last = { at: nowMillis, cpuMillis, cpuPercent, ...sum(state), ...storage(state) }
        state.history.push(state.last)
        if (state.history.length > historyLength) state.history.shift()
      }
    },
    of: (run) => states.get(run)?.last,
    history: (run) => [...(states.get(run)?.history ?? [])],
    exact: (run) => {
      const state = states.get(run)
      if (state?.last === undefined) return undefined
      state.told = ask(state.cgroup)
      for (const process of state.processes.values()) look(state, process)
      state.last = { ...state.last, ...sum(state) }
      if (state.history.length > 0) state.history[state.history.length - 1] = state.last
      return state.last
    },
    forget: (run) => void states.delete(run)
  }
}

/** A cgroup that is gone says nothing. */
const ask = (cgroup: Tree["cgroup"]): CgroupUsage => {
  try {
    return cgroup?.usage() ?? {}
  } catch {
    return {}
  }
}
