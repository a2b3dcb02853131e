/**
 * Who belongs to which run, from one walk of /proc for all runs: what carries a run's marker, what is in its leader's
 * group, what is in a session that a member has made, what descends from a member, and what its cgroup holds.
 *
 * Promises: who was once seen as a member stays one, whatever becomes of its parent, its environment or its session; the
 * caller itself and what else is not to be touched is never a member. What a process could do between two walks to be in
 * none of these is told in docs/processes.md.
 */
import { readdirSync, readFileSync } from "node:fs"
import { MARKER, type ProcessIdentity } from "./ProcessTable.ts"
import * as ProcFs from "./ProcFs.ts"

export interface Run {
  /** The value of its marker. */
  readonly marker: string
  readonly leader: ProcessIdentity
  /** The leader has ended since the walk before, so recently that its number can belong to nobody else yet. */
  readonly justEnded?: boolean
  /** All that its cgroup holds; nothing where it has none. */
  readonly cgroup: { pids(): ReadonlyArray<number>; populated(): boolean } | undefined
}

export type Members = ReadonlyArray<ProcFs.ProcEntry>

/** Empty where it is gone, or another user's. */
const environmentOf = (path: string): string => {
  try {
    return readFileSync(`${path}/environ`, "latin1")
  } catch {
    return "" // gone meanwhile, or another user's
  }
}

/** A thread that has ended has none any more, though its process may go on: then the others are asked. */
const anyEnvironmentOf = (pid: number): string => {
  const own = environmentOf(`/proc/${pid}`)
  if (own !== "") return own
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const other = thread === String(pid) ? "" : environmentOf(`/proc/${pid}/task/${thread}`)
      if (other !== "") return other
    }
  } catch {
    // Gone meanwhile.
  }
  return ""
}

/** The marker of a process: of its environment as it was given, unless it has overwritten that. */
export const markerOf = (pid: number): string | undefined => markerIn(anyEnvironmentOf(pid))

const markerIn = (environment: string): string | undefined => {
  const prefix = `${MARKER}=`
  const at = environment.startsWith(prefix) ? 0 : environment.indexOf(`\0${prefix}`) + 1
  if (at === 0 && !environment.startsWith(prefix)) return undefined
  const end = environment.indexOf("\0", at)
  return environment.slice(at + prefix.length, end < 0 ? undefined : end)
}

interface Known {
  readonly startTime: string
  /** The marker of the run it belongs to; undefined where it belongs to none. */
  readonly run: string | undefined
}

export class Membership {
  /**
   * A process has the marker from its birth (fork copies the environment) or never gets it, but for leaders, which are
   * known by pid. So each is asked once.
   */
  private known = new Map<number, Known>()
  private readonly spared: () => Iterable<number>

  /** `spared` are pids beside our own that are never members. */
  constructor(spared: () => Iterable<number> = () => []) {
    this.spared = spared
  }

  /** The living members of each of these runs, by marker. Synchronous. */
  of(
    runs: ReadonlyArray<Run>,
    table: ReadonlyMap<number, ProcFs.ProcEntry> = ProcFs.walk()
  ): ReadonlyMap<string, Members> {
    const belongs = this.attribute(runs, table)
    const members = new Map<string, Array<ProcFs.ProcEntry>>(runs.map(({ marker }) => [marker, []]))
    for (const [pid, run] of belongs) {
      const entry = table.get(pid)
      if (entry !== undefined && !ProcFs.isDead(entry)) members.get(run)?.push(entry)
    }
    return members
  }

  private attribute(runs: ReadonlyArray<Run>, table: ReadonlyMap<number, ProcFs.ProcEntry>): Map<number, string> {
    // Ourselves, all that has led to us, and the system's first.
    const spared = new Set([...this.spared(), ...lineOf(process.pid, table)])
    const wanted = new Set(runs.map(({ marker }) => marker))
    const groups = new Map<number, string>()
    const belongs = new Map<number, string>()
    const marked = new Map<number, string>()
    const unknown = new Set<number>()
    const add = (pid: number, run: string) => {
      if (!spared.has(pid) && table.has(pid) && !belongs.has(pid)) belongs.set(pid, run)
    }
    for (const { cgroup, justEnded, leader, marker } of runs) {
      const holder = table.get(leader.pid)
      if (holder?.startTime === leader.startTime || (justEnded === true && holder === undefined)) {
        groups.set(leader.pid, marker)
      }
      if (holder?.startTime === leader.startTime) add(leader.pid, marker)
      // Most that have lost their leader are empty, and that is quicker to be asked than who is in it.
      if (cgroup === undefined || (holder?.startTime !== leader.startTime && !cgroup.populated())) continue
      for (const pid of cgroup.pids()) add(pid, marker)
    }
    const children = new Map<number, Array<number>>()
    const sessions = new Map<number, Array<number>>()
    for (const entry of table.values()) {
      push(children, entry.parent, entry.pid)
      push(sessions, entry.session, entry.pid)
      const known = this.known.get(entry.pid)
      const environment = known?.startTime === entry.startTime ? undefined : anyEnvironmentOf(entry.pid)
      // In the middle of an exec there is none for a moment: it is asked again at the next walk.
      if (environment === "" && entry.rssPages > 0) unknown.add(entry.pid)
      const run = environment === undefined ? known?.run : markerIn(environment)
      if (run !== undefined) marked.set(entry.pid, run)
      if (run !== undefined && wanted.has(run)) add(entry.pid, run)
    }
    // A group is a run's while its leader is there, or anyone in it who is known to be the run's.
    const led = new Map(runs.map(({ leader, marker }) => [leader.pid, marker]))
    for (const [pid, run] of belongs) {
      const group = table.get(pid)?.group ?? 0
      if (led.get(group) === run) groups.set(group, run)
    }
    for (const entry of table.values()) {
      const run = groups.get(entry.group)
      if (run !== undefined && wanted.has(run)) add(entry.pid, run)
    }
    // A leader has called setsid before it was run, so every session among members was made by one of them.
    const ours = new Set([...spared].flatMap((pid) => table.get(pid)?.session ?? []))
    for (const [pid, run] of belongs) {
      for (const child of children.get(pid) ?? []) add(child, run)
      const session = table.get(pid)?.session ?? 0
      if (session > 0 && !ours.has(session)) for (const other of sessions.get(session) ?? []) add(other, run)
    }
    this.known = new Map()
    for (const { pid, startTime } of table.values()) {
      const run = belongs.get(pid) ?? marked.get(pid)
      if (run !== undefined || !unknown.has(pid)) this.known.set(pid, { startTime, run })
    }
    return belongs
  }
}

/** A process and all that has led to it, the system's first in any case. */
export const lineOf = (pid: number, table: ReadonlyMap<number, ProcFs.ProcEntry>): ReadonlySet<number> => {
  const line = new Set<number>()
  for (let each = pid; each > 0 && !line.has(each); each = table.get(each)?.parent ?? 0) line.add(each)
  return line.add(1)
}

const push = (map: Map<number, Array<number>>, key: number, value: number) => {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
