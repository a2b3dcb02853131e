/** Why a call was not made at all. Nothing has happened outside, so it can be made again later. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"

/** What is called has failed too often lately and is left alone for a while. */
export class CircuitOpen extends Schema.TaggedError<CircuitOpen, Fault>("mister-smith/CircuitOpen")("CircuitOpen", {
  circuit: Schema.String,
  /** until calls are tried again; 0 while the calls that try are under way */
  retryInMillis: Schema.Number
}) {
  static {
    follow(this, { severity: "medium", recovery: "circuit-breaker" })
  }
  override get hint() {
    return `look at what "${this.circuit}" calls; calls are tried again by themselves`
  }
  override get message() {
    const when = this.retryInMillis > 0 ? `for another ${this.retryInMillis} ms` : "until it is known to be well again"
    return `"${this.circuit}" has failed too often and is not called ${when}`
  }
}

/** As many calls as may be are under way, and as many as may wait are waiting. */
export class BulkheadFull extends Schema.TaggedError<BulkheadFull, Fault>("mister-smith/BulkheadFull")("BulkheadFull", {
  bulkhead: Schema.String,
  permits: Schema.Number,
  queue: Schema.Number
}) {
  static {
    follow(this, { severity: "medium", recovery: "retry" })
  }
  override get hint() {
    return `allow "${this.bulkhead}" more calls at a time, or ask it for less`
  }
  override get message() {
    return `"${this.bulkhead}" has ${this.permits} calls under way and ${this.queue} waiting, and takes no more`
  }
}
