/**
 * What a supervisor does about a child that has ended, as pure functions: who died and why goes in, what to stop and
 * what to start comes out. When it is done, and how long it may take, is left to the loop.
 */
import type { RestartType } from "./Child.ts"
import type { Ending } from "./ExitReason.ts"

/**
 * - `one_for_one`: only the child that failed is restarted
 * - `one_for_all`: all others are stopped, last one first, then all are started, first one first
 * - `rest_for_one`: the same for the children after the failed one
 * - `escalate`: the supervisor stops and fails, and its parent decides
 */
export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one" | "escalate"

/**
 * When a supervisor ends by itself, well: never, when a significant child has ended and is not restarted, or when the
 * last one has. A child that was told to stop, alone or with its group, ends nothing.
 */
export type AutoShutdown = "never" | "any_significant" | "all_significant"

export interface Death {
  readonly restart: RestartType
  readonly ending: Ending
  /** it failed with what no restart can cure */
  readonly escalates: boolean
  /** it counts against the intensity */
  readonly counts: boolean
}

export type Decision =
  /** it stays down and may be restarted on request */
  | "rest"
  /** it is removed from the list of children */
  | "forget"
  /** it is restarted, and with it its group */
  | "restart"
  /** the supervisor gives up because of the fault */
  | "escalate"
  /** the supervisor gives up because its strategy says so */
  | "surrender"

export const decide = (strategy: Strategy, death: Death): Decision => {
  if (death.ending === "failed" && death.escalates) return "escalate"
  if (death.restart === "temporary") return "forget"
  if (death.ending === "stopped") return "rest"
  if (death.ending === "normal" && death.restart === "transient") return "rest"
  return strategy === "escalate" && death.counts ? "surrender" : "restart"
}

/** How many of the children a restart concerns: the one that failed, it and those after it, or all. */
export type Reach = "one" | "rest" | "all"

export const reachOf = (strategy: Strategy): Reach =>
  strategy === "one_for_all" ? "all" : strategy === "rest_for_one" ? "rest" : "one"
