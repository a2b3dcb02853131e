/**
 * How much the machine's work waits for cpu, memory and storage: the kernel's pressure stall information. Undefined where
 * the kernel has none (before Linux 4.20, switched off, other systems). Nothing throws.
 */
import { readFileSync } from "node:fs"

/** Percent of the time in the last 10, 60 and 300 seconds, and microseconds since boot. */
export interface Stall {
  readonly avg10: number
  readonly avg60: number
  readonly avg300: number
  readonly totalMicros: number
}

/** `some`: at least one task waited. `full`: all that had work to do waited, so the time was lost. */
export interface Pressure {
  readonly some: Stall | undefined
  readonly full: Stall | undefined
}

export interface MachinePressure {
  readonly cpu: Pressure | undefined
  readonly memory: Pressure | undefined
  readonly io: Pressure | undefined
}

const stall = (text: string, kind: "some" | "full"): Stall | undefined => {
  const found = new RegExp(`^${kind} avg10=([\\d.]+) avg60=([\\d.]+) avg300=([\\d.]+) total=(\\d+)$`, "m").exec(text)
  if (found === null) return undefined
  const [avg10, avg60, avg300, totalMicros] = found.slice(1).map(Number) as [number, number, number, number]
  return { avg10, avg60, avg300, totalMicros }
}

/** One file of /proc/pressure; a cgroup's `cpu.pressure` and its like have the same form. */
export const parsePressure = (text: string): Pressure | undefined => {
  // Older kernels have no `full` for the cpu.
  const some = stall(text, "some")
  const full = stall(text, "full")
  return some === undefined && full === undefined ? undefined : { some, full }
}

const read = (resource: string): Pressure | undefined => {
  try {
    return parsePressure(readFileSync(`/proc/pressure/${resource}`, "latin1"))
  } catch {
    return undefined // no such file, or one that answers EOPNOTSUPP because it was switched off at boot
  }
}

export const machinePressure = (): MachinePressure => ({ cpu: read("cpu"), memory: read("memory"), io: read("io") })
