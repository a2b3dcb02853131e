/**
 * Walks of /proc that follow each other closely. The kernel counts whatever is born (`processes` in /proc/stat, threads
 * too); where the count is the same before one walk and after the next, all that is alive now was in the first, so the
 * next one looks at those again and needs no list.
 *
 * Promises: such a walk finds all that a full one would. It reads every process anew but zombies and the kernel's own
 * threads, which it keeps as they were: the one cannot come back to life, and the other, kept, is taken for alive. A process
 * that the kernel is just making while the count is read has a parent that was still alive when it was looked at. Where the
 * count is not to be had, or was never seen to grow (there are kernels in user space that only write a number there), every
 * walk is a full one.
 */
import { closeSync, openSync, readSync } from "node:fs"
import * as ProcFs from "./ProcFs.ts"

type Table = ReadonlyMap<number, ProcFs.ProcEntry>

export interface Births {
  /** Empty where a walk could not be completed. Synchronous. */
  walk(): Table
}

/** What is to be read of the machine, in place of /proc. */
export interface Source {
  readonly count: () => number | undefined
  readonly walk: () => Table
  readonly read: (pid: number) => ProcFs.ProcEntry | undefined
  readonly isGone: (pid: number) => boolean
}

/** The line of each interrupt comes first, so on a machine of many processors the file is long. */
const buffer = Buffer.allocUnsafe(256 * 1024)
const LINE = "\nprocesses "

/** Born since boot; undefined where the kernel does not say. */
export const count = (): number | undefined => {
  try {
    const file = openSync("/proc/stat", "r")
    try {
      const length = readSync(file, buffer, 0, buffer.length, null)
      const at = buffer.lastIndexOf(LINE, length - 1)
      if (at < 0 || at >= length) return undefined
      const born = Number.parseInt(
        buffer.toString("latin1", at + LINE.length, Math.min(length, at + LINE.length + 20)),
        10
      )
      return born > 0 ? born : undefined
    } finally {
      closeSync(file)
    }
  } catch {
    return undefined
  }
}

/** One that could not be read may be there all the same: there may be no descriptor left. */
const isGone = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH"
  }
}

/** Nothing becomes of a zombie but that it vanishes. One with threads is none: only its first thread has ended. */
const isDead = ({ state, threads }: ProcFs.ProcEntry): boolean => state === "Z" && threads <= 1

/** The children of kthreadd use no memory, and are in no group and no session. */
const isKernels = ({ group, parent, rssPages, session, state }: ProcFs.ProcEntry): boolean =>
  parent === 2 && rssPages === 0 && group === 0 && session === 0 && state !== "Z"

export const make = (source: Source = { count, walk: ProcFs.walk, read: ProcFs.read, isGone }): Births => {
  let last: { readonly table: Table; readonly born: number } | undefined
  let seen: number | undefined
  let grows = false

  /** Undefined where it takes a full walk. */
  const again = (table: Table, born: number): Table | undefined => {
    const found = new Map<number, ProcFs.ProcEntry>()
    for (const [pid, entry] of table) {
      const now = isKernels(entry) || isDead(entry) ? entry : source.read(pid)
      if (now !== undefined) found.set(pid, now)
      else if (!source.isGone(pid)) return undefined
    }
    // Only now: what was born while we looked would not be in it.
    return source.count() === born ? found : undefined
  }

  return {
    walk: () => {
      const born = source.count()
      if (born !== undefined && seen !== undefined && born > seen) grows = true
      seen = born
      const table = grows && last !== undefined && last.born === born ? again(last.table, last.born) : undefined
      if (table !== undefined && born !== undefined) {
        last = { table, born }
        return table
      }
      const walked = source.walk()
      last = born === undefined || walked.size === 0 ? undefined : { table: walked, born }
      return walked
    }
  }
}
