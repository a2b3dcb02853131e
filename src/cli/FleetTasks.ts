/** `tasks`, `task`, `task cancel` and `submit` with `--fleet`: on the ledger that the nodes of a fleet share, over its servers. */
import { Effect, Option, Schema } from "effect"
import * as TaskView from "../admin/TaskView.ts"
import { labelsOf } from "../task/Labels.ts"
import { TaskInvalid } from "../task/TaskError.ts"
import type { TaskLedger } from "../task/TaskLedger.ts"
import { TaskSpec } from "../task/TaskSpec.ts"
import { TasksFailed } from "./CliFault.ts"
import type { CancelInput } from "./cancelTask.ts"
import { type FleetWhere, withFleet } from "./FleetWhere.ts"
import { err, jsonLine, out, painter } from "./Printing.ts"
import { type SubmitInput, show } from "./submit.ts"
import { taskOf } from "./TaskOf.ts"
import { standing } from "./TaskWords.ts"
import { story } from "./task.ts"
import { showTasks, type TasksInput } from "./tasks.ts"
import { UsageWrong } from "./UsageFault.ts"
import type { Where } from "./Where.ts"
import { harmless } from "./Words.ts"

interface OfFleet {
  readonly fleet: FleetWhere
  readonly where: Where
}

const withTasks = <A, E, R>(
  { fleet, where }: OfFleet,
  use: (ledger: TaskLedger["Service"]) => Effect.Effect<A, E, R>
) => withFleet(where, fleet, ({ ledger }) => Effect.flatMap(ledger, use))

export const tasksOfFleet = Effect.fn("cli.tasksOfFleet")(function* (input: TasksInput & OfFleet) {
  const { agent, label, limit, node, state, type } = input
  const found = yield* withTasks(input, ({ list }) =>
    list({
      agent: Option.getOrUndefined(agent),
      node: Option.getOrUndefined(node),
      labels: label.length === 0 ? undefined : labelsOf(label),
      limit: limit + 1,
      states: Option.isSome(state) ? [state.value] : undefined,
      type: Option.getOrUndefined(type)
    })
  )
  const tasks = found.slice(0, limit).reverse().map(TaskView.summaryOf)
  yield* showTasks({ tasks, more: found.length > limit }, input)
})

export const taskOfFleet = Effect.fn("cli.taskOfFleet")(function* (
  input: { readonly id: string; readonly json: boolean } & OfFleet
) {
  const p = yield* painter
  const view = yield* withTasks(input, (ledger) =>
    Effect.zipWith(ledger.get(input.id), ledger.history(input.id), TaskView.storyOf)
  )
  // What has happened is told by the node on which it did.
  yield* input.json ? jsonLine(view) : out(story(view, [], p))
})

export const cancelInFleet = Effect.fn("cli.cancelInFleet")(function* (input: CancelInput & OfFleet) {
  const { id, json, why } = input
  const record = yield* withTasks(input, ({ cancel }) =>
    cancel(
      id,
      Option.getOrElse(why, () => "on request")
    )
  )
  const task = TaskView.viewOf(record)
  yield* json ? jsonLine(task) : out(harmless(task.lastFault?.message ?? `task "${id}" ${standing(task.state)}`))
})

const decode = Schema.decodeUnknownEffect(TaskSpec, { errors: "all", onExcessProperty: "error" })

export const submitToFleet = Effect.fn("cli.submitToFleet")(function* (input: SubmitInput & OfFleet) {
  const spec = yield* Effect.mapError(decode(yield* taskOf(input)), ({ issue }) => TaskInvalid.inIssue(issue))
  if (input.follow)
    return yield* new UsageWrong({
      problem: "what is being done is told by nodes",
      advice: "give --wait in the place of --follow, or submit at a node"
    })
  if (spec.files !== undefined)
    return yield* new UsageWrong({
      problem: "files are taken by a node of the machine that has them",
      advice: "submit at a node, without --fleet"
    })
  const p = yield* painter
  yield* withTasks(
    input,
    Effect.fnUntraced(function* (ledger) {
      const record = yield* ledger.submit(spec)
      if (!input.wait) {
        const accepted = TaskView.viewOf(record)
        return yield* input.json ? jsonLine(accepted) : out(`task ${accepted.id} ${standing(accepted.state)}`)
      }
      if (!input.json) yield* err(p("dim", `task ${record.id} is accepted`))
      const result = yield* ledger.result(record.id)
      yield* show(result, input.json, p)
      if (result.status !== "succeeded") yield* new TasksFailed({ failed: 1 })
    })
  )
})
