/** What can go wrong with the data directory. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"

/** Another runtime works on this data directory. Two would do the same tasks and end each other's agents. */
export class DataDirInUse extends Schema.TaggedError<DataDirInUse, Fault>("mister-smith/DataDirInUse")("DataDirInUse", {
  dataDir: Schema.String,
  /** The runtime that holds it, as far as it has said so. */
  pid: Schema.optionalKey(Schema.Number)
}) {
  static {
    follow(this, { severity: "critical", recovery: "escalate" })
  }
  override get hint() {
    const other = this.pid === undefined ? "the other one" : `the other one (pid ${this.pid})`
    return `stop ${other}, or give this one a dataDir of its own`
  }
  override get message() {
    const by = this.pid === undefined ? "another runtime" : `another runtime (pid ${this.pid})`
    return `the data directory ${this.dataDir} is in use by ${by}`
  }
}

/** The data directory cannot be made, read or written. */
export class DataDirUnusable extends Schema.TaggedError<DataDirUnusable, Fault>("mister-smith/DataDirUnusable")(
  "DataDirUnusable",
  { dataDir: Schema.String, reason: Schema.String }
) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "escalate",
      hint: "check that it can be written to, that the disk is not full, and that its file system has locks"
    })
  }
  override get message() {
    return `the data directory ${this.dataDir} cannot be used: ${this.reason}`
  }
}
