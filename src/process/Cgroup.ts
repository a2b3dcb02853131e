/**
 * One cgroup v2 group that holds one run: kill, freeze, limit and measure everything in it as one thing.
 *
 * Promises: plain and synchronous (cgroupfs is memory); bounded; nothing throws for what the kernel may answer: what is
 * gone reads as empty, what is refused is returned. Membership is inherited at fork and neither setsid, a double fork nor
 * a cleared environment changes it. Only who may write cgroup.procs above this group can leave it (root, or the user it is
 * delegated to): against that the walk of ProcessTable.ts stands, and a sandbox.
 * Where the group is and which controllers it has is left to CgroupPlace.ts and CgroupTree.ts.
 */
import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync, rmdirSync, writeSync } from "node:fs"
import { Result } from "effect"
import { CgroupRefused } from "./ProcessError.ts"

export interface Limits {
  /** Bytes. Above it the kernel reclaims, then kills within the group. */
  readonly memoryMax?: number | undefined
  /** Bytes. Above it the group is slowed down and reclaimed from. */
  readonly memoryHigh?: number | undefined
  /** Bytes of swap on top of `memoryMax`. Without it a group at its limit goes on into swap. */
  readonly swapMax?: number | undefined
  /** Cores, for example 1.5. The kernel's least is 0.01. */
  readonly cpus?: number | undefined
  /** Processes and threads together. */
  readonly processes?: number | undefined
  /** 1 to 10000 against the neighbours' 100. */
  readonly ioWeight?: number | undefined
}

export interface LimitRefused {
  readonly limit: keyof Limits
  readonly why: string
}

/** Counters since the group was made; undefined where its controller is missing. */
export interface Events {
  readonly oom: number | undefined
  readonly oomKill: number | undefined
  /** How often memory.max was reached, and memory.high. */
  readonly max: number | undefined
  readonly high: number | undefined
  /** Forks that failed at the limit of processes. */
  readonly forksRefused: number | undefined
}

/** Each undefined where the kernel has no such file here. */
export interface Usage {
  readonly cpuMicros: number | undefined
  /** Periods in which the group was held back by its limit of cores. */
  readonly cpuThrottled: number | undefined
  readonly memory: number | undefined
  readonly memoryPeak: number | undefined
  readonly processes: number | undefined
  readonly ioRead: number | undefined
  readonly ioWritten: number | undefined
}

export interface Group {
  readonly path: string
  /** Sends SIGKILL to all that is in the group and below it, frozen or not. They are gone when `populated` says so. */
  kill(): void
  /** False where the kernel refused. The group is frozen once `isFrozen` says so. */
  freeze(): boolean
  thaw(): boolean
  isFrozen(): boolean
  /** Is anything alive here or below? A zombie is not. */
  populated(): boolean
  /** All processes here and below, as far as they have a pid in our namespace. */
  pids(): ReadonlyArray<number>
  /** Sets every limit, an undefined one to the kernel's default; may be called while the group runs. Lists what failed. */
  limit(limits: Limits): ReadonlyArray<LimitRefused>
  events(): Events
  usage(): Usage
  join(pid: number): Result.Result<void, CgroupRefused>
  /** True once the group is gone. False while something is alive in it; ask again. */
  remove(): boolean
}

/** Groups below groups: a longer path could not be opened, and a walk must end. */
const MAX_DEPTH = 1000
/** Rounds of the loop that stands in for cgroup.kill. */
const MAX_ROUNDS = 1000

/** The code of a system error, such as "EBUSY". */
export const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : String(error)

/** Undefined where the file is not there, or not for us. */
export const readText = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}

/**
 * Undefined when written, else the code. One write(2), which is what a kernel file wants. Never waits for the kernel to
 * reclaim memory for a lower limit (O_NONBLOCK): the group pays for that with its next allocation, not this thread.
 */
