/**
 * What Linux tells of its processes, read from /proc: all of them briefly in one walk, one of them in detail on demand.
 *
 * Promises: synchronous, so nothing of ours happens between two reads; nothing throws. A walk is all or nothing: where a
 * file could not be opened for any other reason than that its process is gone or not ours to see (no descriptors left, for
 * example), it is empty, because in an incomplete one the living would look dead. A true walk is never empty: it holds
 * this process. Where the system has no /proc (macOS) ps is asked for the walk (PsTable.ts), and every detail is undefined.
 * Who belongs to whom, and what it adds up to, is left to others.
 *
 * One buffer serves all reads. What is left of the cost is the kernel's, about half of it for writing the line.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs"
import type { ProcessIdentity } from "./ProcessTable.ts"
import * as PsTable from "./PsTable.ts"

/** One line of /proc/[pid]/stat. Times are in clock ticks, of which there are `clockTicks` in a second. */
export interface ProcEntry extends ProcessIdentity {
  readonly parent: number
  readonly group: number
  readonly session: number
  readonly state: string
  readonly name: string
  /** User and system time of all its threads, the ended ones too. */
  readonly cpuTicks: number
  /** The same of those descendants that were waited for: a child's time moves here when it is reaped. */
  readonly reapedTicks: number
  readonly threads: number
  readonly rssPages: number
}

/** Undefined is what the system does not tell, or not to us. Sizes in bytes. */
export interface ProcMemory {
  /** Resident, with each shared page divided by how many processes share it. */
  readonly pss: number | undefined
  readonly rssAnon: number | undefined
  readonly swap: number | undefined
}

/** Bytes that went to and came from storage, including those of reaped children. */
export interface ProcIo {
  readonly read: number
  readonly written: number
}

const buffer = Buffer.allocUnsafe(16 * 1024)

/** How many bytes of a small file are now in `buffer`. Throws what the system says. */
const fill = (path: string): number => {
  const file = openSync(path, "r")
  try {
    return readSync(file, buffer, 0, buffer.length, null)
  } finally {
    closeSync(file)
  }
}

const text = (path: string): string | undefined => {
  try {
    return buffer.toString("latin1", 0, fill(path))
  } catch {
    return undefined
  }
}

/** One value of the auxiliary vector, pairs of machine words in which the kernel tells a program about the machine. */
export const parseAuxv = (bytes: Uint8Array, type: number): number | undefined => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    if (view.getBigUint64(at, true) === BigInt(type)) return Number(view.getBigUint64(at + 8, true))
  }
  return undefined
}

// It is what libc's sysconf answers from, and `getconf` is not on every machine. Arm kernels have pages of 4, 16 or 64 KiB.
const auxv = (type: number, otherwise: number): number => {
  try {
    return parseAuxv(readFileSync("/proc/self/auxv"), type) || otherwise
  } catch {
    return otherwise
  }
}

/** Bytes. */
export const pageSize = auxv(6 /* AT_PAGESZ */, 4096)

/** In a second. 100 on every Linux that Bun and Deno run on, whatever the kernel's own rate. */
export const clockTicks = auxv(17 /* AT_CLKTCK */, 100)

/** A Linux without /proc hides it: there ps knows nothing either. */
const asksPs = process.platform !== "linux" && !existsSync("/proc/self/stat")
const units: PsTable.Units = { pageSize, clockTicks }

const LAST_FIELD = 24
const fields = new Float64Array(LAST_FIELD + 1)

