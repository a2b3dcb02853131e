/**
 * Every subject there is, built here only. A token from outside is checked before it becomes a part of one: with a dot, a
 * space or a wildcard in it, it would name something else. Pure.
 */
import { Option, Result } from "effect"
import { SubjectInvalid } from "./MessageError.ts"

/** The longest token, in characters. */
export const MAX_TOKEN = 200
/** Words that a prefix may have. */
export const MAX_PREFIX = 8

/** What is wrong with a text as one token of a subject; undefined when nothing is. */
export const wrongToken = (text: string): string | undefined => {
  if (text === "") return "it is empty"
  if (text.length > MAX_TOKEN) return `it has more than ${MAX_TOKEN} characters`
  if (text.includes(".")) return "it holds a dot"
  if (/[*>]/.test(text)) return "it holds a wildcard"
  if (/\s/u.test(text)) return "it holds a space"
  if (/[\p{C}]/u.test(text)) return "it holds a character that cannot be seen"
  return undefined
}

/** A name between dots: of these, all tokens are checked. */
const words = (what: string, text: string): Result.Result<string, SubjectInvalid> => {
  for (const token of text.split(".")) {
    const problem = wrongToken(token)
    if (problem !== undefined)
      return Result.fail(new SubjectInvalid({ what, value: text.slice(0, MAX_TOKEN), problem }))
  }
  return Result.succeed(text)
}

const token = (what: string, text: string): Result.Result<string, SubjectInvalid> => {
  const problem = wrongToken(text)
  return problem === undefined
    ? Result.succeed(text)
    : Result.fail(new SubjectInvalid({ what, value: text.slice(0, MAX_TOKEN), problem }))
}

/** Why a message could not be handled; the last word of its dead-letter subject. */
export const DEAD_REASONS = [
  /** too large, no JSON, not its type's shape */
  "unreadable",
  /** of a newer version, or of a type that is not known or that nobody listens for here */
  "unknown",
  "expired",
  /** no signature where one is required, or one that does not count */
  "unsigned",
  "replayed",
  /** whoever handles it failed as often as may be */
  "failed"
] as const
export type DeadReason = (typeof DEAD_REASONS)[number]

/** What a subject that arrived is about. */
export type Place =
  | { readonly kind: "commands" | "status" | "inbox"; readonly agent: string }
  | { readonly kind: "queue"; readonly taskType: string }
  | { readonly kind: "progress" | "result" | "bid"; readonly task: string }
  | { readonly kind: "event"; readonly event: string }
  | { readonly kind: "heartbeat"; readonly node: string }
  | { readonly kind: "dead"; readonly reason: string }

type Checked = Result.Result<string, SubjectInvalid>

export interface Subjects {
  /** `agents.{agentId}.commands`: AgentCommand, answered with a CommandReply */
  commands(agent: string): Checked
  /** `agents.{agentId}.status`: AgentStatus */
  status(agent: string): Checked
  /** `agents.{agentId}.inbox`: AgentMessage */
  inbox(agent: string): Checked
  /** `tasks.{taskType}.queue`: TaskAssignment, durable; how outsiders submit */
  queue(taskType: string): Checked
  /** `tasks.{taskId}.progress`: TaskProgress */
  progress(task: string): Checked
  /** `tasks.{taskId}.result`: TaskResult, durable */
  result(task: string): Checked
  /** `tasks.{taskId}.bid`: TaskBid */
  bid(task: string): Checked
  /** `events.{eventType}`: Event. A type such as `agent.state` is two tokens, so that `events.agent.*` can be listened to. */
  event(type: string): Checked
  /** `nodes.{nodeId}.heartbeat`: NodeStatus */
  heartbeat(node: string): Checked
  /** `dead.{reason}`: DeadLetter */
  dead(reason: DeadReason): string
  /** For those who listen to all of a kind. */
  readonly all: Readonly<
    Record<
      "commands" | "status" | "inbox" | "queue" | "progress" | "result" | "bid" | "event" | "heartbeat" | "dead",
      string
    >
  >
  /** What a subject is about; undefined where it is none of ours. */
  read(subject: string): Place | undefined
}

/** With a prefix (one or more tokens) every subject begins with it: fleets that share an account do not hear each other. */
export const make = (prefix = ""): Result.Result<Subjects, SubjectInvalid> => {
  if (prefix === "") return Result.succeed(subjects(""))
  return Result.flatMap(words("prefix", prefix), (prefix) =>
    Option.match(wrongPrefix(prefix), {
      onNone: () => Result.succeed(subjects(`${prefix}.`)),
      onSome: (problem) =>
        Result.fail(new SubjectInvalid({ what: "prefix", value: prefix.slice(0, MAX_TOKEN), problem }))
    })
  )
}

const wrongPrefix = (prefix: string): Option.Option<string> => {
  if (prefix.split(".").length > MAX_PREFIX || prefix.length > MAX_TOKEN)
    return Option.some(`it has more than ${MAX_PREFIX} words or ${MAX_TOKEN} characters`)
  return /^(\$|_INBOX)/.test(prefix) ? Option.some("such subjects belong to the server") : Option.none()
}

const subjects = (before: string): Subjects => {
  const one = (what: string, first: string, last: string) => (text: string) =>
    Result.map(token(what, text), (text) => `${before}${first}.${text}.${last}`)
  return {
    commands: one("agent", "agents", "commands"),
    status: one("agent", "agents", "status"),
    inbox: one("agent", "agents", "inbox"),
    queue: one("task type", "tasks", "queue"),
    progress: one("task", "tasks", "progress"),
    result: one("task", "tasks", "result"),
    bid: one("task", "tasks", "bid"),
    event: (type) => Result.map(words("event type", type), (type) => `${before}events.${type}`),
    heartbeat: one("node", "nodes", "heartbeat"),
    dead: (reason) => `${before}dead.${reason}`,
    all: {
      commands: `${before}agents.*.commands`,
      status: `${before}agents.*.status`,
      inbox: `${before}agents.*.inbox`,
      queue: `${before}tasks.*.queue`,
      progress: `${before}tasks.*.progress`,
      result: `${before}tasks.*.result`,
      bid: `${before}tasks.*.bid`,
      event: `${before}events.>`,
      heartbeat: `${before}nodes.*.heartbeat`,
      dead: `${before}dead.*`
    },
    read: (subject) => (subject.startsWith(before) ? read(subject.slice(before.length)) : undefined)
  }
}

const read = (subject: string): Place | undefined => {
  const [first, middle, last, ...more] = subject.split(".")
  if (first === "events" && middle !== undefined) return { kind: "event", event: subject.slice("events.".length) }
  if (middle === undefined || wrongToken(middle) !== undefined || more.length > 0) return undefined
  if (first === "dead" && last === undefined) return { kind: "dead", reason: middle }
  if (first === "agents" && (last === "commands" || last === "status" || last === "inbox"))
    return { kind: last, agent: middle }
  if (first === "tasks" && last === "queue") return { kind: last, taskType: middle }
  if (first === "tasks" && (last === "progress" || last === "result" || last === "bid"))
    return { kind: last, task: middle }
  if (first === "nodes" && last === "heartbeat") return { kind: last, node: middle }
  return undefined
}
