/** Why a node does not follow its new config. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"

/** One at a time. */
export class ReloadUnderWay extends Schema.TaggedError<ReloadUnderWay, Fault>("mister-smith/ReloadUnderWay")(
  "ReloadUnderWay",
  {}
) {
  static {
    follow(this, {
      severity: "low",
      recovery: "retry",
      hint: "`mister-smith events --follow` tells when it is through; then ask again"
    })
  }
  override get message() {
    return "a reload is under way already"
  }
}

/** Something of the new config did not come up, so all that had been carried out was undone. */
export class ReloadRolledBack extends Schema.TaggedError<ReloadRolledBack, Fault>("mister-smith/ReloadRolledBack")(
  "ReloadRolledBack",
  {
    /** The agent that did not come up, or `tasks`. */
    at: Schema.String,
    reason: Schema.String,
    /** The agents that are again what they were. */
    undone: Schema.Array(Schema.String),
    /** Those that could not be brought back, and why. */
    notUndone: Schema.Array(Schema.Struct({ agent: Schema.String, reason: Schema.String })),
    advice: Schema.optionalKey(Schema.String)
  }
) {
  static {
    follow(this, { severity: "high", recovery: "ignore" })
  }
  override get hint() {
    return this.advice ?? "mend the config and reload again; until then the node runs as before"
  }
  override get message() {
    const left = this.notUndone.map(({ agent, reason }) => `; ${agent} could not be brought back: ${reason}`).join("")
    return `the reload was undone, because of ${this.at}: ${this.reason}${left}`
  }
}
