/**
 * `reload`: has a running node read its config file again, shows what that changes, and waits until it is carried out, or
 * undone. With `--plan` it only shows. Interrupting it changes nothing: the node goes on.
 */
import { Effect, Fiber, Stream } from "effect"
import type { PlanView } from "../admin/ReloadView.ts"
import type { Published } from "../event/Event.ts"
import { type Cell, err, jsonLine, out, painter, table } from "./Printing.ts"
import { list } from "./ReloadWords.ts"
import { type Where, withNode } from "./Where.ts"
import { describe, type Paint } from "./Words.ts"

export interface ReloadInput {
  readonly plan: boolean
  readonly now: boolean
  readonly json: boolean
  readonly where: Where
}

/** How long what the node has told before its answer may take to be shown. */
const TOLD = "2 seconds"

export const reload = Effect.fn("cli.reload")(function* ({ json, now, plan: only, where }: ReloadInput) {
  const p = yield* painter
  yield* withNode(
    where,
    Effect.fnUntraced(function* (node) {
      const asked = yield* Effect.result(node.ask((client) => client.reload({ payload: { plan: true } })))
      if (asked._tag === "Failure") {
        const fault = asked.failure
        if (json && fault._tag === "ConfigRefused")
          yield* jsonLine({ ok: false, file: fault.file, mistakes: fault.mistakes })
        return yield* fault
      }
      const plan = asked.success
      yield* json ? jsonLine({ type: "plan", ...plan }) : out(planTable(plan, p))
      if (only) return
      // Listens before it tells, so that nothing is missed.
      const events = yield* node.events({ follow: true })
      const shown = yield* events.pipe(
        Stream.filter(({ type }) => type.startsWith("reload.") && type !== "reload.planned"),
        Stream.takeUntil(({ type }) => isLast(type)),
        Stream.runForEach((event) => {
          if (json) return jsonLine(event)
          const line = describe(event as unknown as Published, p)
          return line === undefined ? Effect.void : err(line)
        }),
        Effect.forkScoped
      )
      const ended = yield* Effect.result(node.wait((client) => client.reload({ payload: { now } })))
      // Where there was nothing to do, nothing is told.
      if (ended._tag === "Failure" && ended.failure._tag !== "ReloadRolledBack") return yield* ended.failure
      yield* Effect.timeoutOption(Fiber.await(shown), TOLD)
      if (ended._tag === "Failure") return yield* ended.failure
    }, Effect.scoped)
  )
})

const isLast = (type: string) => type === "reload.done" || type === "reload.rolled_back" || type === "reload.refused"

const HOLDS = {
  now: "at once",
  next_cli: "from each agent's next CLI",
  node_restart: "needs a restart of the node"
} as const

/** What would change, a line each; agents that stay as they are together in one. */
export const planTable = ({ agents, reordered, settings, tasks }: PlanView, p: Paint): string => {
  const kept = agents.filter((step) => step.do === "keep")
  const rows: Array<ReadonlyArray<Cell>> = []
  for (const { agent, do: what, keys, renews } of agents) {
    if (what === "add") rows.push([agent, ["added", "green"], ""])
    if (what === "remove") rows.push([agent, ["removed", "red"], ""])
    if (what === "change")
      rows.push([agent, [renews ? "changed, new CLI" : "changed in place", "yellow"], keys.join(", ")])
  }
  for (const { holds, key } of settings) {
    rows.push([key, holds === "node_restart" ? ["not changed", "dim"] : ["changed", "yellow"], HOLDS[holds]])
  }
  for (const task of tasks) rows.push([task, ["new task", "green"], ""])
  if (reordered) rows.push(["agents", ["changed", "yellow"], "their order"])
  if (kept.length > 0) rows.push([list(kept.map(({ agent }) => agent)), ["unchanged", "dim"], ""])
  return table(["WHAT", "HOW", "KEYS"], rows, p)
}
