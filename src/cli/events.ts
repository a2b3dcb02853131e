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

/** Every event has a line here: those that `run` passes over are told by their fields. */
export const sentence = (event: Published, p: Paint): string => {
  if (event.type === "events.gap") {
    return p("yellow", event.missed > 0 ? `${event.missed} events are not kept any more` : "another run begins here")
  }
  const line = describe(event, p)
  if (line !== undefined) return line
  const { at, seq: _seq, type, ...fields } = harmless(event)
  const said = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined || value === null
      ? []
      : [`${name}=${typeof value === "string" ? value : JSON.stringify(value)}`]
  )
  return `${p("dim", new Date(at).toTimeString().slice(0, 8))} ${p("dim", type)} ${said.join(" ")}`
}
