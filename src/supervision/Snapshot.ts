/** What a supervisor and its children are like at this moment, as plain values. */
import { type FaultReport, report } from "../domain/Fault.ts"
import type { RestartType } from "./Child.ts"
import type { ChildStatus, Entry } from "./ChildTable.ts"
import type { Engine } from "./Engine.ts"
import { endingOf, faultOf } from "./ExitReason.ts"

export interface ChildInfo {
  readonly id: string
  readonly kind: "worker" | "supervisor"
  readonly restart: RestartType
  readonly status: ChildStatus
  readonly restarts: number
  /** milliseconds since it was ready; undefined while it is not running */
  readonly uptimeMillis: number | undefined
  /** milliseconds until its next life; undefined unless it waits for one */
  readonly restartInMillis: number | undefined
  readonly lastFailure: (FaultReport & { readonly at: number }) | undefined
}

const infoOf = <R>(entry: Entry<R>, now: number): ChildInfo => {
  const exit = entry.lastExit
  const failed = exit !== undefined && endingOf(exit) === "failed"
  return {
    id: entry.child.id,
    kind: entry.child.kind ?? "worker",
    restart: entry.restartType,
    status: entry.status,
    restarts: entry.restarts,
    uptimeMillis: entry.status === "running" && entry.life !== undefined ? now - entry.life.readyAt : undefined,
    restartInMillis: entry.pause === undefined ? undefined : Math.max(0, entry.dueAt - now),
    lastFailure: failed ? { ...report(faultOf(exit)), at: entry.lastExitAt } : undefined
  }
}

export const whichOf = <R>(engine: Engine<R>): ReadonlyArray<ChildInfo> => {
  const now = engine.now
  return Array.from(engine.table, (entry) => infoOf(entry, now))
}

export interface ChildCount {
  /** all in its list */
  readonly children: number
  /** those with a life, ready or not */
  readonly active: number
  readonly workers: number
  readonly supervisors: number
}

export const countOf = <R>(engine: Engine<R>): ChildCount => {
  let active = 0
  let supervisors = 0
  for (const entry of engine.table) {
    if (entry.life !== undefined) active++
    if (entry.child.kind === "supervisor") supervisors++
  }
  const children = engine.table.size
  return { children, active, workers: children - supervisors, supervisors }
}
