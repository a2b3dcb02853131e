/** What can go wrong between a task and the ledger. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"

/** The id is taken by a task with other content. The same content again is no error: it is answered with the first. */
export class TaskConflict extends Schema.TaggedError<TaskConflict, Fault>("mister-smith/TaskConflict")("TaskConflict", {
  task: Schema.String
}) {
  static {
    follow(this, { severity: "low", recovery: "ignore", hint: "give the task another id, or leave the id out" })
  }
  override get message() {
    return `a task with the id "${this.task}" and other content exists already`
  }
}

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

/** No agent that takes this task is left, or ever was. */
export class NoTaker extends Schema.TaggedError<NoTaker, Fault>("mister-smith/NoTaker")("NoTaker", {
  task: Schema.String,
  type: Schema.String
}) {
  static {
    follow(this, {
      severity: "high",
      recovery: "ignore",
      hint: "see why its agents ended, or add the type to an agent's taskTypes"
    })
  }
  override get message() {
    return `no agent that takes a task of type "${this.type}" is up or will come up`
  }
}

/** What was submitted is no task. Nothing was accepted. */
export class TaskInvalid extends Schema.TaggedError<TaskInvalid, Fault>("mister-smith/TaskInvalid")("TaskInvalid", {
  problem: Schema.String
}) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "a task needs a prompt; see docs/config.md for the other keys"
    })
  }
  override get message() {
    return `this is not a task: ${this.problem}`
  }
}
