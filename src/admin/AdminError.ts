/** What can go wrong between a command and a node, beside what the node itself refuses. */
import { Schema } from "effect"
import { type Fault, follow, report } from "../domain/Fault.ts"
import { FaultView } from "./FaultView.ts"
import { MAX_PATH, tooLong } from "./Socket.ts"

/** What was sent is no request of this API. Nothing was done. */
export class RequestInvalid extends Schema.TaggedError<RequestInvalid, Fault>("mister-smith/RequestInvalid")(
  "RequestInvalid",
  { problem: Schema.String }
) {
  static {
    follow(this, { severity: "low", recovery: "ignore", hint: "GET /openapi.json says what may be asked" })
  }
  override get message() {
    return `this cannot be asked: ${this.problem}`
  }
}

/** The config that a node was to follow has mistakes, or cannot be read. Nothing was changed. */
export class ConfigRefused extends Schema.TaggedError<ConfigRefused, Fault>("mister-smith/ConfigRefused")(
  "ConfigRefused",
  {
    file: Schema.String,
    /** All of them, each with its place; none where the file cannot be read. */
    mistakes: Schema.Array(
      Schema.Struct({
        at: Schema.String,
        expected: Schema.String,
        found: Schema.optionalKey(Schema.String),
        suggestion: Schema.optionalKey(Schema.String),
        line: Schema.optionalKey(Schema.Finite),
        column: Schema.optionalKey(Schema.Finite)
      })
    ),
    /** The same in words. */
    problem: Schema.String
  }
) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "ignore",
      hint: "the node runs as before; mend the file and reload again"
    })
  }
  get exitCode() {
    return 2
  }
  override get message() {
    return this.problem
  }
}

/** A fault of the node that the route does not name. It is told as what it was. */
export class Refused
  extends Schema.TaggedError<Refused>("mister-smith/Refused")("Refused", { fault: FaultView })
  implements Fault
{
  get severity() {
    return this.fault.severity
  }
  get recovery() {
    return this.fault.recovery
  }
  get countsAgainstIntensity() {
    return false
  }
  get hint() {
    return this.fault.hint
  }
  override get message() {
    return this.fault.message
  }
}

export const refused = (fault: Fault): Refused => new Refused({ fault: report(fault) })

/** The node runs, and cannot be operated. */
export class SocketUnusable extends Schema.TaggedError<SocketUnusable, Fault>("mister-smith/SocketUnusable")(
  "SocketUnusable",
  { socket: Schema.String, reason: Schema.String }
) {
  static {
    follow(this, { severity: "medium", recovery: "ignore" })
  }
  override get hint() {
    return tooLong(this.socket)
      ? `give the node a dataDir with a shorter path; a socket's may have ${MAX_PATH} bytes`
      : "check that the data directory can be written to and is on a file system with sockets"
  }
  override get message() {
    return `this node cannot be operated from outside: ${this.socket}: ${this.reason}`
  }
}

const WHERE =
  "start one with `mister-smith run`, or say where it is: --data-dir DIR, --config FILE or the variable MISTER_SMITH_SOCKET"

/** Nobody answers there. */
export class NodeUnreachable extends Schema.TaggedError<NodeUnreachable, Fault>("mister-smith/NodeUnreachable")(
  "NodeUnreachable",
  { socket: Schema.String, reason: Schema.String }
) {
  static {
    follow(this, { severity: "medium", recovery: "retry" })
  }
  get exitCode() {
    return 3
  }
  override get hint() {
    if (tooLong(this.socket))
      return `give the node a dataDir with a shorter path; a socket's may have ${MAX_PATH} bytes`
    return this.reason === "EACCES" || this.reason === "EPERM" ? "run this as the user whose node it is" : WHERE
  }
  override get message() {
    const why = REASONS[this.reason] ?? this.reason
    return `no running node can be reached at ${this.socket}: ${why}`
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket",
  ECONNREFUSED: "nobody listens there any more",
  EACCES: "it may not be opened",
  EPERM: "it may not be opened",
  ENOTSOCK: "that is not a socket",
  FailedToOpenSocket: "nobody listens there"
}

/** It answered, and then was gone, or answered what cannot be understood. */
export class NodeLost extends Schema.TaggedError<NodeLost, Fault>("mister-smith/NodeLost")("NodeLost", {
  socket: Schema.String,
  reason: Schema.String
}) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "retry",
      hint: "see whether it still runs (`mister-smith ps`), and what has become of what was asked"
    })
  }
  get exitCode() {
    return 3
  }
  override get message() {
    return `the node at ${this.socket} did not finish its answer: ${this.reason}`
  }
}

/** It ends before what was waited for. */
export class NodeStopping extends Schema.TaggedError<NodeStopping, Fault>("mister-smith/NodeStopping")("NodeStopping", {
  task: Schema.String
}) {
  static {
    follow(this, { severity: "medium", recovery: "retry" })
  }
  get exitCode() {
    return 3
  }
  override get hint() {
    return `when it runs again, \`mister-smith task ${this.task}\` tells what has become of it`
  }
  override get message() {
    return `the node was stopped before task "${this.task}" had ended`
  }
}
