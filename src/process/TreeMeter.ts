/**
 * One tree's figures: who is in it, what each was like when it was last looked at, and what those that are gone had used.
 * Which process is looked at when, is decided by who meters many trees (Usage.ts).
 */
import * as ProcFs from "./ProcFs.ts"
import { Tally } from "./Tally.ts"
import type { CgroupUsage, Probe, Tree, TreeUsage } from "./Usage.ts"

/** A process as it was last looked at. */
export interface Looked {
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

/** One that is new counts as not looked at for so many ticks, one whose children changed for so many times as many. */
const NEW_AGE = 64
const STALE_FACTOR = 8
/** The smallest count as if they had so many more. */
const SMALL_PAGES = 256

/** Big, and long not looked at. Everyone's turn comes, for it grows while one waits. */
export const urgency = ({ at, entry, stale }: Looked, tick: number): number =>
  Math.sqrt(entry.rssPages + SMALL_PAGES) * (tick - at) * (stale ? STALE_FACTOR : 1)

export class TreeMeter {
  readonly processes = new Map<number, Looked>()
  readonly history: Array<TreeUsage> = []
  last: TreeUsage | undefined
  readonly #probe: Probe
  readonly #cpuTicks = new Tally()
  readonly #readBytes = new Tally()
  readonly #writtenBytes = new Tally()
  readonly #cpu = new Counter()
  readonly #ioRead = new Counter()
  readonly #ioWritten = new Counter()
  #ioKnown = false
  #cgroup: Tree["cgroup"]
  #told: CgroupUsage = {}

  constructor(probe: Probe) {
    this.#probe = probe
  }

  /** What the kernel keeps count of for us needs no look at the processes. */
  get memoryIsTold(): boolean {
    return this.#told.memory !== undefined
  }

