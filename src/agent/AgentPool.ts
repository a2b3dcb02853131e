/**
 * Who is up: all agents of this node, by id. Knows how to find one and says when one has changed; who gets which task is
 * task/'s business, who is restarted supervision/'s.
 */
import { Context, Effect, Layer, PubSub, type Scope, Stream } from "effect"
import type { AgentState } from "../domain/AgentState.ts"
import type { TreeUsage } from "../process/Usage.ts"
import { type Agent, make } from "./Agent.ts"
import type { AgentSpec } from "./AgentSpec.ts"

/** An agent at one moment. */
export interface AgentSnapshot {
  readonly id: string
  /** The id in the config, which replicas share. */
  readonly group: string
  /** Empty: any. */
  readonly taskTypes: ReadonlyArray<string>
  /** What it can do, in the words of the config. */
  readonly capabilities: ReadonlyArray<string>
  /** How good it is among others: what is more important goes to what is higher. */
  readonly weight: number
  readonly state: AgentState
  /** It will not come up again, so that nobody waits for it. */
  readonly gone: boolean
  /** The task whose conversation it still holds. */
  readonly holds: string | undefined
  /** What its CLI and all it has started use, as of the last look. */
  readonly usage?: TreeUsage | undefined
}

export class AgentPool extends Context.Service<
  AgentPool,
  {
    /** In the order of the config. */
    readonly agents: ReadonlyArray<Agent>
    readonly snapshot: Effect.Effect<ReadonlyArray<AgentSnapshot>>
    get(id: string): Agent | undefined
    /** Says that some agent has changed, at least once for any number of changes. Live once the Effect completes. */
    readonly changes: Effect.Effect<Stream.Stream<void>, never, Scope.Scope>
  }
>()("mister-smith/agent/AgentPool") {
  static readonly layer = (specs: ReadonlyArray<AgentSpec>) =>
    Layer.effect(
      this,
      Effect.gen(function* () {
        const changed = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)
        const signal = PubSub.publish(changed, undefined)
        const agents = yield* Effect.forEach(specs.flatMap(replicas), ([id, spec]) => make(spec, id, signal))
        const byId = new Map(agents.map((agent) => [agent.id, agent]))
        return AgentPool.of({
          agents,
          get: (id) => byId.get(id),
          snapshot: Effect.sync(() =>
            agents.map((agent) => ({
              id: agent.id,
              group: agent.spec.id,
              taskTypes: agent.spec.taskTypes,
              capabilities: agent.spec.capabilities,
              weight: agent.spec.weight ?? 1,
              state: agent.state(),
              gone: agent.gone(),
              holds: agent.holds(),
              usage: agent.usage()
            }))
          ),
          changes: Effect.map(PubSub.subscribe(changed), Stream.fromSubscription)
        })
      })
    )
}

/** One replica keeps the id of the config; more are numbered from 1. */
const replicas = (spec: AgentSpec): ReadonlyArray<readonly [string, AgentSpec]> =>
  spec.replicas === 1
    ? [[spec.id, spec]]
    : Array.from({ length: spec.replicas }, (_, index) => [`${spec.id}-${index + 1}`, spec] as const)
