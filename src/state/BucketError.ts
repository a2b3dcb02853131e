/** What can go wrong with a bucket on NATS servers. */
import { Schema } from "effect"
import type { Fault } from "../domain/Fault.ts"
import { cure, HomeProblem, say } from "./HomeProblem.ts"

/** It cannot be read or written. What it held before is as it was. */
export class BucketUnusable extends Schema.TaggedError<BucketUnusable, Fault>("mister-smith/BucketUnusable")(
  "BucketUnusable",
  { where: Schema.String, problem: HomeProblem, detail: Schema.String }
) {
  static {
    cure(this)
  }
  override get message() {
    return `what is kept ${this.where} ${say(this.problem)} (${this.detail})`
  }
}
