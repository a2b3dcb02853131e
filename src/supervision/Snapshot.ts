/** What a supervisor and its children are like at this moment, as plain values. */
import { type FaultReport, report } from "../domain/Fault.ts"
import type { RestartType } from "./Child.ts"
import type { ChildStatus, Entry } from "./ChildTable.ts"
import type { Engine } from "./Engine.ts"
import { type Ending, endingOf, faultOf } from "./ExitReason.ts"
import type { Strategy } from "./Strategy.ts"

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
  readonly lastEnding: Ending | undefined
  /** why it is down, where its last ending does not tell */
  readonly note: string | undefined
  /** what is below it, if it is a supervisor and has a life */
  readonly supervisor: SupervisorInfo | undefined
}

const childOf = <R>(engine: Engine<R>, entry: Entry<R>, now: number): ChildInfo => {
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
    lastFailure: failed ? { ...report(faultOf(exit)), at: entry.lastExitAt } : undefined,
    lastEnding: exit === undefined ? undefined : endingOf(exit),
    note: entry.note,
    supervisor: entry.life === undefined ? undefined : engine.nested.get(entry.child.id)?.()
  }
}

export const whichOf = <R>(engine: Engine<R>): ReadonlyArray<ChildInfo> => {
  const now = engine.now
  return Array.from(engine.table, (entry) => childOf(engine, entry, now))
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

export interface SupervisorInfo {
  readonly path: string
  readonly strategy: Strategy
  readonly phase: "starting" | "running" | "stopping" | "ended"
  /** why it gave up */
  readonly failure: string | undefined
  readonly children: ReadonlyArray<ChildInfo>
}

export const infoOf = <R>(engine: Engine<R>): SupervisorInfo => ({
  path: engine.settings.path,
  strategy: engine.settings.strategy,
  phase: engine.phase === "new" || engine.phase === "booting" ? "starting" : engine.phase,
  failure: engine.failure?.message,
  children: whichOf(engine)
})
