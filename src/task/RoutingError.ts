/** What can go wrong with a routing plugin before it is asked for the first time. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"

/** There is no such file, or it may not be read. */
export class PluginMissing extends Schema.TaggedError<PluginMissing, Fault>("mister-smith/PluginMissing")(
  "PluginMissing",
  { file: Schema.String, reason: Schema.String }
) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "escalate",
      hint: "routing.plugin is relative to the config file; `mister-smith check` says whether it is there"
    })
  }
  override get message() {
    return `the routing plugin ${this.file} cannot be read: ${this.reason}`
  }
}

/** It is no program, fails while it is loaded, or never comes to an end of it. */
export class PluginBroken extends Schema.TaggedError<PluginBroken, Fault>("mister-smith/PluginBroken")("PluginBroken", {
  file: Schema.String,
  reason: Schema.String
}) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "escalate",
      hint: "try it alone: `bun FILE` or `deno run FILE` must end without an error"
    })
  }
  override get message() {
    return `the routing plugin ${this.file} could not be loaded: ${this.reason}`
  }
}

/** Its default export is not there, or is no function. */
export class PluginNotAFunction extends Schema.TaggedError<PluginNotAFunction, Fault>(
  "mister-smith/PluginNotAFunction"
)("PluginNotAFunction", { file: Schema.String, found: Schema.String }) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "escalate",
      hint: "export a function: export default (task, agents, context) => agents[0].id"
    })
  }
  override get message() {
    return `the routing plugin ${this.file} must have a function as its default export, found ${this.found}`
  }
}

export type PluginError = PluginMissing | PluginBroken | PluginNotAFunction
