/** What can go wrong with an agent itself, beside what its CLI reports. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"

/** The agent's place on disk could not be made or written. */
export class HomeUnavailable extends Schema.TaggedError<HomeUnavailable, Fault>("mister-smith/HomeUnavailable")(
  "HomeUnavailable",
  {
    agent: Schema.String,
    reason: Schema.String
  }
) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "escalate",
      hint: "check that dataDir can be written to and that the disk is not full"
    })
  }
  override get message() {
    return `agent ${this.agent} has no place to work: ${this.reason}`
  }
}

/** There is no Claude CLI to run. */
export class ClaudeNotFound extends Schema.TaggedError<ClaudeNotFound, Fault>("mister-smith/ClaudeNotFound")(
  "ClaudeNotFound",
  {
    command: Schema.String
  }
) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "escalate",
      hint: "install it (npm install -g @anthropic-ai/claude-code), or set claude.command to its full path"
    })
  }
  override get message() {
    return `no Claude CLI was found (looked for ${this.command})`
  }
}

/** The agent ended for good before it could take the task. */
export class AgentGone extends Schema.TaggedError<AgentGone, Fault>("mister-smith/AgentGone")("AgentGone", {
  agent: Schema.String,
  reason: Schema.String
}) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "retry",
      retriesTask: true,
      hint: "another agent that takes this type of task can perform it"
    })
  }
  override get message() {
    return `agent ${this.agent} is gone: ${this.reason}`
  }
}

/** A bug of ours. Told with its whole story, so that it can be reported. */
export class AgentDefect extends Schema.TaggedError<AgentDefect, Fault>("mister-smith/AgentDefect")("AgentDefect", {
  agent: Schema.String,
  defect: Schema.String
}) {
  static {
    follow(this, {
      severity: "high",
      recovery: "restart",
      countsAgainstIntensity: true,
      hint: "this is an error in MisterSmith; please report it"
    })
  }
  override get message() {
    return `agent ${this.agent} met an internal error: ${this.defect}`
  }
}

/** Another agent has this conversation open. Two at once would write into each other's. */
export class SessionOwned extends Schema.TaggedError<SessionOwned, Fault>("mister-smith/SessionOwned")("SessionOwned", {
  session: Schema.String,
  agent: Schema.String,
  owner: Schema.String
}) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "retry",
      retriesTask: true,
      hint: "it is tried again; the conversation is free when the other agent begins another"
    })
  }
  override get message() {
    return `agent ${this.agent} cannot open the conversation ${this.session}: agent ${this.owner} has it`
  }
}

/** The conversation that a task is to go on with is not there any more. */
export class SessionMissing extends Schema.TaggedError<SessionMissing, Fault>("mister-smith/SessionMissing")(
  "SessionMissing",
  { task: Schema.String, of: Schema.String, reason: Schema.String }
) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "ignore",
      hint: 'say in the prompt all that is needed and give its "session" an "onMissing": "anew", or leave "session" out'
    })
  }
  override get message() {
    return `task "${this.task}" cannot go on with the conversation of "${this.of}": ${this.reason}`
  }
}

/** The list of agents that were stopped on purpose is there and cannot be used. */
export class StoppedUnreadable extends Schema.TaggedError<StoppedUnreadable, Fault>("mister-smith/StoppedUnreadable")(
  "StoppedUnreadable",
  { file: Schema.String, reason: Schema.String }
) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "escalate",
      hint: 'mend it (a JSON list of names such as "agents/reviewer-1"), or remove it to let all agents start'
    })
  }
  override get message() {
    return `${this.file} says which agents were stopped on purpose, and cannot be read: ${this.reason}`
  }
}

/** No agent of this node has the name. */
export class AgentUnknown extends Schema.TaggedError<AgentUnknown, Fault>("mister-smith/AgentUnknown")("AgentUnknown", {
  agent: Schema.String,
  /** Those there are, the first of them. */
  known: Schema.Array(Schema.String)
}) {
  static {
    follow(this, { severity: "low", recovery: "ignore" })
  }
  override get hint() {
    return this.known.length === 0 ? "this node has no agents" : `its agents are ${this.known.join(", ")}`
  }
  override get message() {
    return `there is no agent named "${this.agent}"`
  }
}

/** There is nothing that could be broken off. */
export class AgentNotPerforming extends Schema.TaggedError<AgentNotPerforming, Fault>(
  "mister-smith/AgentNotPerforming"
)("AgentNotPerforming", { agent: Schema.String, state: Schema.String }) {
  static {
    follow(this, { severity: "low", recovery: "ignore", hint: "one that is paused is interrupted after a resume" })
  }
  override get message() {
    return `agent ${this.agent} is in no turn that could be interrupted: it is ${this.state}`
  }
}

/** As much waits for the agent as may. */
export class InboxFull extends Schema.TaggedError<InboxFull, Fault>("mister-smith/InboxFull")("InboxFull", {
  agent: Schema.String,
  waiting: Schema.Number
}) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "retry",
      hint: "it hears what waits with its next task; then tell it again"
    })
  }
  override get message() {
    return `the inbox of agent ${this.agent} is full: ${this.waiting} messages wait for its next turn`
  }
}

/** An operator has chosen a model that there is not, or not for this account. The agent has the config's again. */
export class ModelRefused extends Schema.TaggedError<ModelRefused, Fault>("mister-smith/ModelRefused")("ModelRefused", {
  agent: Schema.String,
  model: Schema.String,
  detail: Schema.String
}) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "retry",
      retriesTask: true,
      hint: "the agent goes on with the model of its config; choose one that its account may use"
    })
  }
  override get message() {
    return `agent ${this.agent} cannot use the model ${this.model} that it was given: ${this.detail}`
  }
}

/** What was asked needs a CLI that is up. */
export class AgentNotRunning extends Schema.TaggedError<AgentNotRunning, Fault>("mister-smith/AgentNotRunning")(
  "AgentNotRunning",
  { agent: Schema.String, state: Schema.String }
) {
  static {
    follow(this, { severity: "low", recovery: "retry", hint: "ask again when it is idle or busy" })
  }
  override get message() {
    return `agent ${this.agent} has no CLI that could be told so: it is ${this.state}`
  }
}

/** The files that a task comes with could not be laid into the workspace of its agent. */
export class FilesLost extends Schema.TaggedError<FilesLost, Fault>("mister-smith/FilesLost")("FilesLost", {
  task: Schema.String,
  file: Schema.String,
  reason: Schema.String
}) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "ignore",
      hint: "see that the agent's workspace can be written to and that the disk is not full; then retry the task, or submit it anew"
    })
  }
  override get message() {
    return `the files of task "${this.task}" are not there for its agent: ${this.file}: ${this.reason}`
  }
}

/** What a budget counts. */
export type BudgetOf = "costUsd" | "turns" | "tokens"

/** The work on a task has cost what it may, in all its attempts together. */
export class BudgetSpent extends Schema.TaggedError<BudgetSpent, Fault>("mister-smith/BudgetSpent")("BudgetSpent", {
  task: Schema.String,
  of: Schema.Literals(["costUsd", "turns", "tokens"]),
  limit: Schema.Number,
  spent: Schema.Number
}) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "ignore",
      hint: "what was done is in the agent's workspace; submit what is left with another budget, or make the task smaller"
    })
  }
  override get message() {
    const { limit, of, spent } = this
    const said = of === "costUsd" ? `${spent.toFixed(4)} of ${limit} dollars` : `${spent} of ${limit} ${of}`
    return `the budget of task "${this.task}" is spent: ${said}`
  }
}
