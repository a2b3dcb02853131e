/**
 * Why a life ended, read from its Exit. A typed failure is the Fault itself; a defect becomes a Fault that counts and
 * asks for a restart, its cause kept beside it; an interruption from outside is a stop.
 */
import { Cause, Exit, Option, Result } from "effect"
import { type Fault, isFault, report } from "../domain/Fault.ts"
import type { FailureRecord } from "./SupervisionError.ts"

export type Ending =
  /** it had nothing more to do */
  | "normal"
  /** someone interrupted it */
  | "stopped"
  | "failed"

export const endingOf = (exit: Exit.Exit<void, Fault>): Ending =>
  Exit.isSuccess(exit) ? "normal" : Cause.hasInterruptsOnly(exit.cause) ? "stopped" : "failed"

const madeUp = (_tag: string, message: string, hint?: string): Fault => ({
  _tag,
  message,
  severity: "high",
  recovery: "restart",
  countsAgainstIntensity: true,
  hint
})

const ended = madeUp("Ended", "ended by itself, although it must not")
const stopped = madeUp("Stopped", "was stopped before it was ready")

/** The Fault that stands for this ending. */
export const faultOf = (exit: Exit.Exit<void, Fault>): Fault => {
  if (Exit.isSuccess(exit)) return ended
  const fault = Cause.findErrorOption(exit.cause)
  if (Option.isSome(fault)) {
    return isFault(fault.value) ? fault.value : madeUp("UnknownError", String(fault.value))
  }
  const defect = Cause.findDefect(exit.cause)
  if (Result.isSuccess(defect)) {
    const what = defect.success
    return madeUp("Defect", what instanceof Error ? `${what.name}: ${what.message}` : String(what), "this is a bug")
  }
  return stopped
}

/** A defect on the way out makes a crash even of a fault that would not count. */
export const counts = (exit: Exit.Exit<void, Fault>): boolean =>
  Exit.isSuccess(exit) || Cause.hasDies(exit.cause) || faultOf(exit).countsAgainstIntensity

export const recordOf = (child: string, at: number, exit: Exit.Exit<void, Fault>): FailureRecord => ({
  child,
  at,
  reason: report(faultOf(exit)),
  ...(Exit.isFailure(exit) && Cause.hasDies(exit.cause) ? { detail: Cause.pretty(exit.cause) } : {})
})
