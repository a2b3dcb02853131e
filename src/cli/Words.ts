/** Events and results as sentences for people. */
import { styleText } from "node:util"
import type { Severity } from "../domain/Fault.ts"
import { brief, type Published } from "../event/Event.ts"
import { fleetLine, placedLine } from "./FleetWords.ts"
import type { Shown } from "./Output.ts"
import { reloadLine } from "./ReloadWords.ts"

type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan"

/** Colours a text, or does not where colours are not wanted. */
export type Paint = (style: Style, text: string) => string

export const paint =
  (colours: boolean): Paint =>
  (style, text) =>
    colours ? styleText(style, text, { validateStream: false }) : text

export const dollars = (usd: number): string => `$${usd.toFixed(usd < 0.1 ? 4 : 2)}`

export const seconds = (millis: number): string =>
  millis < 60_000
    ? `${(millis / 1000).toFixed(1)} s`
    : `${Math.floor(millis / 60_000)} min ${Math.round((millis % 60_000) / 1000)} s`

/** The same with every text fit for a terminal: what an agent or its CLI says must not move the cursor or name the window. */
export const harmless = <A>(value: A): A => clean(value) as A

const clean = (value: unknown): unknown => {
  if (typeof value === "string") return value.replace(/[^\P{Cc}\n\t]/gu, "\uFFFD")
  if (Array.isArray(value)) return value.map(clean)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [clean(key), clean(each)]))
}

const clock = (millis: number) => new Date(millis).toTimeString().slice(0, 8)

const day = (millis: number) => new Date(millis).toLocaleString("sv-SE")

/** One line for an event; undefined for one that people need not see. */
export const describe = (event: Published, p: Paint): string | undefined => {
  const text = sentence(harmless(event), p)
  return text === undefined ? undefined : `${p("dim", clock(event.at))} ${text}`
}

/** Decisions that people should hear of; the rest shows in the states of the agents, and giving up ends the run with the sentence. */
const loud = new Set(["RestartScheduled", "ShutdownOverran", "LadderClimbed", "EventsLost"])

/** How loudly a fault is told. */
const colours: Record<Severity, Style> = { low: "dim", medium: "yellow", high: "yellow", critical: "red" }

