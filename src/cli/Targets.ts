/**
 * Which agents a command means: one by its id, all replicas of a group by the id in the config, every agent by `all`.
 * An agent or a group that is called `all` is meant before everybody is.
 *
 * Promises: the agents come one after the other, in the order of `ps`; where several are meant, what fails with one is
 * told, does not keep the others from it, and makes the exit code 1.
 */
import { Effect, Schema } from "effect"
import type { AdminClient } from "../admin/AdminClient.ts"
import { NodeLost, NodeUnreachable } from "../admin/AdminError.ts"
import { type Fault, follow, report } from "../domain/Fault.ts"
import { err, jsonLine, out, painter } from "./Printing.ts"
import { type AgentInput, withNode } from "./Where.ts"
import { harmless } from "./Words.ts"

/** Not every agent did as it was told. Each was told on its own. */
export class AgentsFailed extends Schema.TaggedError<AgentsFailed, Fault>("mister-smith/AgentsFailed")("AgentsFailed", {
  failed: Schema.Number,
  of: Schema.Number
}) {
  static {
    follow(this, { severity: "medium", recovery: "ignore" })
  }
  override get message() {
    return `${this.failed} of ${this.of} agents did not do it`
  }
}

type Node = AdminClient["Service"]

/** Answers with the name alone where the node has no such agent: its refusal says what there is. */
export const targets = Effect.fnUntraced(function* (node: Node, name: string) {
  const { agents } = yield* node.ask((client) => client.tree())
  if (agents.some(({ id }) => id === name)) return [name]
  const group = agents.filter((agent) => agent.group === name)
  if (group.length > 0) return group.map(({ id }) => id)
  return name === "all" ? agents.map(({ id }) => id) : [name]
})

/** What a command does to an agent, and how it is told. */
interface Telling<E extends Fault> {
  /** What it answers with, a program is told too. */
  readonly act: (node: Node, agent: string) => Effect.Effect<unknown, E>
  /** What a program is told beside `agent`; of one that failed, with a `fault`. */
  readonly done: Readonly<Record<string, boolean | string>>
  readonly said: (agent: string) => string
  /** It is so already: where several are meant, this is no failure. */
  readonly already?: string
}

export const tellAgents = Effect.fnUntraced(function* <E extends Fault>(
  { agent: name, json, where }: AgentInput,
  { act, already, done, said }: Telling<E>
) {
  const p = yield* painter
  yield* withNode(
    where,
    Effect.fnUntraced(function* (node) {
      const meant = yield* targets(node, name)
      const tell = (agent: string, more?: unknown) =>
        json ? jsonLine({ agent, ...done, ...(typeof more === "object" ? more : {}) }) : out(said(agent))
      const [only] = meant
      if (meant.length === 1 && only !== undefined)
        return yield* Effect.flatMap(act(node, only), (more) => tell(only, more))
      let failed = 0
      for (const agent of meant) {
        yield* act(node, agent).pipe(
          Effect.flatMap((more) => tell(agent, more)),
          Effect.catch((fault: Fault) => {
            // Nobody is there who could be told anything more.
            if (fault instanceof NodeLost || fault instanceof NodeUnreachable) return Effect.fail(fault)
            if (fault._tag === already) return tell(agent)
            failed++
            return json
              ? jsonLine({ agent, fault: report(fault) })
              : err(p("red", harmless(`${agent}: ${fault.message}`)))
          })
        )
      }
      if (failed > 0) yield* new AgentsFailed({ failed, of: meant.length })
    })
  )
})
