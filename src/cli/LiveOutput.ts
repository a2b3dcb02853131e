/**
 * For people at a terminal: what has ended scrolls by, and below it stands a block that is drawn anew: the agents and
 * what each is doing, the tasks, the cost. Drawn at most ten times a second, and only when something has changed.
 */
import { Effect } from "effect"
import { isFinal, type TaskState } from "../domain/Task.ts"
import type { Published } from "../event/Event.ts"
import { type Output, write } from "./Output.ts"
import { describe, dollars, harmless, type Paint, resultLine } from "./Words.ts"

/** Agents shown; more are counted. */
const ROWS = 20
const PERIOD = 100

interface Row {
  state: string
  task: string | undefined
  doing: string
}

export const liveOutput = (stdout: NodeJS.WriteStream, p: Paint): Output => {
  const rows = new Map<string, Row>()
  const tasks = new Map<string, TaskState>()
  let ended = { succeeded: 0, failed: 0 }
  let cost = 0
  let drawn = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  const row = (agent: string): Row => {
    const known = rows.get(agent) ?? { state: "initializing", task: undefined, doing: "" }
    rows.set(agent, known)
    return known
  }

  const note = (event: Published) => {
    if (event.type === "agent.state") {
      const known = row(event.agent)
      known.state = event.to
      if (event.to !== "busy") known.doing = event.to === "error" ? event.reason : ""
      if (event.to === "idle" || event.to === "throttled") known.task = undefined
    } else if (event.type === "task.state") {
      if (isFinal(event.to)) tasks.delete(event.task)
      else tasks.set(event.task, event.to)
      if (event.to === "running" && event.agent !== undefined) row(event.agent).task = event.task
    } else if (event.type === "task.progress") {
      row(event.agent).doing = event.doing === "tool" ? `uses ${event.detail}` : event.detail
    }
  }

  const block = (): ReadonlyArray<string> => {
    const shown = [...rows].slice(0, ROWS)
    const width = Math.max(0, ...shown.map(([agent]) => agent.length))
    const lines = shown.map(([agent, { doing, state, task }]) => {
      const colour = state === "busy" ? "cyan" : state === "idle" ? "green" : state === "error" ? "red" : "yellow"
      const what = task === undefined ? doing : `${task}: ${doing}`
      return { head: `${agent.padEnd(width)} ${state.padEnd(12)} `, colour, what } as const
    })
    const columns = Math.max(40, stdout.columns ?? 80)
    const count = (state: TaskState) => [...tasks.values()].filter((each) => each === state).length
    return [
      ...lines.map(({ colour, head, what }) => p(colour, head) + p("dim", cut(what, columns - head.length - 1))),
      ...(rows.size > ROWS ? [p("dim", `… and ${rows.size - ROWS} more agents`)] : []),
      cut(
        `tasks: ${count("queued")} queued, ${count("running")} running, ${count("parked")} parked, ` +
          `${ended.succeeded} succeeded, ${ended.failed} failed · ${dollars(cost)}`,
        columns - 1
      )
    ]
  }

  const wipe = () => {
    const text = drawn === 0 ? "" : `\x1b[${drawn}A\x1b[0J`
    drawn = 0
    return text
  }
  const draw = () => {
    const lines = block()
    const text = `${wipe()}${lines.join("\n")}\n`
    drawn = lines.length
    return text
  }
  const later = () => {
    timer ??= setTimeout(() => {
      timer = undefined
      stdout.write(draw())
    }, PERIOD)
  }
  const above = (line: string) => write(stdout, `${wipe()}${line}\n${draw()}`)

  return {
    event: (event) => {
      note(harmless(event))
      // The block shows these already.
      const line =
        event.type === "task.progress" || (event.type === "task.state" && event.to === "running")
          ? undefined
          : describe(event, p)
      if (line !== undefined) return above(line)
      return Effect.sync(later)
    },
    result: (result) => {
      ended = { ...ended, [result.status]: ended[result.status] + 1 }
      if (!result.earlier) cost += result.usage.costUsd
      return above(resultLine(result, p))
    },
    log: (line) => void stdout.write(`${wipe()}${line}\n${draw()}`),
    close: Effect.suspend(() => {
      clearTimeout(timer)
      return write(stdout, draw())
    })
  }
}

const cut = (text: string, width: number) => (text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`)
