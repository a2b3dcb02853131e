/** What can go wrong between a task and the ledger. */
import { Schema, SchemaIssue } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"
import { cure, HomeProblem, say } from "../state/HomeProblem.ts"

/** Ids are taken by tasks with other content; nothing was accepted. The same content again is no error: it is answered with the first. */
export class TaskConflict extends Schema.TaggedError<TaskConflict, Fault>("mister-smith/TaskConflict")("TaskConflict", {
  task: Schema.String,
  /** Where several were submitted at once. */
  others: Schema.optionalKey(Schema.Array(Schema.String))
}) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "its prompt, type, agent, capabilities, schema, evidence, files, budget, schedule or session has changed: give it another id, or leave the id out; to do everything anew, use another dataDir"
    })
  }
  get tasks(): ReadonlyArray<string> {
    return [this.task, ...(this.others ?? [])]
  }
  override get message() {
    return this.tasks.length === 1
      ? `a task with the id "${this.task}" and other content exists already`
      : `tasks with these ids and other content exist already: ${shown(this.tasks)}`
  }
}

/** Names that a message lists. */
const NAMED = 10
const shown = (names: ReadonlyArray<string>) =>
  names
    .slice(0, NAMED)
    .map((name) => `"${name}"`)
    .join(", ") + (names.length > NAMED ? ` and ${names.length - NAMED} more` : "")

/** Nothing more is accepted until something has ended. */
export class LedgerFull extends Schema.TaggedError<LedgerFull, Fault>("mister-smith/LedgerFull")("LedgerFull", {
  limit: Schema.Number
}) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "retry",
      hint: "submit again when tasks have finished, or start more agents"
    })
  }
  override get message() {
    return `${this.limit} tasks are waiting already`
  }
}

export class TaskUnknown extends Schema.TaggedError<TaskUnknown, Fault>("mister-smith/TaskUnknown")("TaskUnknown", {
  task: Schema.String
}) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "ids are case-sensitive; a task that ended long ago may have been forgotten"
    })
  }
  override get message() {
    return `there is no task "${this.task}"`
  }
}

/** Whoever reports is no longer the one who holds the task. What it reports is refused, never written over the newer. */
export class AttemptSuperseded extends Schema.TaggedError<AttemptSuperseded, Fault>("mister-smith/AttemptSuperseded")(
  "AttemptSuperseded",
  {
    task: Schema.String,
    attempt: Schema.Number,
    current: Schema.Number
  }
) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "ignore",
      hint: "a newer attempt holds the task; this one's work is dropped"
    })
  }
  override get message() {
    return `attempt ${this.attempt} of task "${this.task}" is over (now ${this.current})`
  }
}

const ended = (state: string) =>
  state === "dead" ? "was given up" : state === "cancelled" ? "was cancelled" : `has ${state}`

/** It has ended already, so that nothing of it can be cancelled. */
export class TaskEnded extends Schema.TaggedError<TaskEnded, Fault>("mister-smith/TaskEnded")("TaskEnded", {
  task: Schema.String,
  state: Schema.String
}) {
  static {
    follow(this, { severity: "low", recovery: "ignore", hint: "its result is kept, and can be asked for" })
  }
  override get message() {
    return `task "${this.task}" has ended already: it ${ended(this.state)}`
  }
}

/** Only a dead letter is replayed or dropped. */
export class TaskNotDead extends Schema.TaggedError<TaskNotDead, Fault>("mister-smith/TaskNotDead")("TaskNotDead", {
  task: Schema.String,
  state: Schema.String
}) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "`tasks --state dead` lists the dead letters; `task retry` does once more what has failed or was cancelled too"
    })
  }
  override get message() {
    return `task "${this.task}" is no dead letter: its state is ${this.state}`
  }
}

/** Only what waits for a person goes on because one has answered. */
export class TaskNotWaiting extends Schema.TaggedError<TaskNotWaiting, Fault>("mister-smith/TaskNotWaiting")(
  "TaskNotWaiting",
  { task: Schema.String, state: Schema.String }
) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "somebody else has answered, or it has ended: `mister-smith task` tells its story"
    })
  }
  override get message() {
    return `task "${this.task}" waits for nobody: its state is ${this.state}`
  }
}