export const writeText = (path: string, text: string): string | undefined => {
  let file: number | undefined
  try {
    file = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
    writeSync(file, text)
    return undefined
  } catch (error) {
    return codeOf(error)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** The groups directly below. */
export const childrenOf = (path: string): ReadonlyArray<string> => {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
  } catch {
    return []
  }
}

/** The processes in this group alone. 0 stands for one outside of our pid namespace, and would signal ourselves. */
export const procsOf = (path: string): ReadonlyArray<number> =>
  (readText(`${path}/cgroup.procs`) ?? "")
    .split("\n")
    .flatMap((line) => (/^[1-9][0-9]*$/.test(line) ? [Number(line)] : []))

/** This group and all below it, the deepest first. */
const bottomUp = (path: string, depth = 0): ReadonlyArray<string> =>
  depth > MAX_DEPTH ? [path] : [...childrenOf(path).flatMap((child) => bottomUp(`${path}/${child}`, depth + 1)), path]

/** "key value" per line, as in cpu.stat. */
const field = (text: string | undefined, key: string): number | undefined => {
  const value = text?.split("\n").find((line) => line.startsWith(`${key} `))
  return value === undefined ? undefined : Number(value.slice(key.length + 1))
}

/** A file that is one number. */
const number = (path: string): number | undefined => {
  const text = readText(path)?.trim()
  return text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : undefined
}

/** "8:0 rbytes=1 wbytes=2 ..." per device. */
const total = (text: string | undefined, key: string): number | undefined =>
  text === undefined
    ? undefined
    : [...text.matchAll(new RegExp(`\\b${key}=([0-9]+)`, "g"))].reduce((sum, match) => sum + Number(match[1]), 0)

/** A group that exists. Makes nothing. */
export const group = (path: string): Group => {
  const pids = () => [...new Set(bottomUp(path).flatMap(procsOf))]
  const writeFreeze = (value: "0" | "1") => writeText(`${path}/cgroup.freeze`, value) === undefined
  return {
    path,
    pids,
    kill: () => {
      if (writeText(`${path}/cgroup.kill`, "1") === undefined) return
      killOneByOne(path)
    },
    freeze: () => writeFreeze("1"),
    thaw: () => writeFreeze("0"),
    isFrozen: () => field(readText(`${path}/cgroup.events`), "frozen") === 1,
    populated: () => field(readText(`${path}/cgroup.events`), "populated") === 1,
    limit: (limits) => limitGroup(path, limits),
    events: () => {
      const memory = readText(`${path}/memory.events`)
      return {
        oom: field(memory, "oom"),
        oomKill: field(memory, "oom_kill"),
        max: field(memory, "max"),
        high: field(memory, "high"),
        forksRefused: field(readText(`${path}/pids.events`), "max")
      }
    },
    usage: () => {
      const cpu = readText(`${path}/cpu.stat`)
      const io = readText(`${path}/io.stat`)
      return {
        cpuMicros: field(cpu, "usage_usec"),
        cpuThrottled: field(cpu, "nr_throttled"),
        memory: number(`${path}/memory.current`),
        memoryPeak: number(`${path}/memory.peak`),
        processes: number(`${path}/pids.current`),
        ioRead: total(io, "rbytes"),
        ioWritten: total(io, "wbytes")
      }
    },
    join: (pid) => {
      const code = writeText(`${path}/cgroup.procs`, String(pid))
      return code === undefined
        ? Result.succeed(undefined)
        : Result.fail(new CgroupRefused({ action: `move process ${pid} into its cgroup`, path, code }))
    },
    remove: () => {
      for (const each of bottomUp(path)) {
        try {
          rmdirSync(each)
        } catch {
          // Still populated, or gone already: what counts is whether the group itself is there.
        }
      }
      return !existsSync(path)
    }
  }
}

/**
 * What cgroup.kill does, on a kernel before 5.14. Frozen first (5.2), so that what forks faster than it is killed cannot:
 * a frozen process still dies of SIGKILL. Ends when a round finds nobody new.
 */
export const killOneByOne = (path: string): void => {
  const wasFrozen = readText(`${path}/cgroup.freeze`)?.trim()
  writeText(`${path}/cgroup.freeze`, "1")
  const killed = new Set<number>()
  for (let round = 0, idle = 0; round < MAX_ROUNDS && idle < 2; round++) {
    idle++
    for (const pid of new Set(bottomUp(path).flatMap(procsOf))) {
      if (killed.has(pid)) continue
      idle = 0
      killed.add(pid)
      try {
        process.kill(pid, "SIGKILL")
      } catch {
        // Gone meanwhile, or not ours to signal: `populated` tells.
      }
    }
  }
  if (wasFrozen === "0") writeText(`${path}/cgroup.freeze`, "0")
}

/** How each limit is written, in the order in which a group is best limited: softly before hard. */
const FILES: ReadonlyArray<{
  readonly limit: keyof Limits
  readonly files: ReadonlyArray<string>
  readonly controller: string
  readonly least: number
  readonly most?: number
  readonly text: (value: number, file: string) => string
  readonly unlimited: string
}> = [
  { limit: "memoryHigh", files: ["memory.high"], controller: "memory", least: 0, text: integer, unlimited: "max" },
  { limit: "memoryMax", files: ["memory.max"], controller: "memory", least: 0, text: integer, unlimited: "max" },
  { limit: "swapMax", files: ["memory.swap.max"], controller: "memory", least: 0, text: integer, unlimited: "max" },
  {
    limit: "cpus",
    files: ["cpu.max"],
    controller: "cpu",
    least: 0.01,
    text: (cores) => `${Math.round(cores * CPU_PERIOD)} ${CPU_PERIOD}`,
    unlimited: "max"
  },
  { limit: "processes", files: ["pids.max"], controller: "pids", least: 0, text: integer, unlimited: "max" },
  {
    limit: "ioWeight",
    files: ["io.weight", "io.bfq.weight"],
    controller: "io",
    least: 1,
    most: 10_000,
    text: (weight, file) => `default ${Math.round(file === "io.bfq.weight" ? bfqWeight(weight) : weight)}`,
    unlimited: "default 100"
  }
]
/** Microseconds; the kernel's own default. */
const CPU_PERIOD = 100_000

function integer(value: number): string {
  return String(Math.round(value))
}

/** BFQ's scale ends at 1000; 100 is the neighbours' weight on both. */
const bfqWeight = (weight: number): number => (weight <= 100 ? weight : 100 + ((weight - 100) * 900) / 9900)

const limitGroup = (path: string, limits: Limits): ReadonlyArray<LimitRefused> => {
  const refused: Array<LimitRefused> = []
  for (const { controller, files, least, limit, most = Number.MAX_SAFE_INTEGER, text, unlimited } of FILES) {
    const value = limits[limit]
    if (value !== undefined && !(value >= least && value <= most)) {
      refused.push({ limit, why: `${value} is not between ${least} and ${most}` })
      continue
    }
    const file = files.find((name) => existsSync(`${path}/${name}`))
    if (file === undefined) {
      // No limit was asked for, and there is none.
      if (value === undefined) continue
      const why = existsSync(path) ? missingFile(path, controller, files) : "the group is gone"
      refused.push({ limit, why })
      continue
    }
    const code = writeText(`${path}/${file}`, value === undefined ? unlimited : text(value, file))
    if (code !== undefined) refused.push({ limit, why: `${file} was refused (${code})` })
  }
  return refused
}

const missingFile = (path: string, controller: string, files: ReadonlyArray<string>): string =>
  (readText(`${path}/cgroup.controllers`) ?? "").trim().split(" ").includes(controller)
    ? `this kernel has no ${files.join(" and no ")}`
    : `the ${controller} controller is not enabled here`
