/**
 * Every way in which a session or a turn of the CLI can fail, one error each, with its evidence. How bad each is and
 * what is to be done about it is the one table in FailureTable.ts; which one it was is decided in ClaudeFailure.ts.
 */
import { Duration, Schema } from "effect"
import { type ClaudeFault, follow, table } from "./FailureTable.ts"

/** The words of the CLI or the API. */
const detail = Schema.String
/** The HTTP status; null where there was no answer. */
const status = Schema.NullOr(Schema.Number)
const ofStatus = (code: number | null) => (code === null ? "" : ` (${code})`)
/** The last line on stderr that says something, for a message of one line. */
const lastWords = (stderr: string): string => {
  const said = stderr.split("\n").filter((line) => line.trim() !== "" && !/^\s+at /.test(line))
  return said.length === 0 ? "" : `: ${said.at(-1)?.trim().slice(0, 300)}`
}
/** Never throws, whatever number the child has sent. */
const timeOf = (epochSeconds: number) => {
  const date = new Date(epochSeconds * 1000)
  return Number.isNaN(date.getTime()) ? "an unknown time" : date.toISOString()
}
const seconds = (millis: number) => Duration.format(Duration.millis(millis))

/** It ended without being asked to: killed, crashed, or an exit that nobody wanted, whatever its code. */
export class SessionCrashed extends Schema.TaggedError<SessionCrashed, ClaudeFault>("mister-smith/SessionCrashed")(
  "SessionCrashed",
  {
    exitCode: Schema.NullOr(Schema.Number),
    signal: Schema.NullOr(Schema.String),
    /** It was in the middle of a turn, whose result nobody will hear. */
    inTurn: Schema.Boolean,
    /** What it printed last. */
    stderr: Schema.String
  }
) {
  override get message() {
    const how = this.signal === null ? `ended with exit code ${this.exitCode}` : `was killed by ${this.signal}`
    return `the Claude CLI ${how}${this.inTurn ? " in the middle of a turn" : ""}${lastWords(this.stderr)}`
  }
}

/** It, or something it had started, used more than the agent may, and all of it was ended. */
export class LimitExceeded extends Schema.TaggedError<LimitExceeded, ClaudeFault>("mister-smith/LimitExceeded")(
  "LimitExceeded",
  {
    limit: Schema.Literals(["memory", "processes"]),
    /** Bytes, or a count. */
    allowed: Schema.Number,
    used: Schema.Number,
    /** The kernel saw to it, or this runtime did. */
    by: Schema.Literals(["kernel", "sampler"])
  }
) {
  override get message() {
    const figure = (value: number) => (this.limit === "memory" ? `${Math.round(value / 2 ** 20)} MiB` : String(value))
    return `the Claude CLI and what it had started used ${figure(this.used)} of ${this.limit}, of which ${figure(this.allowed)} are allowed, and were ended`
  }
}

/** It would not start: flags, settings or environment are wrong, and will be wrong the next time. */
export class SessionMisconfigured extends Schema.TaggedError<SessionMisconfigured, ClaudeFault>(
  "mister-smith/SessionMisconfigured"
)("SessionMisconfigured", {
  stderr: Schema.String
}) {
  override get message() {
    return `the Claude CLI refused to start${lastWords(this.stderr)}`
  }
}

/** The session to go on with is not there: never written, deleted, or begun in another directory. */
export class SessionNotFound extends Schema.TaggedError<SessionNotFound, ClaudeFault>("mister-smith/SessionNotFound")(
  "SessionNotFound",
  {
    session: Schema.UndefinedOr(Schema.String)
  }
) {
  override get message() {
    return `the Claude CLI has no session ${this.session ?? "of that id"}`
  }
}

/** Not a byte for too long, with nothing open that could explain it. */
export class Stalled extends Schema.TaggedError<Stalled, ClaudeFault>("mister-smith/Stalled")("Stalled", {
  silentMillis: Schema.Number,
  /** What it was asked for: `initialize`, `turn`, `interrupt`. */
  doing: Schema.String
}) {
  override get message() {
    return `the Claude CLI has said nothing for ${seconds(this.silentMillis)} (${this.doing})`
  }
}

/** 401, 403, no credentials at all, or an organisation that may not use them. */
export class CredentialsRejected extends Schema.TaggedError<CredentialsRejected, ClaudeFault>(
  "mister-smith/CredentialsRejected"
)("CredentialsRejected", {
  status,
  detail
}) {
  override get message() {
    return `the credentials were rejected${ofStatus(this.status)}: ${this.detail}`
  }
}

/** No credit. */
export class BillingRefused extends Schema.TaggedError<BillingRefused, ClaudeFault>("mister-smith/BillingRefused")(
  "BillingRefused",
  {
    detail
  }
) {
  override get message() {
    return `the account cannot pay: ${this.detail}`
  }
}

/** No such model, or not for this account. */
export class ModelUnavailable extends Schema.TaggedError<ModelUnavailable, ClaudeFault>(
  "mister-smith/ModelUnavailable"
)("ModelUnavailable", {
  detail
}) {
  override get message() {
    return `the model is not available: ${this.detail}`
  }
}

