/** What can go wrong with the small things that outlive the process. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"
import { cure, HomeProblem, say } from "./HomeProblem.ts"

/** The home cannot be read or written. What it held before is as it was. */
export class StateUnusable extends Schema.TaggedError<StateUnusable, Fault>("mister-smith/StateUnusable")(
  "StateUnusable",
  { where: Schema.String, problem: HomeProblem, detail: Schema.String }
) {
  static {
    cure(this)
  }
  override get message() {
    return `${this.where} ${say(this.problem)} (${this.detail})`
  }
}

/** Somebody has written meanwhile. Nothing was changed. */
export class StateConflict extends Schema.TaggedError<StateConflict, Fault>("mister-smith/StateConflict")(
  "StateConflict",
  { bucket: Schema.String, key: Schema.String, seen: Schema.Number, current: Schema.Number }
) {
  static {
    follow(this, { severity: "low", recovery: "retry", hint: "read it again, and decide anew" })
  }
  override get message() {
    return `"${this.key}" of ${this.bucket} is at revision ${this.current}, not at ${this.seen}`
  }
}

/** A bound is reached. Nothing was changed. */
export class StateFull extends Schema.TaggedError<StateFull, Fault>("mister-smith/StateFull")("StateFull", {
  bucket: Schema.String,
  key: Schema.String,
  limit: Schema.String
}) {
  static {
    follow(this, { severity: "medium", recovery: "ignore" })
  }
  override get message() {
    return `"${this.key}" of ${this.bucket} is not kept: at most ${this.limit}`
  }
}
