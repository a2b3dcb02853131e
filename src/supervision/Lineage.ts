/** What a supervisor hands down to the supervisors among its descendants: where they are, and who hears of them. */
import { Context } from "effect"
import type { Report } from "./Reporter.ts"
import type { RestartBudget } from "./RestartBudget.ts"
import type { SupervisorInfo } from "./Snapshot.ts"
import type { StoppedStore } from "./StoppedStore.ts"

export interface Lineage {
  /** the path of the nearest supervisor above; empty at the root */
  readonly path: string
  readonly report: Report | undefined
  readonly budget: RestartBudget | undefined
  readonly stopped: StoppedStore | undefined
  /** Where a supervisor below makes itself known; returns how it takes leave. */
  readonly nest: (id: string, info: () => SupervisorInfo) => () => void
}

export const Lineage = Context.Reference<Lineage>("mister-smith/supervision/Lineage", {
  defaultValue: () => ({ path: "", report: undefined, budget: undefined, stopped: undefined, nest: () => () => {} })
})
