/** What is wrong with a command line that its grammar cannot tell. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"

export class UsageWrong extends Schema.TaggedError<UsageWrong, Fault>("mister-smith/UsageWrong")("UsageWrong", {
  problem: Schema.String,
  advice: Schema.optionalKey(Schema.String)
}) {
  static {
    follow(this, { severity: "low", recovery: "ignore" })
  }
  get exitCode() {
    return 2
  }
  override get hint() {
    return this.advice
  }
  override get message() {
    return this.problem
  }
}
