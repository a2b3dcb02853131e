/**
 * Before anything is started: ends what earlier lives of the runtime on this data directory have left, which they can
 * have only where they and their guardian were killed together. Found by cgroup, by recorded identity, by marker, and by
 * descent and session from these.
 *
 * Promises: nothing is touched that is not this data directory's, nor what has led to this process; it ends when two walks
 * in a row find nothing, or with `TreeSurvived` after the limit.
 */
import { Duration, Effect } from "effect"
import * as Monotonic from "../domain/Monotonic.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import type { Found } from "./CgroupPlace.ts"
import { sweepSubtrees } from "./CgroupTree.ts"
import { lineOf, markerOf } from "./Membership.ts"
import { TreeSurvived } from "./ProcessError.ts"
import { available, type ProcessIdentity, signal } from "./ProcessTable.ts"
import * as ProcFs from "./ProcFs.ts"
import type { RunRecords } from "./RunRecords.ts"

export interface SweepOptions {
  /** The id of the data directory. */
  readonly owner: string
  readonly records: RunRecords
  /** Where our cgroups are; undefined where there are none. */
  readonly found: Found | undefined
  /** What is killed and does not go within this time is a survivor. */
  readonly limit: Duration.Duration
}

export type Swept = ReadonlyArray<{ readonly pid: number; readonly name: string }>

export const cgroupPrefix = (owner: string) => `mister-smith-${owner}-`

export const sweep = Effect.fn("Sweep.sweep")(function* ({ found, limit, owner, records }: SweepOptions) {
  const began = yield* Monotonic.millis
  const ended = new Map<number, string>()
  const recorded = records.list()
  let empty = 0
  while (empty < 2) {
    const groups =
      found === undefined
        ? []
        : sweepSubtrees(found, (name) => name.startsWith(cgroupPrefix(owner)), { waitMillis: 20 })
    for (const { processes } of groups) for (const { name, pid } of processes) ended.set(pid, name)
    const left = members(owner, recorded)
    const gone = groups.every((group) => group.gone)
    if (left?.length === 0 && gone) {
      empty++
      continue
    }
    empty = 0
    if ((yield* Monotonic.millis) - began > Duration.toMillis(limit)) {
      const survivors = [...(left ?? []), ...groups.flatMap((group) => group.left)].map(({ name, pid }) => ({
        pid,
        name
      }))
      return yield* new TreeSurvived({ run: `an earlier run on this data directory`, survivors })
    }
    for (const entry of left ?? []) {
      if (signal(entry, "SIGKILL")) ended.set(entry.pid, entry.name)
    }
    yield* Effect.sleep("5 millis")
  }
  crashPoint("sweep.ended")
  records.clear()
  const swept: Swept = [...ended].map(([pid, name]) => ({ pid, name }))
  return swept
})

/** Undefined where nothing could be seen. */
const members = (
  owner: string,
  recorded: ReadonlyArray<ProcessIdentity>
): ReadonlyArray<ProcFs.ProcEntry> | undefined => {
  const table = ProcFs.walk()
  if (available && table.size === 0) return undefined
  // Someone may start a runtime from within what another has left.
  const spared = lineOf(process.pid, table)
  const leaders = new Set(
    recorded.flatMap(({ pid, startTime }) => (table.get(pid)?.startTime === startTime ? [pid] : []))
  )
  const found = new Map<number, ProcFs.ProcEntry>()
  const add = (entry: ProcFs.ProcEntry | undefined) => {
    if (entry !== undefined && !spared.has(entry.pid)) found.set(entry.pid, entry)
  }
  for (const entry of table.values()) {
    if (leaders.has(entry.pid) || leaders.has(entry.group) || markerOf(entry.pid)?.startsWith(`${owner}.`)) add(entry)
  }
  const ours = new Set([...spared].flatMap((pid) => table.get(pid)?.session ?? []))
  let size = -1
  while (size !== found.size) {
    size = found.size
    const sessions = new Set([...found.values()].map(({ session }) => session))
    for (const entry of table.values()) {
      if (found.has(entry.parent) || (entry.session > 0 && sessions.has(entry.session) && !ours.has(entry.session)))
        add(entry)
    }
  }
  return [...found.values()].filter((entry) => !ProcFs.isDead(entry))
}
