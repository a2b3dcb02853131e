/**
 * What an agent has been of late: its last moves from state to state with their reasons, kept over the end of the
 * runtime. For people: what an agent is now it knows by itself, and who must hear of a move hears the event. A store that
 * cannot be written costs the story of an earlier run and nothing else.
 */
import { Clock, Context, Effect, Layer, Option, Schema } from "effect"
import { brief } from "../event/Event.ts"
import { StateStore } from "../state/StateStore.ts"

/** Moves of each agent that are kept. */
export const KEPT = 20

/** By agent. */
const BUCKET = "agent-moves"

export const Move = Schema.Struct({
  /** Milliseconds since the epoch. */
  at: Schema.Number,
  from: Schema.String,
  to: Schema.String,
  reason: Schema.String
})
export type Move = typeof Move.Type

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Array(Move)))

export class Moves extends Context.Service<
  Moves,
  {
    note(agent: string, move: Omit<Move, "at">): Effect.Effect<void>
    /** The latest of them, first to last; those of earlier runs too. */
    of(agent: string): ReadonlyArray<Move>
  }
>()("mister-smith/agent/Moves") {
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function* () {
      const store = yield* StateStore
      const kept = new Map<string, ReadonlyArray<Move>>()
      // What cannot be read is not told.
      for (const { key, value } of yield* store.list(BUCKET))
        kept.set(
          key,
          Option.getOrElse(decode(value), () => [])
        )
      return Moves.of({
        of: (agent) => kept.get(agent) ?? [],
        note: Effect.fnUntraced(function* (agent, { from, reason, to }) {
          const at = yield* Clock.currentTimeMillis
          const moves = [...(kept.get(agent) ?? []), { at, from, to, reason: brief(reason) }].slice(-KEPT)
          kept.set(agent, moves)
          yield* Effect.ignore(store.put(BUCKET, agent, JSON.stringify(moves)))
        })
      })
    })
  )
}
