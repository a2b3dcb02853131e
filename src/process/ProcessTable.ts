/**
 * The machine's processes, read from /proc: who belongs to a run, and is it still the same process? Everything here is
 * one synchronous walk (a few milliseconds), so that nothing changes between two reads of ours. Where there is no /proc
 * (macOS) a walk finds nothing, and the caller has the process group only.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"

/** The environment variable that marks everything a run has started. Its value is unique to the run. */
export const MARKER = "MISTER_SMITH_RUN"

/** False on systems without /proc, where only the process group can be reached. */
export const available = existsSync("/proc/self/stat")

/** A pid alone may be reused; with its start time (clock ticks since boot) it names one process for ever. */
export interface ProcessIdentity {
  readonly pid: number
  readonly startTime: string
}

export interface ProcessEntry extends ProcessIdentity {
  readonly parent: number
  readonly group: number
  readonly state: string
  readonly name: string
}

/** Reads one entry, or nothing where the process is gone. */
export const read = (pid: number): ProcessEntry | undefined => {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1")
  } catch {
    return undefined
  }
  // The name is in parentheses and may itself hold spaces and parentheses, so the fields are counted from the last one.
  const close = stat.lastIndexOf(")")
  const fields = stat.slice(close + 2).split(" ")
  return {
    pid,
    name: stat.slice(stat.indexOf("(") + 1, close),
    state: fields[0] ?? "?",
    parent: Number(fields[1]),
    group: Number(fields[2]),
    startTime: fields[19] ?? ""
  }
}

const pids = (): ReadonlyArray<number> => {
  try {
    return readdirSync("/proc").flatMap((name) => (/^[0-9]+$/.test(name) ? [Number(name)] : []))
  } catch {
    return []
  }
}

const isMarked = (pid: number, marker: Buffer): boolean => {
  try {
    return readFileSync(`/proc/${pid}/environ`).includes(marker)
  } catch {
    return false // gone meanwhile, or another user's
  }
}

/**
 * Everything alive that belongs to a run: what carries its marker, what is in the leader's group, and all their
 * descendants. Zombies are not alive. The caller itself is never listed.
 */
export const membersOf = (run: string, leader: ProcessIdentity): ReadonlyArray<ProcessEntry> => {
  // While anyone is in the leader's group its number cannot be given to another process. So where a stranger has it,
  // the group is empty, and a group of that number is the stranger's.
  const holder = read(leader.pid)
  const group = holder === undefined || holder.startTime === leader.startTime ? leader.pid : undefined
  const marker = Buffer.from(`${MARKER}=${run}`)
  const children = new Map<number, Array<ProcessEntry>>()
  const found = new Map<number, ProcessEntry>()
  for (const pid of pids()) {
    if (pid === process.pid) continue
    const entry = read(pid)
    if (entry === undefined) continue
    const siblings = children.get(entry.parent)
    if (siblings === undefined) children.set(entry.parent, [entry])
    else siblings.push(entry)
    if (entry.group === group || isMarked(pid, marker)) found.set(pid, entry)
  }
  for (const entry of found.values()) {
    for (const child of children.get(entry.pid) ?? []) found.set(child.pid, child)
  }
  return [...found.values()].filter(({ state }) => state !== "Z" && state !== "X")
}

/** Signals a process only while it is still the one that was read. False where it was gone already. */
export const signal = (entry: ProcessIdentity, name: NodeJS.Signals): boolean => {
  if (read(entry.pid)?.startTime !== entry.startTime) return false
  try {
    return process.kill(entry.pid, name)
  } catch {
    return false
  }
}

/** Signals a whole process group. False where it is empty. */
export const signalGroup = (group: number, name: NodeJS.Signals): boolean => {
  try {
    return process.kill(-group, name)
  } catch {
    return false
  }
}
