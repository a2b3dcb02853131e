/** What can go wrong with a process, one error per thing, each with its evidence. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"
import { inWords } from "./Evidence.ts"

/** No such file, neither at the path given nor on PATH. */
export class CommandNotFound extends Schema.TaggedError<CommandNotFound, Fault>("mister-smith/CommandNotFound")(
  "CommandNotFound",
  {
    command: Schema.String
  }
) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "escalate",
      hint: "install it, or give the full path of the executable"
    })
  }
  override get message() {
    return this.command.includes("/")
      ? `there is no executable at ${this.command}`
      : `there is no executable named "${this.command}" on PATH`
  }
}

/** The file is there but the system will not run it. */
export class CommandNotExecutable extends Schema.TaggedError<CommandNotExecutable, Fault>(
  "mister-smith/CommandNotExecutable"
)("CommandNotExecutable", {
  command: Schema.String,
  code: Schema.String
}) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "escalate",
      hint: "check that it is a program for this machine and that its execute permission is set"
    })
  }
  override get message() {
    return `${this.command} is not executable (${this.code})`
  }
}

/** The directory the process was to start in is not there, or is not a directory. */
export class WorkingDirectoryMissing extends Schema.TaggedError<WorkingDirectoryMissing, Fault>(
  "mister-smith/WorkingDirectoryMissing"
)("WorkingDirectoryMissing", { cwd: Schema.String }) {
  static {
    follow(this, {
      severity: "high",
      recovery: "escalate",
      hint: "create the directory, or change the agent's workspace"
    })
  }
  override get message() {
    return `the working directory ${this.cwd} does not exist`
  }
}

/** The machine has no room for another process: processes, descriptors or memory. */
export class OutOfResources extends Schema.TaggedError<OutOfResources, Fault>("mister-smith/OutOfResources")(
  "OutOfResources",
  {
    command: Schema.String,
    code: Schema.String,
    evidence: Schema.Struct({
      openFiles: Schema.optionalKey(Schema.Number),
      maxOpenFiles: Schema.optionalKey(Schema.Number),
      maxProcesses: Schema.optionalKey(Schema.Number),
      /** bytes */
      memoryAvailable: Schema.optionalKey(Schema.Number)
    })
  }
) {
  static {
    follow(this, {
      severity: "high",
      recovery: "retry",
      hint: "see `ulimit -u`, `ulimit -n` and the free memory; lower the number of agents or raise the limits"
    })
  }
  override get message() {
    return `the system refused to start ${this.command} (${this.code})${inWords(this.evidence, this.code)}`
  }
}

/** The system refused for any other reason, which it named. */
export class SpawnFailed extends Schema.TaggedError<SpawnFailed, Fault>("mister-smith/SpawnFailed")("SpawnFailed", {
  command: Schema.String,
  code: Schema.String
}) {
  static {
    follow(this, {
      severity: "high",
      recovery: "restart",
      countsAgainstIntensity: true,
      hint: "the code names the system's reason; see errno(3)"
    })
  }
  override get message() {
    return `${this.command} could not be started (${this.code})`
  }
}

/** Some processes of a tree are alive although everything was tried, for example in uninterruptible sleep. */
export class TreeSurvived extends Schema.TaggedError<TreeSurvived, Fault>("mister-smith/TreeSurvived")("TreeSurvived", {
  run: Schema.String,
  survivors: Schema.Array(Schema.Struct({ pid: Schema.Number, name: Schema.String }))
}) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "escalate",
      hint: "look at these processes with ps; one in state D waits for the kernel, often for a network file system"
    })
  }
  override get message() {
    if (this.survivors.length === 0) return `of ${this.run} it could not be seen whether anything is still alive`
    return `still alive after SIGKILL: ${this.survivors.map(({ name, pid }) => `${name} (${pid})`).join(", ")}`
  }
}

/** The kernel refused something about a cgroup. Without it a tree is still found by marker, group and descent. */
export class CgroupRefused extends Schema.TaggedError<CgroupRefused, Fault>("mister-smith/CgroupRefused")(
  "CgroupRefused",
  {
    /** What was to be done, as in "could not <action>". */
    action: Schema.String,
    path: Schema.String,
    code: Schema.String
  }
) {
  static {
    follow(this, { severity: "medium", recovery: "retry" })
  }
  override get hint() {
    switch (this.code) {
      case "EACCES":
      case "EPERM":
        return "the cgroup belongs to another user: run under systemd with Delegate=yes"
      case "EROFS":
        return "the cgroup file system is mounted read-only"
      case "EAGAIN":
      case "ENOSPC":
        return "there are too many cgroups: see cgroup.max.descendants of the groups above"
      case "ENOENT":
      case "ENODEV":
        return "the cgroup was removed by someone else"
      default:
        return "the code names the system's reason; see errno(3)"
    }
  }
  override get message() {
    return `could not ${this.action} (${this.path}: ${this.code})`
  }
}

/** The config demands a way of ending processes that this machine does not offer. */
export class RungUnavailable extends Schema.TaggedError<RungUnavailable, Fault>("mister-smith/RungUnavailable")(
  "RungUnavailable",
  { rung: Schema.Literals(["cgroup", "pidNamespace"]), why: Schema.String, advice: Schema.String }
) {
  static {
    follow(this, { severity: "critical", recovery: "escalate" })
  }
  override get hint() {
    return this.advice
  }
  override get message() {
    return `process.${this.rung} is required, and not to be had here: ${this.why}`
  }
}

/** The agent demands a limit that this machine cannot enforce. */
export class LimitUnenforceable extends Schema.TaggedError<LimitUnenforceable, Fault>(
  "mister-smith/LimitUnenforceable"
)("LimitUnenforceable", { limits: Schema.Array(Schema.Struct({ limit: Schema.String, why: Schema.String })) }) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "escalate",
      hint: "run where the cgroup controllers are delegated (systemd: Delegate=yes), or set limits.enforce to best_effort; `mister-smith doctor` tells what this machine offers"
    })
  }
  override get message() {
    return `limits that are required cannot be enforced: ${this.limits.map(({ limit, why }) => `${limit} (${why})`).join("; ")}`
  }
}

/** A tree could not be brought to a halt, or not to go on. */
export class PauseFailed extends Schema.TaggedError<PauseFailed, Fault>("mister-smith/PauseFailed")("PauseFailed", {
  run: Schema.String,
  wanted: Schema.Literals(["paused", "running"])
}) {
  static {
    follow(this, { severity: "medium", recovery: "retry", hint: "look at its processes with ps: state T is stopped" })
  }
  override get message() {
    return `the processes of ${this.run} could not all be brought to be ${this.wanted}`
  }
}

/** Every way in which a start can fail. */
export type SpawnError =
  | CommandNotFound
  | CommandNotExecutable
  | WorkingDirectoryMissing
  | OutOfResources
  | SpawnFailed
  | LimitUnenforceable
