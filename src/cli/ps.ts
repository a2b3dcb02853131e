/** `ps`: the supervision tree of a running node, with what each agent is, does, and last failed of. */
import { Effect } from "effect"
import type { AgentView, ChildView, SupervisorView, TreeView } from "../admin/TreeView.ts"
import { age, type Cell, jsonLine, out, painter, table } from "./Printing.ts"
import { type Where, withNode } from "./Where.ts"
import { dollars, harmless } from "./Words.ts"

export const ps = Effect.fn("cli.ps")(function* ({ json, where }: { readonly json: boolean; readonly where: Where }) {
  const p = yield* painter
  yield* withNode(
    where,
    Effect.fnUntraced(function* (node) {
      const view = yield* node.ask((client) => client.tree())
      const rows = flatten(view)
      if (json) return yield* Effect.forEach(rows, ({ line }) => jsonLine(line), { discard: true })
      const { dataDir, name, pid, startedAt, version } = harmless(view.node)
      yield* out(`${p("bold", name)} ${version}, pid ${pid}, up ${age(Date.now() - startedAt)}, ${dataDir}`)
      const standing = standingLine(view.node)
      if (standing !== undefined) yield* out(p("yellow", standing))
      yield* out(
        table(
          TITLES,
          rows.map(({ cells }) => cells),
          p
        )
      )
    })
  )
})

/** Undefined where there is nothing to be said: it does all that it can. */
const standingLine = ({ mode = "full", waiting, why }: TreeView["node"]): string | undefined => {
  if (mode === "full") return undefined
  const { events = 0, reports = 0, tasks = 0 } = waiting ?? {}
  return `mode ${mode}: ${reports} ends of attempts, ${tasks} tasks and ${events} events wait for the fleet${why === undefined ? "" : `; ${why}`}`
}

const TITLES = ["NAME", "STATE", "TASK", "SESSION", "RESTARTS", "AGE", "CPU", "MEMORY", "COST", "LAST FAILURE"]

/** As much of a session's id as tells it from others in a table; `--json` has all of it. */
const SESSION_SHOWN = 8

interface Row {
  readonly cells: ReadonlyArray<Cell>
  readonly line: Record<string, unknown>
}

/** Top down, each with its place: a line of the table, and an object for programs. */
const flatten = ({ agents, node, tree }: TreeView): ReadonlyArray<Row> => {
  const byId = new Map(agents.map((agent) => [agent.id, agent]))
  const supervisor = (view: SupervisorView, indent: string, child?: ChildView): ReadonlyArray<Row> => {
    const { children, ...self } = view
    const { supervisor: _, ...life } = child ?? {}
    return [
      {
        cells: [
          `${indent}${view.path.split("/").at(-1) ?? view.path}`,
          view.phase,
          `(${view.strategy})`,
          "",
          child === undefined ? "" : String(child.restarts),
          child?.uptimeMillis === undefined ? "" : age(child.uptimeMillis),
          "",
          "",
          "",
          view.failure === undefined ? "" : [view.failure, "red"]
        ],
        line: { ...life, kind: "supervisor", ...self, ...(child === undefined ? { node } : {}) }
      },
      ...children.flatMap((each) =>
        each.supervisor === undefined
          ? [worker(each, `${indent}  `, view.path, byId.get(each.id))]
          : supervisor(each.supervisor, `${indent}  `, each)
      )
    ]
  }
  return supervisor(tree, "")
}

const worker = (child: ChildView, indent: string, above: string, agent: AgentView | undefined): Row => {
  const { supervisor: _, ...life } = child
  const usage = agent?.usage
  return {
    cells: [
      `${indent}${child.id}`,
      stateCell(child, agent),
      agent?.task ?? "-",
      agent?.session?.slice(0, SESSION_SHOWN) ?? "-",
      String(child.restarts),
      child.uptimeMillis === undefined ? "-" : age(child.uptimeMillis),
      usage?.cpuPercent === undefined ? "-" : `${Math.round(usage.cpuPercent)} %`,
      usage === undefined ? "-" : `${Math.round(usage.memory / 2 ** 20)} MiB`,
      agent?.costUsd === undefined || agent.costUsd === 0 ? "-" : dollars(agent.costUsd),
      child.lastFailure === undefined ? "" : `${child.lastFailure.kind}: ${child.lastFailure.message}`
    ],
    line: { ...life, ...agent, path: `${above}/${child.id}`, supervisor: above }
  }
}

const stateCell = (child: ChildView, agent: AgentView | undefined): Cell => {
  const state = agent?.state ?? child.status
  if (child.restartInMillis !== undefined) return [`${state}, restarts in ${age(child.restartInMillis)}`, "yellow"]
  switch (state) {
    case "idle":
    case "running":
      return [state, "green"]
    case "busy":
      return [state, "cyan"]
    case "error":
      return [state, "red"]
    case "terminated":
      return [child.status === "stopped" ? "stopped" : state, "dim"]
    case "throttled":
      return [
        agent?.limitedUntil === undefined ? state : `${state} for ${age(agent.limitedUntil - Date.now())}`,
        "yellow"
      ]
    default:
      return [state, "yellow"]
  }
}
