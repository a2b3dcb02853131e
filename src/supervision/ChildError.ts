/** Why a supervisor did not do to one of its children what it was asked to. The supervisor itself goes on. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"
import { FailureRecord } from "./SupervisionError.ts"

export class ChildNotFound extends Schema.TaggedError<ChildNotFound, Fault>("mister-smith/ChildNotFound")(
  "ChildNotFound",
  {
    supervisor: Schema.String,
    child: Schema.String
  }
) {
  static {
    follow(this, { severity: "low", recovery: "ignore", hint: "ask the supervisor which children it has" })
  }
  override get message() {
    return `supervisor "${this.supervisor}" has no child "${this.child}"`
  }
}

/** There is a child of this name already, running or not. */
export class ChildAlreadyPresent extends Schema.TaggedError<ChildAlreadyPresent, Fault>(
  "mister-smith/ChildAlreadyPresent"
)("ChildAlreadyPresent", {
  supervisor: Schema.String,
  child: Schema.String,
  status: Schema.String
}) {
  static {
    follow(this, { severity: "low", recovery: "ignore" })
  }
  override get hint() {
    return this.status === "stopped" || this.status === "ended" ? "restart it, or delete it first" : undefined
  }
  override get message() {
    return `supervisor "${this.supervisor}" has a child "${this.child}" already; it is ${this.status}`
  }
}

/** Only a child that is down can be restarted or deleted. */
export class ChildRunning extends Schema.TaggedError<ChildRunning, Fault>("mister-smith/ChildRunning")("ChildRunning", {
  supervisor: Schema.String,
  child: Schema.String,
  status: Schema.String
}) {
  static {
    follow(this, { severity: "low", recovery: "ignore", hint: "stop it first, or restart it" })
  }
  override get message() {
    return `"${this.child}" is ${this.status === "running" ? "running already" : this.status}`
  }
}

/** A child that was asked for could not be started, or was stopped before it was ready. */
export class ChildStartFailed
  extends Schema.TaggedError<ChildStartFailed>("mister-smith/ChildStartFailed")("ChildStartFailed", {
    supervisor: Schema.String,
    failure: FailureRecord
  })
  implements Fault
{
  get severity() {
    return this.failure.reason.severity
  }
  get recovery() {
    return this.failure.reason.recovery
  }
  get countsAgainstIntensity() {
    return true
  }
  get hint() {
    return this.failure.reason.hint
  }
  override get message() {
    const { child, reason } = this.failure
    return `child "${child}" of supervisor "${this.supervisor}" could not be started: ${reason.kind}: ${reason.message}`
  }
}

/** It has as many children as it may have. */
export class SupervisorFull extends Schema.TaggedError<SupervisorFull, Fault>("mister-smith/SupervisorFull")(
  "SupervisorFull",
  {
    supervisor: Schema.String,
    maxChildren: Schema.Number
  }
) {
  static {
    follow(this, { severity: "medium", recovery: "retry", hint: "wait until a child has ended, or raise the limit" })
  }
  override get message() {
    return `supervisor "${this.supervisor}" has ${this.maxChildren} children, and may not have more`
  }
}

/** The supervisor is stopping or has ended. */
export class SupervisorEnded extends Schema.TaggedError<SupervisorEnded, Fault>("mister-smith/SupervisorEnded")(
  "SupervisorEnded",
  {
    supervisor: Schema.String
  }
) {
  static {
    follow(this, { severity: "medium", recovery: "retry" })
  }
  override get message() {
    return `supervisor "${this.supervisor}" is stopping or has ended`
  }
}

/** Who is stopped on purpose must stay so when the runtime comes back, and this could not be written down. */
export class StopNotKept extends Schema.TaggedError<StopNotKept, Fault>("mister-smith/StopNotKept")("StopNotKept", {
  /** of the child, such as "node/agents/reviewer-1" */
  path: Schema.String,
  reason: Schema.String
}) {
  static {
    follow(this, {
      severity: "high",
      recovery: "retry",
      hint: "see whether the data directory can be written and has room, then ask again"
    })
  }
  override get message() {
    return `"${this.path}" is left as it is, because what was asked could not be remembered: ${this.reason}`
  }
}
