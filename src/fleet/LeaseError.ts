/** What can go wrong with the lease of a fleet's leader. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"
import { cure, HomeProblem, say } from "../state/HomeProblem.ts"

/** This node does not lead any more, or may not for all it knows. Nothing was written. */
export class LeaseLost extends Schema.TaggedError<LeaseLost, Fault>("mister-smith/LeaseLost")("LeaseLost", {
  node: Schema.String,
  epoch: Schema.Number
}) {
  static {
    follow(this, { severity: "medium", recovery: "failover", hint: "leave it to the node that leads now" })
  }
  override get message() {
    return `node "${this.node}" does not lead in epoch ${this.epoch} any more`
  }
}

/** Where the lease is kept cannot be read or written. */
export class LeaseUnusable extends Schema.TaggedError<LeaseUnusable, Fault>("mister-smith/LeaseUnusable")(
  "LeaseUnusable",
  { where: Schema.String, problem: HomeProblem, detail: Schema.String }
) {
  static {
    cure(this)
  }
  override get message() {
    return `the lease ${this.where} ${say(this.problem)} (${this.detail})`
  }
}

/** A bound is reached. Nothing was written. */
export class LeaseFull extends Schema.TaggedError<LeaseFull, Fault>("mister-smith/LeaseFull")("LeaseFull", {
  key: Schema.String,
  limit: Schema.String
}) {
  static {
    follow(this, { severity: "medium", recovery: "ignore" })
  }
  override get message() {
    return `"${this.key}" of the leader is not kept: at most ${this.limit}`
  }
}