/** 429. Not the fault of the task, the agent or the CLI. */
export class RateLimited extends Schema.TaggedError<RateLimited, ClaudeFault>("mister-smith/RateLimited")(
  "RateLimited",
  {
    /** When the limit ends, in seconds since the epoch as the API says it, where that is known. */
    resetsAt: Schema.UndefinedOr(Schema.Number),
    detail
  }
) {
  override get message() {
    return `rate limited${this.resetsAt === undefined ? "" : ` until ${timeOf(this.resetsAt)}`}: ${this.detail}`
  }
}

/** 529 or another 5xx. */
export class Overloaded extends Schema.TaggedError<Overloaded, ClaudeFault>("mister-smith/Overloaded")("Overloaded", {
  status,
  detail
}) {
  override get message() {
    return `the API is overloaded or failing${ofStatus(this.status)}: ${this.detail}`
  }
}

/** No HTTP answer, or one that is not the API's: refused, reset, timed out, a gateway in between. */
export class ApiUnreachable extends Schema.TaggedError<ApiUnreachable, ClaudeFault>("mister-smith/ApiUnreachable")(
  "ApiUnreachable",
  {
    detail
  }
) {
  override get message() {
    return `the API cannot be reached: ${this.detail}`
  }
}

/** Prompt and conversation do not fit the model's window. */
export class PromptTooLong extends Schema.TaggedError<PromptTooLong, ClaudeFault>("mister-smith/PromptTooLong")(
  "PromptTooLong",
  {
    detail
  }
) {
  override get message() {
    return `the prompt is too long: ${this.detail}`
  }
}

/** 400, 413, a refusal: the same request would meet the same answer. */
export class RequestRejected extends Schema.TaggedError<RequestRejected, ClaudeFault>("mister-smith/RequestRejected")(
  "RequestRejected",
  {
    status,
    detail
  }
) {
  override get message() {
    return `the request was rejected${ofStatus(this.status)}: ${this.detail}`
  }
}

/** The limit of model round trips for one message. */
export class TurnLimitReached extends Schema.TaggedError<TurnLimitReached, ClaudeFault>(
  "mister-smith/TurnLimitReached"
)("TurnLimitReached", {
  turns: Schema.Number,
  detail
}) {
  override get message() {
    return `no end after ${this.turns} turns: ${this.detail}`
  }
}

/** The limit of dollars. Checked after each model call, so that it is overshot. */
export class BudgetExhausted extends Schema.TaggedError<BudgetExhausted, ClaudeFault>("mister-smith/BudgetExhausted")(
  "BudgetExhausted",
  {
    /** The CLI's own estimate, since the process began. */
    costUsd: Schema.Number,
    detail
  }
) {
  override get message() {
    return `the budget is used up: ${this.detail}`
  }
}

/** The turn was ended from outside before it was done. */
export class Interrupted extends Schema.TaggedError<Interrupted, ClaudeFault>("mister-smith/Interrupted")(
  "Interrupted",
  {
    /** Who or what: `cancel`, or the CLI's `terminal_reason`. */
    by: Schema.String
  }
) {
  override get message() {
    return `the turn was interrupted (${this.by})`
  }
}

/** The task has a schema and the turn brought no structured output. The CLI calls that a success. */
export class OutputMissing extends Schema.TaggedError<OutputMissing, ClaudeFault>("mister-smith/OutputMissing")(
  "OutputMissing",
  {
    /** What it said instead. */
    text: Schema.String
  }
) {
  override get message() {
    return `no structured output; it said: ${this.text.slice(0, 300)}`
  }
}

/** There is structured output and it does not satisfy the schema. */
export class OutputInvalid extends Schema.TaggedError<OutputInvalid, ClaudeFault>("mister-smith/OutputInvalid")(
  "OutputInvalid",
  {
    problems: Schema.Array(Schema.String)
  }
) {
  override get message() {
    return `the structured output is not valid: ${this.problems.join("; ")}`
  }
}

/** The task took longer than its agent allows. */
export class TaskTimedOut extends Schema.TaggedError<TaskTimedOut, ClaudeFault>("mister-smith/TaskTimedOut")(
  "TaskTimedOut",
  {
    after: Schema.Duration
  }
) {
  override get message() {
    return `not done after ${Duration.format(this.after)}`
  }
}

/** The turn failed for a reason that is not in this list. */
export class TurnFailed extends Schema.TaggedError<TurnFailed, ClaudeFault>("mister-smith/TurnFailed")("TurnFailed", {
  subtype: Schema.String,
  detail
}) {
  override get message() {
    return `the turn failed (${this.subtype}): ${this.detail}`
  }
}

const failures = {
  SessionCrashed,
  SessionMisconfigured,
  SessionNotFound,
  LimitExceeded,
  Stalled,
  CredentialsRejected,
  BillingRefused,
  ModelUnavailable,
  RateLimited,
  Overloaded,
  ApiUnreachable,
  PromptTooLong,
  RequestRejected,
  TurnLimitReached,
  BudgetExhausted,
  Interrupted,
  OutputMissing,
  OutputInvalid,
  TaskTimedOut,
  TurnFailed
} satisfies { readonly [Tag in keyof typeof table]: { readonly prototype: ClaudeFault & { readonly _tag: Tag } } }

for (const tag of Object.keys(failures) as ReadonlyArray<keyof typeof table>) follow(failures[tag], table[tag])

export type ClaudeFailure = InstanceType<(typeof failures)[keyof typeof failures]>