const sentence = (event: Published, p: Paint): string | undefined => {
  switch (event.type) {
    case "runtime.started":
      return `${p("bold", event.name)} ${event.version}: ${event.agents} ${event.agents === 1 ? "agent" : "agents"}`
    case "runtime.stopped":
      return "stopped"
    case "runtime.swept":
      return p(
        "yellow",
        `ended what an earlier run had left: ${event.ended.map(({ name, pid }) => `${name} (${pid})`).join(", ")}`
      )
    case "limit.unenforced":
      return p(
        "yellow",
        `${event.agent}: the kernel does not enforce limits.${event.limit} here (${event.why})${event.instead === "sampled" ? "; it is looked at now and then" : ""}`
      )
    case "logs.lost":
      return p("yellow", `lines of the log files are being lost (${event.reason}); see mister-smith doctor`)
    case "claude.untested":
      return p(
        "yellow",
        `Claude CLI ${event.version} is not one this version was tested with (${event.tested.join(", ")})`
      )
    case "agent.state":
      return event.to === "error"
        ? p("yellow", `${event.agent}: ${event.reason}`)
        : event.to === "terminated"
          ? `${event.agent}: ended (${event.reason})`
          : undefined
    case "session.ready":
      return `${event.agent}: ready (pid ${event.pid}, ${seconds(event.tookMillis)}${event.resumed === undefined ? "" : ", conversation resumed"})`
    case "session.unreadable":
      return p(
        "yellow",
        `${event.agent}: passed over ${event.unknown} unknown, ${event.broken} broken and ${event.overlong} over-long lines of its CLI`
      )
    case "session.ended":
      return `${event.agent}: CLI ${event.pid} has ended${event.ended.length > 1 ? ` with ${event.ended.length - 1} more processes` : ""}, nothing is left`
    case "api.retry":
      return p(
        "yellow",
        `${event.agent}: the API answered ${event.status ?? "nothing"} (${event.error}); asking again in ${seconds(event.delayMillis)}`
      )
    case "task.state":
      switch (event.to) {
        case "running":
          return `task ${p("cyan", event.task)}: ${event.agent} begins${event.attempt > 1 ? ` attempt ${event.attempt}` : ""}`
        case "parked":
          if (event.dueAt === undefined) return `task ${event.task}: waits for other tasks`
          if (event.reason === undefined) return `task ${event.task}: waits until ${day(event.dueAt)}`
          return p("yellow", `task ${event.task}: ${event.reason.message}; tried again at ${clock(event.dueAt)}`)
        case "queued":
          return event.from === "running" && event.reason !== undefined
            ? p("yellow", `task ${event.task}: ${event.reason.message}; queued again`)
            : undefined
        case "dead":
          return p(
            "red",
            `task ${event.task}: given up: ${event.reason?.message ?? "its tries are used up"}; \`task replay ${event.task}\` gives it a new life`
          )
        case "cancelled":
          return p("yellow", event.reason?.message ?? `task ${event.task}: cancelled`)
        default:
          return undefined
      }
    case "task.progress":
      return `task ${p("cyan", event.task)}: ${p("dim", event.doing === "tool" ? `uses ${event.detail}` : event.detail)}`
    case "task.denied":
      return p("yellow", `task ${event.task}: permission denied for ${event.tools.join(", ")}`)
    case "task.unverified":
      return p(
        "yellow",
        `task ${event.task}: not proven to be complete: ${event.missing.map(({ found, proof }) => `${proof}: ${found}`).join("; ")}${event.sentBack ? `; ${event.agent} is told` : ""}`
      )
    case "routing.fallback":
      return p(
        "yellow",
        `routing ${event.strategy}: ${event.why === "threw" ? "it threw: " : ""}${event.detail}; task ${event.task} goes by the default strategy`
      )
    case "task.placed":
      return placedLine(event, p)
    case "workspace.made":
      return `task ${p("cyan", event.task)}: works in ${event.path}${event.branch === undefined ? "" : ` on ${event.branch}`}${event.again ? ", which is as it was" : ""}`
    case "workspace.kept":
      return p("yellow", `task ${event.task}: ${event.path} is kept: ${event.why}`)
    case "workspace.removed":
      return `task ${event.task}: ${event.path} is removed${event.archive === undefined ? "" : `; what was in it is ${event.archive}`}${event.branch === undefined ? "" : `; the branch ${event.branch} is kept`}`
    case "supervisor.decision":
      return loud.has(event.decision) ? p(colours[event.severity ?? "medium"], event.why) : undefined
    case "operator.notified":
      return p("red", event.message)
    case "reload.planned":
    case "reload.step":
    case "reload.done":
    case "reload.rolled_back":
    case "reload.refused":
      return reloadLine(event, p)
    case "transport.status":
    case "agent.told":
    case "fleet.trouble":
    case "fleet.leader":
    case "fleet.suspected":
    case "fleet.dead":
    case "fleet.back":
    case "fleet.mode":
    case "outbox.kept":
    case "outbox.refused":
    case "outbox.lost":
      return fleetLine(event, p)
    case "account.limited":
      return p("yellow", `account ${event.account}: waits until ${new Date(event.until).toISOString()}: ${event.why}`)
    case "account.freed":
      return `account ${event.account}: may be used again`
    case "events.gap":
      return p("yellow", `${event.missed} events were not shown: this output is too slow`)
  }
}

/** How a task ended, in one line. */
export const resultLine = (ended: Shown, p: Paint): string => {
  const result = harmless(ended)
  const cost = p(
    "dim",
    `(${result.agent ?? "nobody"}, ${seconds(result.tookMillis)}, ${dollars(result.usage.costUsd)}${result.earlier ? ", in an earlier run" : ""})`
  )
  if (result.status === "failed") {
    const hint = result.fault?.hint === undefined ? "" : `\n  ${p("dim", `hint: ${result.fault.hint}`)}`
    return `${p("red", "✗")} ${p("bold", result.task)} ${result.fault?.message ?? "failed"} ${cost}${hint}`
  }
  const answer = result.output === undefined ? result.text : JSON.stringify(result.output)
  return `${p("green", "✓")} ${p("bold", result.task)} ${brief(answer)} ${cost}`
}
