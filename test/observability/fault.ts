/** A fault of the tests' own. */
import { Schema } from "effect"
import { type Fault, follow } from "../../src/domain/Fault.ts"

export class ProcessExited extends Schema.TaggedError<ProcessExited, Fault>("test/ProcessExited")("ProcessExited", {
  code: Schema.Int
}) {
  static {
    follow(this, { severity: "high", recovery: "restart", hint: "look" })
  }
  override get message() {
    return `exited with ${this.code}`
  }
}
