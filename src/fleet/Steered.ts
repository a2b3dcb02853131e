/** What a fleet asks and tells a node. The wiring gives it the node, a test whatever it likes. */
import { Context, type Effect } from "effect"
import type { AgentSnapshot } from "../agent/AgentPool.ts"
import type { Move } from "../agent/Moves.ts"
import type { Fault } from "../domain/Fault.ts"

export interface SteeredShape {
  readonly agents: Effect.Effect<ReadonlyArray<AgentSnapshot>>
  /** What an agent has been of late, first to last. */
  moves(agent: string): Effect.Effect<ReadonlyArray<Move>, Fault>
  stopAgent(agent: string): Effect.Effect<void, Fault>
  /** Stops and starts it; one that is down is started. */
  restartAgent(agent: string): Effect.Effect<void, Fault>
  pauseAgent(agent: string): Effect.Effect<void, Fault>
  resumeAgent(agent: string): Effect.Effect<void, Fault>
  /** Breaks off what it does; its task goes on after a pause. */
  interruptAgent(agent: string): Effect.Effect<void, Fault>
  /** For the rest of its life. */
  setModel(agent: string, model: string): Effect.Effect<void, Fault>
  /** In the turn that it is in, or with its next one. */
  tellAgent(agent: string, text: string): Effect.Effect<unknown, Fault>
  /** It begins no more work, and ends when what runs has ended. */
  readonly draining: Effect.Effect<boolean>
}

export class Steered extends Context.Service<Steered, SteeredShape>()("mister-smith/fleet/Steered") {}