/** The first `length` bytes as one line of /proc/[pid]/stat; undefined where they are not one. */
export const parseStat = (bytes: Buffer, length: number = bytes.length): ProcEntry | undefined => {
  // The name is in parentheses and may itself hold spaces, parentheses and newlines: count from the last one.
  const open = bytes.indexOf(40)
  const close = length === 0 ? -1 : bytes.lastIndexOf(41, length - 1)
  if (open < 2 || close < open || close + 4 >= length) return undefined
  let at = close + 4
  for (let field = 4; field <= LAST_FIELD; field++) {
    const negative = bytes[at] === 45
    if (negative) at++
    const begin = at
    let value = 0
    for (let digit = (bytes[at] as number) - 48; digit >= 0 && digit <= 9; ) {
      value = value * 10 + digit
      digit = (bytes[++at] as number) - 48
    }
    if (at === begin || at >= length) return undefined
    fields[field] = negative ? -value : value
    at++
  }
  const field = (n: number) => fields[n] as number
  return {
    pid: Number(bytes.toString("latin1", 0, open - 1)),
    startTime: String(field(22)),
    parent: field(4),
    group: field(5),
    session: field(6),
    state: String.fromCharCode(bytes[close + 2] as number),
    name: bytes.toString("utf8", open + 1, close),
    cpuTicks: field(14) + field(15),
    reapedTicks: field(16) + field(17),
    threads: field(20),
    rssPages: field(24)
  }
}

/** One process; undefined where it is gone. */
export const read = (pid: number): ProcEntry | undefined => {
  if (asksPs) return PsTable.read(pid, units)
  try {
    return parseStat(buffer, fill(`/proc/${pid}/stat`))
  } catch {
    return undefined
  }
}

/** Has it ended? One whose first thread has ended reads as a zombie too, and lives on in the others. */
export const isDead = ({ state, threads }: ProcEntry): boolean => state === "X" || (state === "Z" && threads <= 1)

const notThere = new Set(["ENOENT", "ESRCH", "EACCES", "EPERM"])

/** Every process that is there now, zombies too, by pid. */
export const walk = (): ReadonlyMap<number, ProcEntry> => {
  if (asksPs) return PsTable.walk(units)
  const found = new Map<number, ProcEntry>()
  try {
    for (const name of readdirSync("/proc")) {
      const first = name.charCodeAt(0)
      if (first < 49 || first > 57) continue
      try {
        const entry = parseStat(buffer, fill(`/proc/${name}/stat`))
        if (entry !== undefined) found.set(entry.pid, entry)
      } catch (error) {
        if (!notThere.has((error as NodeJS.ErrnoException).code ?? "")) return new Map()
      }
    }
  } catch {
    return new Map()
  }
  return found
}

/** `Name:  12 kB` as bytes. */
const kilobytes = (lines: string, name: string): number | undefined => {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(lines)
  return found === null ? undefined : Number(found[1]) * 1024
}

/** Of /proc/[pid]/smaps_rollup. */
export const parseRollup = (lines: string): ProcMemory => ({
  pss: kilobytes(lines, "Pss"),
  rssAnon: kilobytes(lines, "Anonymous"),
  swap: kilobytes(lines, "Swap")
})

/** Of /proc/[pid]/status, which knows no shares. */
export const parseStatus = (lines: string): ProcMemory => ({
  pss: undefined,
  rssAnon: kilobytes(lines, "RssAnon"),
  swap: kilobytes(lines, "VmSwap")
})

/** Of /proc/[pid]/io. */
export const parseIo = (lines: string): ProcIo | undefined => {
  const read = /^read_bytes: (\d+)$/m.exec(lines)
  const written = /^write_bytes: (\d+)$/m.exec(lines)
  return read === null || written === null ? undefined : { read: Number(read[1]), written: Number(written[1]) }
}

/** The dearest read here: the kernel walks the whole page table, up to milliseconds for a big process. */
export const memoryOf = (pid: number): ProcMemory => {
  const rollup = text(`/proc/${pid}/smaps_rollup`)
  // A zombie's, and a kernel thread's, is empty. Older kernels have none, and another user's is not ours to read.
  return rollup === undefined || rollup === "" ? residentOf(pid) : parseRollup(rollup)
}

/** Cheap, but what is shared is counted for each. */
export const residentOf = (pid: number): ProcMemory => parseStatus(text(`/proc/${pid}/status`) ?? "")

export const ioOf = (pid: number): ProcIo | undefined => parseIo(text(`/proc/${pid}/io`) ?? "")

/** How many descriptors are open. */
export const descriptorsOf = (pid: number): number | undefined => {
  const path = `/proc/${pid}/fd`
  try {
    // Since Linux 6.2 the size is the count; before, it is 0 and they have to be listed.
    return statSync(path).size || readdirSync(path).length
  } catch {
    return undefined
  }
}
