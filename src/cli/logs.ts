/**
 * `logs AGENT`: what an agent said and did, from the events that the node has kept; with `--follow` on to its end. The
 * id of a group means all its replicas, `all` everybody.
 */
import { Effect, Option, Stream } from "effect"
import { speaksOf } from "../admin/EventView.ts"
import type { Published } from "../event/Event.ts"
import { sentence } from "./events.ts"
import { err, jsonLine, out, painter } from "./Printing.ts"
import { targets } from "./Targets.ts"
import { type AgentInput, withNode } from "./Where.ts"

export interface LogsInput extends AgentInput {
  readonly follow: boolean
  readonly last: Option.Option<number>
}

export const logs = Effect.fn("cli.logs")(function* ({ agent, follow, json, last, where }: LogsInput) {
  const p = yield* painter
  yield* withNode(
    where,
    Effect.fnUntraced(function* (node) {
      const agents = yield* targets(node, agent)
      // The node refuses an agent that it does not have.
      const [only] = agents
      if (only !== undefined) yield* node.ask((client) => client.explain({ params: { id: only } }))
      const wanted = (event: Published) => told(event) && agents.some((id) => speaksOf(event, { agent: id }))
      const show = (event: Published) => (json ? jsonLine(event) : out(sentence(event, p)))
      const read = Effect.fnUntraced(function* (follow: boolean) {
        // All that is kept: how many of them are this agent's is not known before.
        const events = yield* node.events({ follow, last: ALL })
        return Stream.map(events, (event) => event as unknown as Published)
      })
      const kept = yield* Stream.runCollect(yield* read(false))
      const earlier = kept.filter(wanted)
      const shown = Option.match(last, {
        onNone: () => earlier,
        onSome: (n) => (n === 0 ? [] : earlier.slice(-n))
      })
      yield* Effect.forEach(shown, show, { discard: true })
      if (!follow) return
      const seen = kept.at(-1)?.seq ?? 0
      yield* (yield* read(true)).pipe(
        Stream.filter((event) => event.seq > seen && wanted(event)),
        Stream.runForEach(show)
      )
      yield* err(p("dim", "the node has ended"))
    })
  )
})

/** More than any node keeps. */
const ALL = 1_000_000

/** What its supervisor thought of it is told by `explain` and `events`. */
const told = ({ type }: Published): boolean =>
  /^(task|agent|session|api)\./.test(type) || type === "limit.unenforced" || type === "events.gap"