  /** Who is in the tree now, and what all of them, and those that were, have used of the cpu. */
  follow(tree: Tree, table: ReadonlyMap<number, ProcFs.ProcEntry>, tick: number): void {
    this.#cgroup = tree.cgroup
    this.#told = ask(tree.cgroup)
    for (const tally of [this.#cpuTicks, this.#readBytes, this.#writtenBytes]) tally.bury(table)
    const present = new Set<number>()
    const relatives: Array<number> = []
    for (const { pid, startTime } of tree.pids) {
      const entry = table.get(pid)
      if (entry === undefined || entry.startTime !== startTime || entry.state === "Z" || entry.state === "X") continue
      present.add(pid)
      this.#readBytes.know(entry)
      this.#writtenBytes.know(entry)
      const known = this.processes.get(pid)
      if (known?.startTime === startTime) known.entry = entry
      else {
        const unseen = { share: undefined, descriptors: undefined, at: tick - NEW_AGE, stale: false }
        this.processes.set(pid, { startTime, entry, ...unseen })
        relatives.push(entry.parent)
      }
    }
    for (const [pid, { entry }] of this.processes) {
      if (present.has(pid)) continue
      this.processes.delete(pid)
      relatives.push(entry.parent)
    }
    for (const pid of relatives) {
      const relative = this.processes.get(pid)
      if (relative?.share !== undefined) relative.stale = true
    }
    // A zombie still holds its time until it is waited for, and so does one that the caller does not list any more.
    for (const pid of new Set([...present, ...this.#cpuTicks.pids])) {
      const entry = table.get(pid)
      if (entry !== undefined) this.#cpuTicks.read(entry, entry.cpuTicks, entry.reapedTicks)
    }
    this.#cpuTicks.settle()
  }

  /** Reads what is dear to read of one process. */
  look(process: Looked, tick: number): void {
    const { entry } = process
    if (!this.memoryIsTold) {
      const { pss, rssAnon } = this.#probe.memoryOf(entry.pid)
      takeShare(process, pss ?? rssAnon)
    }
    process.descriptors = this.#probe.descriptorsOf(entry.pid) ?? process.descriptors
    process.at = tick
    process.stale = false
  }

  /** At most once a tick for each. */
  lookAtIo({ entry }: Looked): void {
    if (this.#told.ioRead !== undefined && this.#told.ioWritten !== undefined) return
    const io = this.#probe.ioOf(entry.pid)
    if (io === undefined) return
    this.#ioKnown = true
    // A process's count holds those of the children it has waited for, so any growth may be inherited.
    this.#readBytes.read(entry, 0, io.read)
    this.#writtenBytes.read(entry, 0, io.written)
  }

  /** The tick is over: all figures, with a first guess where nobody has looked yet. */
  measure(nowMillis: number, historyLength: number): void {
    if (!this.memoryIsTold) {
      for (const process of this.processes.values()) {
        if (process.share === undefined) takeShare(process, this.#probe.residentOf(process.entry.pid).rssAnon)
      }
    }
    const { last } = this
    const micros = this.#told.cpuMicros
    const walkedMillis = (this.#cpuTicks.total * 1000) / ProcFs.clockTicks
    const cpuMillis = this.#cpu.advance(walkedMillis, micros === undefined ? undefined : micros / 1000) ?? 0
    const passed = last === undefined ? 0 : nowMillis - last.at
    const read = this.#readBytes.settle()
    const written = this.#writtenBytes.settle()
    this.last = {
      at: nowMillis,
      cpuMillis,
      cpuPercent: last === undefined || passed <= 0 ? undefined : ((cpuMillis - last.cpuMillis) / passed) * 100,
      ...this.#sum(),
      ioRead: this.#ioRead.advance(this.#ioKnown ? read : undefined, this.#told.ioRead),
      ioWritten: this.#ioWritten.advance(this.#ioKnown ? written : undefined, this.#told.ioWritten)
    }
    this.history.push(this.last)
    if (this.history.length > historyLength) this.history.shift()
  }

  /** The last tick's figures, with a look at everyone now. */
  exact(tick: number): TreeUsage | undefined {
    if (this.last === undefined) return undefined
    this.#told = ask(this.#cgroup)
    for (const process of this.processes.values()) this.look(process, tick)
    this.last = { ...this.last, ...this.#sum() }
    if (this.history.length > 0) this.history[this.history.length - 1] = this.last
    return this.last
  }

  #sum(): Pick<TreeUsage, "memory" | "memoryPeak" | "processes" | "threads" | "descriptors"> {
    let pages = 0
    let threads = 0
    let descriptors: number | undefined
    for (const process of this.processes.values()) {
      pages += process.entry.rssPages * (process.share ?? 1)
      threads += process.entry.threads
      if (process.descriptors !== undefined) descriptors = (descriptors ?? 0) + process.descriptors
    }
    const memory = this.#told.memory ?? Math.round(pages * ProcFs.pageSize)
    return {
      memory,
      memoryPeak: Math.max(memory, this.#told.memoryPeak ?? 0, this.last?.memoryPeak ?? 0),
      processes: this.#told.processes ?? this.processes.size,
      threads,
      descriptors
    }
  }
}

const takeShare = (process: Looked, own: number | undefined): void => {
  const resident = process.entry.rssPages * ProcFs.pageSize
  if (own !== undefined && resident > 0) process.share = own / resident
}

/** A cgroup that is gone says nothing. */
const ask = (cgroup: Tree["cgroup"]): CgroupUsage => {
  try {
    return cgroup?.usage() ?? {}
  } catch {
    return {}
  }
}

/** A count that two may tell of: each interval is taken from the better one, where it knows both ends of it. */
class Counter {
  #value: number | undefined
  #inner: number | undefined
  #outer: number | undefined

  advance(inner: number | undefined, outer: number | undefined): number | undefined {
    const grown =
      outer !== undefined && this.#outer !== undefined ? outer - this.#outer : (inner ?? 0) - (this.#inner ?? 0)
    this.#value = this.#value === undefined ? (outer ?? inner) : this.#value + Math.max(0, grown)
    this.#inner = inner
    this.#outer = outer
    return this.#value
  }
}