/** Somebody has cancelled it. */
export class TaskCancelled extends Schema.TaggedError<TaskCancelled, Fault>("mister-smith/TaskCancelled")(
  "TaskCancelled",
  { task: Schema.String, why: Schema.String }
) {
  static {
    follow(this, { severity: "low", recovery: "ignore" })
  }
  override get message() {
    return `task "${this.task}" was cancelled: ${this.why}`
  }
}

/** One for which it waited has not succeeded. */
export class DependencyFailed extends Schema.TaggedError<DependencyFailed, Fault>("mister-smith/DependencyFailed")(
  "DependencyFailed",
  { task: Schema.String, on: Schema.String, state: Schema.String }
) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "ignore",
      hint: 'to run it all the same, give its "after" an "onFailure": "run"; asked for again, both are done once more'
    })
  }
  override get message() {
    return `task "${this.task}" was cancelled: "${this.on}", for which it waited, ${ended(this.state)}`
  }
}

/** The runtime was killed, or the machine went down, while an agent was at it. */
export class AttemptAbandoned extends Schema.TaggedError<AttemptAbandoned, Fault>("mister-smith/AttemptAbandoned")(
  "AttemptAbandoned",
  { task: Schema.String, attempt: Schema.Number }
) {
  static {
    follow(this, { severity: "medium", recovery: "retry", retriesTask: true })
  }
  override get message() {
    return `the runtime ended during attempt ${this.attempt} of task "${this.task}"`
  }
}

/** Whoever held the task has not been heard of for longer than it had said. */
export class LeaseExpired extends Schema.TaggedError<LeaseExpired, Fault>("mister-smith/LeaseExpired")("LeaseExpired", {
  task: Schema.String,
  attempt: Schema.Number
}) {
  static {
    follow(this, { severity: "medium", recovery: "retry", retriesTask: true })
  }
  override get message() {
    return `the lease of attempt ${this.attempt} of task "${this.task}" is over`
  }
}

/** No agent has taken it within the time that it gives to the queue. */
export class NotBegunInTime extends Schema.TaggedError<NotBegunInTime, Fault>("mister-smith/NotBegunInTime")(
  "NotBegunInTime",
  { task: Schema.String, within: Schema.String }
) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "ignore",
      hint: "start more agents that take its type, give it a higher priority, or raise its timeouts.queue"
    })
  }
  override get message() {
    return `task "${this.task}" was not begun within ${this.within}`
  }
}

/** It is not over within the time that it gives to all of it. */
export class TaskOverdue extends Schema.TaggedError<TaskOverdue, Fault>("mister-smith/TaskOverdue")("TaskOverdue", {
  task: Schema.String,
  within: Schema.String
}) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "ignore",
      hint: "its attempts tell what it waited for; raise its timeouts.whole, or make the task smaller"
    })
  }
  override get message() {
    return `task "${this.task}" was not over within ${this.within}`
  }
}

/** Each of its attempts was broken off, and none could show what it is worth. */
export class BrokenOffTooOften extends Schema.TaggedError<BrokenOffTooOften, Fault>("mister-smith/BrokenOffTooOften")(
  "BrokenOffTooOften",
  { task: Schema.String, times: Schema.Number, last: Schema.String }
) {
  static {
    follow(this, {
      severity: "high",
      recovery: "ignore",
      hint: "see whether the task itself ends the runtime or the machine; `task replay` gives it a new life, retry.interruptions is how often it may be broken off"
    })
  }
  override get message() {
    return `task "${this.task}" was broken off ${this.times} times, the last time because ${this.last}`
  }
}

/** The ledger's home cannot be read or written. What was accepted before is as it was. */
export class LedgerUnusable extends Schema.TaggedError<LedgerUnusable, Fault>("mister-smith/LedgerUnusable")(
  "LedgerUnusable",
  { where: Schema.String, problem: HomeProblem, detail: Schema.String }
) {
  static {
    cure(this)
  }
  override get message() {
    return `the ledger ${this.where} ${say(this.problem)} (${this.detail})`
  }
}

