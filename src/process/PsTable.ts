/**
 * What ps(1) tells of the processes of a system without /proc, in the shape of ProcFs.ts: by it groups and descent are
 * walked there too. Written for macOS and the columns that POSIX, BSD and procps have in common; not tried on macOS.
 *
 * Promises: nothing throws; where ps fails, or does not even know this process, the answer is empty. Of what ps does not
 * tell, threads count as one, and the time of reaped children as none. A start is known to the second only, so a pid that
 * is given anew within the second in which its process began and ended is taken for the same process. Each call costs a
 * process: some 10 ms.
 */
import { spawnSync } from "node:child_process"
import type { ProcEntry } from "./ProcFs.ts"

/** How the machine counts. */
export interface Units {
  /** Bytes. */
  readonly pageSize: number
  /** In a second. */
  readonly clockTicks: number
}

/** Each in an argument of its own: BSD takes all that follows "pid=" in the same one for the header. */
const COLUMNS = ["pid", "ppid", "pgid", "sess", "state", "rss", "time", "lstart", "comm"].flatMap((name) => [
  "-o",
  `${name}=`
])
/** More than any ps takes; then there is no answer. */
const LIMIT = 10_000
const MAX_OUTPUT = 64 * 1024 ** 2

/** pid, parent, group, session, state, kilobytes, time of cpu, "Fri Nov 21 08:00:00 2026", and the rest is the command. */
const ROW =
  /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S)\S*\s+(\d+)\s+(\S+)\s+[A-Z][a-z]{2}\s+([A-Z][a-z]{2})\s+(\d+)\s+(\d+):(\d+):(\d+)\s+(\d{4})\s+(.*)$/

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

/**
 * procps prints the pid of its leader. macOS prints the address of the kernel's own record in hexadecimal, of which the
 * low 48 bits differ from session to session, or 0 where it does not tell.
 */
const sessionOf = (text: string): number => {
  if (/^\d{1,7}$/.test(text)) return Number(text)
  const address = /^(?:0x)?([0-9a-f]{1,16})$/i.exec(text)?.[1]
  return address === undefined ? 0 : Number(BigInt(`0x${address}`) & 0xffff_ffff_ffffn)
}

/** "0:00.12", "123:45.67", "02:03:04" or "1-02:03:04", in seconds. */
const secondsOf = (text: string): number => {
  const found = /^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)$/.exec(text)
  if (found === null) return 0
  const [days, hours, minutes, seconds] = found.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number
  ]
  return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
}

/** One line; undefined where it is none. */
export const parseRow = (line: string, { clockTicks, pageSize }: Units): ProcEntry | undefined => {
  const found = ROW.exec(line)
  if (found === null) return undefined
  const [, pid, parent, group, session, state, rss, time, month, day, hour, minute, second, year, command] =
    found as unknown as ReadonlyArray<string>
  const began = Date.UTC(
    Number(year),
    MONTHS.indexOf(month as string),
    Number(day),
    Number(hour),
    Number(minute),
    Number(second)
  )
  return {
    pid: Number(pid),
    startTime: String(began / 1000),
    parent: Number(parent),
    group: Number(group),
    session: sessionOf(session as string),
    state: state as string,
    // macOS prints the path of the executable.
    name: command?.startsWith("/") ? command.slice(command.lastIndexOf("/") + 1) : (command as string),
    cpuTicks: Math.round(secondsOf(time as string) * clockTicks),
    reapedTicks: 0,
    threads: 1,
    rssPages: Math.round((Number(rss) * 1024) / pageSize)
  }
}

/** All lines that are one; not to see one process is better than to see none. */
export const parse = (text: string, units: Units): ReadonlyMap<number, ProcEntry> =>
  new Map(
    text.split("\n").flatMap((line) => {
      const entry = parseRow(line, units)
      return entry === undefined ? [] : [[entry.pid, entry] as const]
    })
  )

const ps = (which: ReadonlyArray<string>, units: Units): ReadonlyMap<number, ProcEntry> => {
  const { pid, status, stdout } = spawnSync("ps", [...which, ...COLUMNS], {
    // In words that are parsed above, and the same before and after a change of the clock.
    env: { PATH: process.env["PATH"] ?? "/bin:/usr/bin", LC_ALL: "C", TZ: "UTC" },
    stdio: ["ignore", "pipe", "ignore"],
    encoding: "utf8",
    timeout: LIMIT,
    maxBuffer: MAX_OUTPUT
  })
  if (status !== 0) return new Map()
  const found = new Map(parse(stdout, units))
  // It sees itself, and is gone by now.
  found.delete(pid)
  return found
}

/** Every process that is there now, zombies too, by pid; empty where ps cannot be asked. */
export const walk = (units: Units): ReadonlyMap<number, ProcEntry> => {
  const found = ps(["-A"], units)
  return found.has(process.pid) ? found : new Map()
}

/** One process; undefined where it is gone. */
export const read = (pid: number, units: Units): ProcEntry | undefined => ps(["-p", String(pid)], units).get(pid)
