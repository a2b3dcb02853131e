/** `tasks`: what a running node has to do, is doing and has done, the latest last. */
import { Effect, Option } from "effect"
import type { TaskSummary } from "../admin/TaskView.ts"
import type { TaskState } from "../domain/Task.ts"
import { age, type Cell, err, jsonLine, out, painter, table } from "./Printing.ts"
import { labelWords } from "./TaskWords.ts"
import { type Where, withNode } from "./Where.ts"
import { dollars, type Paint } from "./Words.ts"

export interface TasksInput {
  readonly state: Option.Option<TaskState>
  readonly type: Option.Option<string>
  readonly agent: Option.Option<string>
  readonly node: Option.Option<string>
  readonly label: ReadonlyArray<string>
  readonly limit: number
  readonly json: boolean
  readonly where: Where
}

export const tasks = Effect.fn("cli.tasks")(function* (input: TasksInput) {
  const { agent, label, limit, node: on, state, type, where } = input
  yield* withNode(
    where,
    Effect.fnUntraced(function* (node) {
      const query = {
        limit,
        ...(Option.isSome(state) ? { state: state.value } : {}),
        ...(Option.isSome(type) ? { type: type.value } : {}),
        ...(Option.isSome(agent) ? { agent: agent.value } : {}),
        ...(Option.isSome(on) ? { node: on.value } : {}),
        ...(label.length === 0 ? {} : { label })
      }
      yield* showTasks(yield* node.ask((client) => client.tasks({ query })), input)
    })
  )
})

export const showTasks = Effect.fnUntraced(function* (
  { more, tasks }: { readonly tasks: ReadonlyArray<TaskSummary>; readonly more: boolean },
  { agent, json, label, node, state, type }: Pick<TasksInput, "agent" | "json" | "label" | "node" | "state" | "type">
) {
  const p = yield* painter
  if (json) yield* Effect.forEach(tasks, jsonLine, { discard: true })
  else if (tasks.length === 0 && !more)
    yield* out(
      [agent, node, type].some(Option.isSome) || label.length > 0
        ? "there are no such tasks"
        : Option.isSome(state)
          ? `no task is ${state.value}`
          : "there are no tasks"
    )
  else yield* out(listed(tasks, Date.now(), p))
  if (more) yield* err(p("dim", "there are earlier ones (--limit)"))
})

const STYLES: Partial<Record<TaskState, "green" | "red" | "cyan" | "yellow">> = {
  succeeded: "green",
  failed: "red",
  dead: "red",
  running: "cyan",
  parked: "yellow",
  waiting: "yellow"
}

export const stateCell = (state: TaskState): Cell => {
  const style = STYLES[state]
  return style === undefined ? state : [state, style]
}

interface Column {
  readonly title: string
  /** Undefined: there is nothing to say. A column of which that is true in every line is left out, unless it is `always` there. */
  readonly cell: (task: TaskSummary, now: number) => Cell | undefined
  readonly always: boolean
}

const column = (title: string, cell: Column["cell"], always = true): Column => ({ title, cell, always })

const columns: ReadonlyArray<Column> = [
  column("TASK", ({ id }) => id),
  column("STATE", ({ state }) => stateCell(state)),
  column("TYPE", ({ type }) => type),
  column("AGENT", ({ agent }) => agent),
  column("NODE", ({ node }) => node, false),
  column("ATTEMPT", ({ attempt }) => String(attempt)),
  column("AGE", ({ submittedAt }, now) => age(now - submittedAt)),
  column("COST", ({ costUsd }) => (costUsd === 0 ? undefined : dollars(costUsd))),
  column("PRIORITY", ({ priority }) => (priority === undefined ? undefined : String(priority)), false),
  column("DUE", ({ dueAt }, now) => (dueAt === undefined ? undefined : `in ${age(Math.max(0, dueAt - now))}`), false),
  column(
    "WAITS FOR",
    ({ dueAt, state, waitsFor }) => (state === "parked" && dueAt === undefined ? waitsFor?.join(",") : undefined),
    false
  ),
  column("LABELS", ({ labels }) => labelWords(labels), false),
  column("WHAT", (task) => (task.state === "succeeded" ? task.prompt : (task.problem ?? task.prompt)))
]

const listed = (tasks: ReadonlyArray<TaskSummary>, now: number, p: Paint): string => {
  const shown = columns.filter(({ always, cell }) => always || tasks.some((task) => cell(task, now) !== undefined))
  const rows = tasks.map((task) => shown.map(({ cell }) => cell(task, now) ?? "-"))
  return table(
    shown.map(({ title }) => title),
    rows,
    p
  )
}
