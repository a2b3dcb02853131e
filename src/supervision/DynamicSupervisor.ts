/**
 * A supervisor of many alike children that come and go on request, with a hard cap. A child that fails is restarted
 * alone; at the end all are told to stop at once. Otherwise a supervisor like any other.
 */
import type { Duration } from "effect"
import type { Fault } from "../domain/Fault.ts"
import type { Child } from "./Child.ts"
import * as Supervisor from "./Supervisor.ts"

export interface DynamicSpec extends Pick<Supervisor.SupervisorSpec, "report" | "budget" | "stopped"> {
  readonly id: string
  /** default 3 */
  readonly maxRestarts?: number
  /** default 60 seconds */
  readonly within?: Duration.Input
  /** Children at most; a request for one more fails with `SupervisorFull`. */
  readonly maxChildren: number
}

export const specOf = <R = never>(spec: DynamicSpec): Supervisor.SupervisorSpec<R> => ({
  maxRestarts: 3,
  within: "60 seconds",
  ...spec,
  strategy: "one_for_one",
  stopTogether: true,
  children: []
})

export const start = <R = never>(spec: DynamicSpec) => Supervisor.start<R>(specOf(spec))

/** As a child; `onStart` is given each of its lives as soon as it is ready for requests. */
export const child = <R = never>(spec: DynamicSpec, onStart: (supervisor: Supervisor.Supervisor<R>) => void) =>
  Supervisor.child<R>(specOf(spec), onStart) satisfies Child<Fault, R>