/** No agent that takes this task is left, or ever was. */
export class NoTaker extends Schema.TaggedError<NoTaker, Fault>("mister-smith/NoTaker")("NoTaker", {
  task: Schema.String,
  type: Schema.String,
  /** The agent that must do it. */
  agent: Schema.optionalKey(Schema.String),
  /** The node that must do it. */
  node: Schema.optionalKey(Schema.String),
  /** What it requires and no agent that would else take it has, or not beside the rest. */
  missing: Schema.optionalKey(Schema.Array(Schema.String))
}) {
  static {
    follow(this, { severity: "high", recovery: "ignore" })
  }
  override get hint(): string {
    if (this.agent !== undefined && this.missing === undefined)
      return `see in \`ps\` whether "${this.agent}" is there and why it ended, and whether its taskTypes hold "${this.type}"`
    return this.missing === undefined
      ? "see why its agents ended, or add the type to an agent's taskTypes"
      : "see why its agents ended, or add what is missing to an agent's capabilities"
  }
  override get message() {
    const able =
      this.missing === undefined ? "" : ` and has the capabilities it requires: missing is ${shown(this.missing)}`
    const who = this.agent === undefined ? "no agent" : `no agent "${this.agent}"`
    const where = this.node === undefined ? "" : ` of node "${this.node}"`
    return `${who}${where} that takes a task of type "${this.type}" is up or will come up${able}`
  }
}

/** The agent says that it is done, twice, and what the task declares as its proof is not the case. */
export class EvidenceMissing extends Schema.TaggedError<EvidenceMissing, Fault>("mister-smith/EvidenceMissing")(
  "EvidenceMissing",
  {
    task: Schema.String,
    /** Which proofs do not hold, and what was found in their stead. */
    missing: Schema.Array(
      Schema.Struct({ proof: Schema.String, found: Schema.String, output: Schema.optionalKey(Schema.String) })
    )
  }
) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "ignore",
      hint: "look at the agent's workspace; if the work is right, the task's evidence asks for something else"
    })
  }
  override get message() {
    const said = this.missing.map(({ found, proof }) => `${proof}: ${found}`).join("; ")
    return `task "${this.task}" is not proven to be complete: ${said}`
  }
}

/** A file that a task comes with cannot be copied. Nothing was accepted. */
export class FileUnusable extends Schema.TaggedError<FileUnusable, Fault>("mister-smith/FileUnusable")("FileUnusable", {
  task: Schema.String,
  file: Schema.String,
  reason: Schema.String
}) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "a task's files are copied when it is submitted: each must be a file that the node can read"
    })
  }
  override get message() {
    return `a file of task "${this.task}" cannot be taken: ${this.file}: ${this.reason}`
  }
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** What was submitted is no task. Nothing was accepted. */
export class TaskInvalid extends Schema.TaggedError<TaskInvalid, Fault>("mister-smith/TaskInvalid")("TaskInvalid", {
  problem: Schema.String,
  /** The tasks for which it cannot wait: they are not there, or wait for it themselves. */
  after: Schema.optionalKey(Schema.Array(Schema.String))
}) {
  static {
    follow(this, { severity: "low", recovery: "ignore" })
  }
  /** What the schema of a task finds wrong, each with its place. */
  static inIssue(issue: SchemaIssue.Issue) {
    const problem = format(issue)
      .issues.map(({ message, path = [] }) =>
        path.length === 0 ? message : `${path.map(String).join(".")}: ${message}`
      )
      .join("; ")
    return new TaskInvalid({ problem })
  }
  /** `id` waits for what nobody has asked for. */
  static waitsForNothing(id: string, after: ReadonlyArray<string>) {
    return new TaskInvalid({ problem: `"${id}" waits for what is not there: ${shown(after)}`, after })
  }
  /** Each waits for the next, and the last for the first. */
  static waitsForItself(circle: ReadonlyArray<string>) {
    const [first = ""] = circle
    return new TaskInvalid({ problem: `"${first}" waits for itself, by way of ${shown(circle)}`, after: circle })
  }
  override get hint(): string {
    return this.after === undefined
      ? "docs/config.md tells what a task may have; only `prompt` must be there"
      : "submit what a task waits for before it or with it; a task that ended long ago may have been forgotten"
  }
  override get message() {
    return `this is not a task: ${this.problem}`
  }
}
