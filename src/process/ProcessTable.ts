/**
 * Which process is which, and signals that reach no other. A pid alone may be reused; with its start time it names one
 * process for ever. Where there is no /proc (macOS), `ps` is asked, which tells less (PsTable.ts).
 */
import { existsSync } from "node:fs"
import * as ProcFs from "./ProcFs.ts"

/** The environment variable that marks everything a run has started. Its value is unique to the run. */
export const MARKER = "MISTER_SMITH_RUN"

/** False on systems without /proc, where `ps` tells of processes, but not of their environment. */
export const available = existsSync("/proc/self/stat")

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks since boot, as text. */
  readonly startTime: string
}

/** Reads one entry, or nothing where the process is gone. */
export const read = (pid: number): ProcFs.ProcEntry | undefined => ProcFs.read(pid)

/** Signals a process only while it is still the one that was read. False where it was gone already. */
export const signal = (entry: ProcessIdentity, name: NodeJS.Signals): boolean => {
  // 1 is the system's own, 0 and less are whole groups, -1 is everybody.
  if (!(entry.pid > 1) || read(entry.pid)?.startTime !== entry.startTime) return false
  try {
    return process.kill(entry.pid, name)
  } catch {
    return false
  }
}

/**
 * Signals the group that this process leads, only while it is there itself, dead but not yet waited for included: then the
 * number is its own. False where it is gone.
 */
export const signalLed = (leader: ProcessIdentity, name: NodeJS.Signals): boolean =>
  read(leader.pid)?.startTime === leader.startTime && signalGroup(leader.pid, name)

/**
 * Signals a whole process group. False where it is empty. Who calls it knows that someone in it is ours at this moment: a
 * number cannot be given to another group while anyone is in it, and may be as soon as nobody is.
 */
export const signalGroup = (group: number, name: NodeJS.Signals): boolean => {
  // The group 1 would be written as -1, which is everybody; 0 is our own.
  if (!(group > 1)) return false
  try {
    return process.kill(-group, name)
  } catch {
    return false
  }
}

/** Is anyone in this group, a zombie included? */
export const groupExists = (group: number): boolean => {
  if (!(group > 1)) return false
  try {
    return process.kill(-group, 0)
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}
