/** What the system's refusal to start another process rests on, as far as it can be told. */
import { readFileSync } from "node:fs"
import { descriptorsOf } from "./ProcFs.ts"

export interface Evidence {
  readonly openFiles?: number
  readonly maxOpenFiles?: number
  readonly maxProcesses?: number
  /** Bytes. */
  readonly memoryAvailable?: number
}

const text = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

/** The soft limit; undefined where there is none. */
const softLimit = (limits: string, name: string): number | undefined => {
  const found = new RegExp(`^${name}\\s+(\\d+)`, "m").exec(limits)?.[1]
  return found === undefined ? undefined : Number(found)
}

/** Read when all is well: when no descriptor is left, no file can be read any more. */
export const limits = (): Pick<Evidence, "maxOpenFiles" | "maxProcesses"> => {
  const all = text("/proc/self/limits")
  const maxOpenFiles = softLimit(all, "Max open files")
  const maxProcesses = softLimit(all, "Max processes")
  return {
    ...(maxOpenFiles === undefined ? {} : { maxOpenFiles }),
    ...(maxProcesses === undefined ? {} : { maxProcesses })
  }
}

/** As it is now. */
export const gather = (known: ReturnType<typeof limits>): Evidence => {
  const openFiles = descriptorsOf(process.pid)
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(text("/proc/meminfo"))?.[1]
  return {
    ...known,
    ...(openFiles === undefined ? {} : { openFiles }),
    ...(available === undefined ? {} : { memoryAvailable: Number(available) * 1024 })
  }
}

/** For the message of an error with this code. */
export const inWords = (evidence: Evidence, code: string): string => {
  const { maxOpenFiles = "?", maxProcesses, memoryAvailable, openFiles } = evidence
  switch (code) {
    case "EMFILE":
    case "ENFILE":
      return openFiles === undefined ? "" : `: ${openFiles} of ${maxOpenFiles} descriptors are open`
    case "EAGAIN":
      return maxProcesses === undefined ? "" : `: this user may have ${maxProcesses} processes and threads`
    default:
      return memoryAvailable === undefined
        ? ""
        : `: ${Math.round(memoryAvailable / 2 ** 20)} MiB of memory are available`
  }
}
