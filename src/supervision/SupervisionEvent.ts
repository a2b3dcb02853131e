/**
 * Every decision of a supervisor, as it is taken. Events report; nothing waits for them. `why` is a sentence for
 * people, `reason` the fault behind it, `cause` the whole story of a crash, stack included.
 */
import type { Cause } from "effect"
import type { Fault, FaultReport } from "../domain/Fault.ts"
import type { Rung } from "./EscalationLadder.ts"
import type { Ending } from "./ExitReason.ts"
import type { Reach } from "./Strategy.ts"
import type { SupervisorGaveUp } from "./SupervisionError.ts"

interface Of<Tag extends string> {
  readonly _tag: Tag
  /** the path of the supervisor, such as "node/agents" */
  readonly supervisor: string
  /** milliseconds since the epoch */
  readonly at: number
  readonly why: string
}

interface OfChild<Tag extends string> extends Of<Tag> {
  readonly child: string
  /** 1 is the first life */
  readonly life: number
}

export type SupervisionEvent =
  | OfChild<"ChildStarting">
  | (OfChild<"ChildReady"> & { readonly tookMillis: number })
  | (OfChild<"ChildExited"> & {
      readonly ending: Ending
      readonly wasReady: boolean
      readonly ranMillis: number
      readonly reason: FaultReport | undefined
      readonly cause: Cause.Cause<Fault> | undefined
    })
  | (OfChild<"RestartScheduled"> & {
      readonly delayMillis: number
      /** restarts in a row, this one included */
      readonly attempt: number
      readonly counted: boolean
      readonly reach: Reach
      readonly reason: FaultReport
    })
  | (OfChild<"ChildRestarted"> & { readonly restarts: number })
  /** It ended and is not restarted. */
  | (OfChild<"ChildResting"> & { readonly forgotten: boolean })
  /** It was told to stop and has stopped, or was given up waiting for. */
  | (OfChild<"ChildTerminated"> & { readonly by: "request" | "group" | "shutdown" })
  /** Its silence is longer than its rhythm lets expect, or is over after all. */
  | (Of<"ChildSuspected"> & {
      readonly child: string
      readonly suspected: boolean
      readonly phi: number
      readonly silenceMillis: number
    })
  /** It did not end in time and was abandoned: whatever holds it up still runs, and nothing waits for it any more. */
  | (OfChild<"ShutdownOverran"> & { readonly afterMillis: number })
  /** A life that was abandoned has ended after all. */
  | OfChild<"AbandonedEnded">
  | (Of<"GaveUp"> & { readonly error: SupervisorGaveUp })
  | (Of<"Escalated"> & { readonly child: string; readonly error: SupervisorGaveUp })
  /** Its restarts are used up, and it tries the next rung of its ladder. */
  | (Of<"LadderClimbed"> & { readonly child: string; readonly rung: number; readonly action: Rung["do"] })
  | Of<"SupervisorStarted">
  | Of<"SupervisorStopping">
  | Of<"SupervisorEnded">
  /** Events were dropped because those who were to hear them did not keep up. */
  | (Of<"EventsLost"> & { readonly count: number })
