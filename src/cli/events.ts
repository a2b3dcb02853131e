/** `events`: what has happened on a running node, and, where it is followed, what happens from now on. */
import { Effect, Option, Stream } from "effect"
import type { Published } from "../event/Event.ts"
import { err, jsonLine, out, painter } from "./Printing.ts"
import { type Where, withNode } from "./Where.ts"
import { describe, harmless, type Paint } from "./Words.ts"

export interface EventsInput {
  readonly follow: boolean
  readonly last: Option.Option<number>
  readonly task: Option.Option<string>
  readonly agent: Option.Option<string>
  readonly json: boolean
  readonly where: Where
}

export const events = Effect.fn("cli.events")(function* ({ agent, follow, json, last, task, where }: EventsInput) {
  const p = yield* painter
  yield* withNode(
    where,
    Effect.fnUntraced(function* (node) {
      const stream = yield* node.events({
        follow,
        ...(Option.isSome(last) ? { last: last.value } : {}),
        ...(Option.isSome(task) ? { task: task.value } : {}),
        ...(Option.isSome(agent) ? { agent: agent.value } : {})
      })
      yield* Stream.runForEach(stream, (event) =>
        json ? jsonLine(event) : out(sentence(event as unknown as Published, p))
      )
      if (follow) yield* err(p("dim", "the node has ended"))
    })
  )
})

/** Every event has a line here, also what `run` passes over because it shows elsewhere. */
export const sentence = (event: Published, p: Paint): string => {
  if (event.type === "events.gap") {
    return p("yellow", event.missed > 0 ? `${event.missed} events are not kept any more` : "another run begins here")
  }
  return describe(event, p) ?? `${p("dim", new Date(event.at).toTimeString().slice(0, 8))} ${quiet(harmless(event), p)}`
}

const quiet = (event: Published, p: Paint): string => {
  switch (event.type) {
    case "task.state": {
      const by = event.agent === undefined ? "" : ` (${event.agent}, attempt ${event.attempt})`
      return `task ${p("cyan", event.task)}: ${event.to}${by}${event.reason === undefined ? "" : `: ${event.reason.message}`}`
    }
    case "agent.state":
      return p("dim", `${event.agent}: ${event.from} → ${event.to} (${event.reason})`)
    case "supervisor.decision":
      return p("dim", event.why)
    default: {
      const { at: _at, seq: _seq, type, ...fields } = event
      return p("dim", `${type} ${JSON.stringify(fields)}`)
    }
  }
}
