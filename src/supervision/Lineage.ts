/** What a supervisor hands down to the supervisors among its descendants: where they are, and who hears of them. */
import { Context } from "effect"
import type { Report } from "./Reporter.ts"
import type { RestartBudget } from "./RestartBudget.ts"
import type { StoppedStore } from "./StoppedStore.ts"

export interface Lineage {
  /** the path of the nearest supervisor above; empty at the root */
  readonly path: string
  readonly report: Report | undefined
  readonly budget: RestartBudget | undefined
  readonly stopped: StoppedStore | undefined
}

export const Lineage = Context.Reference<Lineage>("mister-smith/supervision/Lineage", {
  defaultValue: () => ({ path: "", report: undefined, budget: undefined, stopped: undefined })
})
