/** `explain AGENT`: why an agent is as it is, in a sentence, and what it has been of late, in earlier runs too. */
import { Effect } from "effect"
import { jsonLine, out, painter } from "./Printing.ts"
import { type AgentInput, withNode } from "./Where.ts"
import { harmless } from "./Words.ts"

export const explainAgent = Effect.fn("cli.explain")(function* ({ agent, json, where }: AgentInput) {
  const p = yield* painter
  const params = { id: agent }
  const { moves, why } = yield* withNode(where, (node) =>
    Effect.all({
      why: Effect.map(
        node.ask((client) => client.explain({ params })),
        ({ why }) => why
      ),
      moves: node.ask((client) => client.moves({ params }))
    })
  )
  if (json) return yield* jsonLine({ agent, why, moves })
  const lines = moves.map(
    ({ at, from, reason, to }) => `  ${p("dim", new Date(at).toLocaleString("sv-SE"))}  ${from} → ${to}  ${reason}`
  )
  yield* out(harmless([why, ...lines].join("\n")))
})
