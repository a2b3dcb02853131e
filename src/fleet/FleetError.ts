/** What can go wrong between a node and the fleet that it is in. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"

/** The list of nodes cannot be read or written. Nodes work all the same, and are found by PING. */
export class RegistryUnusable extends Schema.TaggedError<RegistryUnusable, Fault>("mister-smith/RegistryUnusable")(
  "RegistryUnusable",
  {
    reason: Schema.String,
    /** Nobody has ever made it, or it was deleted. */
    none: Schema.optionalKey(Schema.Boolean)
  }
) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "retry",
      hint: "where no server answers, see `transport.servers` and the servers; else they need JetStream, and the user its permissions: docs/nats.md lists them"
    })
  }
  override get message() {
    return `the list of nodes cannot be used: ${this.reason}`
  }
}

/** Two nodes call themselves the same. Both go on; the list has whichever told last. */
export class NodeNameTaken extends Schema.TaggedError<NodeNameTaken, Fault>("mister-smith/NodeNameTaken")(
  "NodeNameTaken",
  { node: Schema.String, life: Schema.String }
) {
  static {
    follow(this, { severity: "high", recovery: "ignore", hint: "give each node a fleet.node of its own" })
  }
  override get message() {
    return `another node of this fleet is called "${this.node}" as well`
  }
}

/** No server of the fleet could be asked. */
export class FleetUnreachable extends Schema.TaggedError<FleetUnreachable, Fault>("mister-smith/FleetUnreachable")(
  "FleetUnreachable",
  {
    servers: Schema.String,
    reason: Schema.String,
    /** Where more is known than that none was there. */
    advice: Schema.optionalKey(Schema.String)
  }
) {
  static {
    follow(this, { severity: "high", recovery: "retry" })
  }
  override get hint() {
    return this.advice === undefined
      ? "check the address, and that the server is running; --config takes address and credentials from a config file"
      : `${this.advice}; --server alone has no credentials: --config takes them from a config file`
  }
  get exitCode() {
    return UNREACHABLE
  }
  override get message() {
    return `the fleet at ${this.servers} cannot be reached: ${this.reason}`
  }
}

/** As where no running node can be reached. */
const UNREACHABLE = 3

/** The stream that is to keep a message refuses it. */
export class Unacknowledged extends Schema.TaggedError<Unacknowledged, Fault>("mister-smith/Unacknowledged")(
  "Unacknowledged",
  { subject: Schema.String, reason: Schema.String }
) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "retry",
      hint: "see the stream of events of this fleet: its storage, and the limits of the account"
    })
  }
  override get message() {
    return `the stream does not take what is published on "${this.subject}": ${this.reason}`
  }
}
