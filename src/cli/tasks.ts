/** `tasks`: what a running node has to do, is doing and has done, the latest last. */
import { Effect, Option } from "effect"
import type { TaskSummary } from "../admin/TaskView.ts"
import type { TaskState } from "../domain/Task.ts"
import { age, type Cell, err, jsonLine, out, painter, table } from "./Printing.ts"
import { type Where, withNode } from "./Where.ts"
import { dollars } from "./Words.ts"

export interface TasksInput {
  readonly state: Option.Option<TaskState>
  readonly type: Option.Option<string>
  readonly agent: Option.Option<string>
  readonly limit: number
  readonly json: boolean
  readonly where: Where
}

export const tasks = Effect.fn("cli.tasks")(function* ({ agent, json, limit, state, type, where }: TasksInput) {
  const p = yield* painter
  yield* withNode(
    where,
    Effect.fnUntraced(function* (node) {
      const query = {
        limit,
        ...(Option.isSome(state) ? { state: state.value } : {}),
        ...(Option.isSome(type) ? { type: type.value } : {}),
        ...(Option.isSome(agent) ? { agent: agent.value } : {})
      }
      const { more, tasks } = yield* node.ask((client) => client.tasks({ query }))
      if (json) yield* Effect.forEach(tasks, jsonLine, { discard: true })
      else if (tasks.length === 0 && !more)
        yield* out(
          Option.isSome(type) || Option.isSome(agent)
            ? "there are no such tasks"
            : Option.isSome(state)
              ? `no task is ${state.value}`
              : "there are no tasks"
        )
      else yield* out(table(TITLES, tasks.map(row(Date.now())), p))
      if (more) yield* err(p("dim", "there are earlier ones (--limit)"))
    })
  )
})

const TITLES = ["TASK", "STATE", "TYPE", "AGENT", "ATTEMPT", "AGE", "COST", "WHAT"]

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

const row = (now: number) => (task: TaskSummary) => [
  task.id,
  stateCell(task.state),
  task.type,
  task.agent ?? "-",
  String(task.attempt),
  age(now - task.submittedAt),
  task.costUsd === 0 ? "-" : dollars(task.costUsd),
  task.state === "succeeded" ? task.prompt : (task.problem ?? task.prompt)
]
