/**
 * One line of a log: a time, a level, a module, whom it is about, and what is said. Made from what the runtime logs and
 * from the events it reports. Every text in it has passed Redaction and is bounded, so that a line is never longer than
 * a file takes at once.
 */
import { Cause, type LogLevel, Option } from "effect"
import { isFault, report } from "../domain/Fault.ts"
import { redact, redactIn } from "../domain/Redaction.ts"
import type { Published } from "../event/Event.ts"
import type { Module } from "./LogSettings.ts"

export type Line = { readonly time: string; readonly [key: string]: unknown }

/** The longest text in a line, in characters. */
const MAX_TEXT = 4096
/** The longest line, in characters: each may be four bytes. */
const MAX_LINE = 16_000

const cut = (text: string) => (text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT - 1)}…`)

const levels: Readonly<Record<LogLevel.LogLevel, string>> = {
  All: "trace",
  Trace: "trace",
  Debug: "debug",
  Info: "info",
  Warn: "warn",
  Error: "error",
  Fatal: "error",
  None: "error"
}

export interface Said {
  readonly date: Date
  readonly logLevel: LogLevel.LogLevel
  readonly annotations: Readonly<Record<string, unknown>>
  readonly message: unknown
  readonly cause: Cause.Cause<unknown>
}

/** Of what the runtime logs. */
export const lineOf = ({ annotations, cause, date, logLevel, message }: Said): Line => {
  const said = (Array.isArray(message) ? message : [message]).map(textOf).join(" ")
  const line: Record<string, unknown> = {
    time: date.toISOString(),
    level: levels[logLevel],
    ...Object.fromEntries(Object.entries(annotations).map(([key, value]) => [key, cut(redact(textOf(value)))])),
    message: cut(redact(said))
  }
  if (cause.reasons.length > 0) {
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    line["cause"] = isFault(error) ? redactIn(report(error)) : cut(redact(Cause.pretty(cause)))
  }
  return line as Line
}

const textOf = (value: unknown): string => {
  if (typeof value === "string") return value
  if (value instanceof Error) return value.message
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return String(value)
  }
}

/** As its own log keeps it: the event whole, and its time for people. What is published has passed Redaction. */
export const eventLine = (event: Published): Line => ({ time: new Date(event.at).toISOString(), ...event })

const rooms: Readonly<Record<string, Module>> = {
  agent: "agent",
  api: "claude",
  claude: "claude",
  events: "event",
  limit: "process",
  logs: "observability",
  operator: "supervision",
  reload: "agent",
  runtime: "process",
  session: "claude",
  supervisor: "supervision",
  task: "task"
}

/** Which module an event is of, and how loud it is in the log of the runtime. */
export const weigh = (event: Published): { readonly module: Module; readonly level: LogLevel.LogLevel } => {
  const module = rooms[event.type.slice(0, event.type.indexOf("."))] ?? "event"
  switch (event.type) {
    case "task.progress":
      return { module, level: "Debug" }
    case "supervisor.decision":
      return { module, level: event.severity === "high" || event.severity === "critical" ? "Warn" : "Debug" }
    case "operator.notified":
      return { module, level: "Error" }
    case "session.unreadable":
    case "limit.unenforced":
    case "claude.untested":
    case "events.gap":
    case "logs.lost":
    case "reload.refused":
    case "reload.rolled_back":
      return { module, level: "Warn" }
    default:
      return { module, level: "Info" }
  }
}

/** As the log of the runtime keeps it, beside what is logged. */
export const runtimeLine = (event: Published): Line => {
  const { module, level } = weigh(event)
  const { at, type, ...fields } = event
  return { time: new Date(at).toISOString(), level: levels[level], module, message: type, ...flat(fields) }
}

/** An event may say `message` and `level` of its own. */
const flat = (fields: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key === "message" || key === "level" ? `${key}_` : key, value])
  )

const short = (line: Line, text: string): string =>
  text.length <= MAX_LINE ? text : json({ ...pick(line), message: `${text.slice(0, MAX_TEXT)}…`, cut: text.length })
const pick = ({ agent, level, message: _message, module, task, time, type }: Line) => ({
  time,
  level,
  module,
  agent,
  task,
  type
})
const json = (line: object) => JSON.stringify(line)

export const toJson = (line: Line): string => short(line, json(line))

const bare = /^[^\s"=\\]+$/

export const toLogfmt = (line: Line): string => {
  const text = Object.entries(line)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([key, value]) => {
      const said = typeof value === "string" ? value : JSON.stringify(value)
      return `${key.replace(/[\s"=]/g, "_")}=${bare.test(said) ? said : JSON.stringify(said)}`
    })
    .join(" ")
  return text.length <= MAX_LINE
    ? text
    : toLogfmt({ ...pick(line), message: `${text.slice(0, MAX_TEXT)}…`, cut: text.length } as Line)
}
