/** What can go wrong with supervision itself, one error per thing. What goes wrong with a child is the child's own Fault. */
import { Schema } from "effect"
import { type Fault, type FaultReport, follow } from "../domain/Fault.ts"
import { inWords } from "./Words.ts"

const FaultReportSchema = Schema.Struct({
  kind: Schema.String,
  message: Schema.String,
  severity: Schema.Literals(["low", "medium", "high", "critical"]),
  recovery: Schema.Literals(["retry", "restart", "escalate", "reload", "circuit-breaker", "failover", "ignore"]),
  hint: Schema.optionalKey(Schema.String)
})

/** One failure of one child, as kept in the history of a supervisor. */
export const FailureRecord = Schema.Struct({
  child: Schema.String,
  /** milliseconds since the epoch */
  at: Schema.Number,
  reason: FaultReportSchema,
  /** the stack of a defect */
  detail: Schema.optionalKey(Schema.String)
})
export type FailureRecord = typeof FailureRecord.Type

const lastOf = (history: ReadonlyArray<FailureRecord>): FaultReport | undefined => history.at(-1)?.reason

/** A supervisor has stopped its children, last one first, and given up. Its parent decides what follows. */
export class SupervisorGaveUp
  extends Schema.TaggedError<SupervisorGaveUp>("mister-smith/SupervisorGaveUp")("SupervisorGaveUp", {
    /** the path of the supervisor, such as "node/agents" */
    supervisor: Schema.String,
    /**
     * - `intensity`: more restarts than allowed within the window
     * - `budget`: more restarts than the node is allowed
     * - `escalated`: a child failed with what no restart can cure
     * - `strategy`: a child failed, and the strategy is `escalate`
     * - `start`: a child could not be started when the supervisor was
     * - `refused`: the supervisor or one of its children was specified wrongly
     */
    why: Schema.Literals(["intensity", "budget", "escalated", "strategy", "start", "refused"]),
    /** the child that brought it about */
    child: Schema.String,
    maxRestarts: Schema.Number,
    withinMillis: Schema.Number,
    /** where the node is to stop: the code for whoever ends the process */
    exitCode: Schema.optionalKey(Schema.Number),
    /** the latest failures, oldest first */
    history: Schema.Array(FailureRecord)
  })
  implements Fault
{
  get severity() {
    return "critical" as const
  }
  /** A fault no restart can cure stays one on its way up; everything else is cured, perhaps, by a new supervisor. */
  get recovery() {
    return this.exitCode !== undefined || this.why === "refused" || lastOf(this.history)?.recovery === "escalate"
      ? ("escalate" as const)
      : ("restart" as const)
  }
  get countsAgainstIntensity() {
    return true
  }
  get hint() {
    return lastOf(this.history)?.hint
  }
  override get message() {
    return messages[this.why](this, lastOf(this.history))
  }
}

const said = (last: FaultReport | undefined) =>
  last === undefined ? "for no known reason" : `${last.kind}: ${last.message}`

const messages: Record<SupervisorGaveUp["why"], (error: SupervisorGaveUp, last: FaultReport | undefined) => string> = {
  intensity: ({ child, maxRestarts, supervisor, withinMillis }, last) =>
    `supervisor "${supervisor}" gave up: child "${child}" failed, and more than ${maxRestarts} restarts within ${inWords(withinMillis)} are not allowed; the last failure was ${said(last)}`,
  budget: ({ child, maxRestarts, supervisor, withinMillis }, last) =>
    `supervisor "${supervisor}" gave up: child "${child}" failed, and more than ${maxRestarts} restarts within ${inWords(withinMillis)} are not allowed to the whole node; the last failure was ${said(last)}`,
  escalated: ({ child, supervisor }, last) =>
    `supervisor "${supervisor}" gave up: child "${child}" failed with what no restart can cure: ${said(last)}`,
  strategy: ({ child, supervisor }, last) =>
    `supervisor "${supervisor}" gave up because its strategy is to escalate: child "${child}" failed with ${said(last)}`,
  start: ({ child, supervisor }, last) =>
    `supervisor "${supervisor}" did not start: child "${child}" could not be started: ${said(last)}`,
  refused: ({ supervisor }, last) => `supervisor "${supervisor}" did not start: ${last?.message ?? "it was refused"}`
}

/** A child is specified wrongly. Nothing was started. */
export class ChildRefused extends Schema.TaggedError<ChildRefused, Fault>("mister-smith/ChildRefused")("ChildRefused", {
  supervisor: Schema.String,
  child: Schema.String,
  field: Schema.String,
  value: Schema.String,
  expected: Schema.String
}) {
  static {
    follow(this, { severity: "high", recovery: "escalate" })
  }
  override get hint() {
    return `correct ${this.field} of child "${this.child}"`
  }
  override get message() {
    return `child "${this.child}" of supervisor "${this.supervisor}" is refused: ${this.field} is ${this.value}, expected ${this.expected}`
  }
}

/** The supervisor itself is specified wrongly. Nothing was started. */
export class SupervisorRefused extends Schema.TaggedError<SupervisorRefused, Fault>("mister-smith/SupervisorRefused")(
  "SupervisorRefused",
  {
    supervisor: Schema.String,
    field: Schema.String,
    value: Schema.String,
    expected: Schema.String
  }
) {
  static {
    follow(this, { severity: "high", recovery: "escalate" })
  }
  override get hint() {
    return `correct ${this.field} of supervisor "${this.supervisor}"`
  }
  override get message() {
    return `supervisor "${this.supervisor}" is refused: ${this.field} is ${this.value}, expected ${this.expected}`
  }
}
