/** A supervisor's specification with every default filled in and every time in milliseconds. */
import type { EscalationLadder } from "./EscalationLadder.ts"
import type { Report } from "./Reporter.ts"
import type { RestartBudget } from "./RestartBudget.ts"
import type { StoppedStore } from "./StoppedStore.ts"
import type { AutoShutdown, Strategy } from "./Strategy.ts"

export interface EngineSettings {
  readonly path: string
  readonly strategy: Strategy
  readonly maxRestarts: number
  readonly withinMillis: number
  readonly autoShutdown: AutoShutdown
  /** at the end all children are told to stop at once, instead of one after the other */
  readonly stopTogether: boolean
  readonly maxChildren: number
  readonly ladder: EscalationLadder | undefined
  readonly budget: RestartBudget | undefined
  readonly stopped: StoppedStore | undefined
  readonly report: Report | undefined
}
