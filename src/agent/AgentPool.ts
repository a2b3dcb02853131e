/**
 * Who is up: all agents of this node, by id. Knows how to find one and says when one has changed; who gets which task is
 * task/'s business, who is restarted supervision/'s.
 */
import { Context, Effect, Exit, Layer, PubSub, Scope, Stream } from "effect"
import type { AgentState } from "../domain/AgentState.ts"
import type { EventBus } from "../event/EventBus.ts"
import type { TreeUsage } from "../process/Usage.ts"
import { type Agent, make } from "./Agent.ts"
import { AgentHost } from "./AgentHost.ts"
import type * as AgentLife from "./AgentLife.ts"
import type { AgentSpec } from "./AgentSpec.ts"
import type { Moves } from "./Moves.ts"

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
  /** It is about to change or to go, and takes nothing before. */
  readonly leaving?: boolean
  /** The task whose conversation it still holds. */
  readonly holds: string | undefined
  /** The conversation that it is busy with, as the CLI calls it. */
  readonly session?: string | undefined
  /** The account that it shares with others, where it is named. */
  readonly account?: string | undefined
  /** Until when its account must wait, in milliseconds since the epoch. */
  readonly limitedUntil?: number | undefined
  /** Dollars that its attempts have cost in this run. */
  readonly costUsd?: number | undefined
  /** Undefined: the CLI's own. */
  readonly model?: string | undefined
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
    /** One more, at the end, which nobody has started. */
    enlist(id: string, spec: AgentSpec, host: AgentHost["Service"]): Effect.Effect<Agent>
    /** It is nobody any more. It must be down. */
    dismiss(id: string): Effect.Effect<void>
    /** Puts those that are named in this order, and all others behind them. */
    arrange(ids: ReadonlyArray<string>): Effect.Effect<void>
    /** Has those look again who wait for a change. */
    readonly changed: Effect.Effect<void>
    /** Says that some agent has changed, at least once for any number of changes. Live once the Effect completes. */
    readonly changes: Effect.Effect<Stream.Stream<void>, never, Scope.Scope>
  }
>()("mister-smith/agent/AgentPool") {
  static readonly layer = (specs: ReadonlyArray<AgentSpec>) =>
    Layer.effect(
      this,
      Effect.gen(function* () {
        const changed = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)
        const signal = Effect.asVoid(PubSub.publish(changed, undefined))
        const scope = yield* Effect.scope
        const needs = yield* Effect.context<EventBus | Moves | AgentLife.Needs>()
        /** In the order of the config. */
        const members = new Map<string, Member>()
        const enlist = Effect.fnUntraced(function* (id: string, spec: AgentSpec, host?: AgentHost["Service"]) {
          const own = yield* Scope.fork(scope)
          const agent = yield* make(spec, id, signal).pipe(
            Scope.provide(own),
            Effect.provideContext(host === undefined ? needs : Context.add(needs, AgentHost, host))
          )
          members.set(id, { agent, scope: own })
          return agent
        })
        yield* Effect.forEach(specs.flatMap(replicas), ([id, spec]) => enlist(id, spec))
        return AgentPool.of({
          get agents() {
            return Array.from(members.values(), ({ agent }) => agent)
          },
          get: (id) => members.get(id)?.agent,
          enlist,
          dismiss: Effect.fnUntraced(function* (id) {
            const member = members.get(id)
            if (member === undefined) return
            members.delete(id)
            yield* Scope.close(member.scope, Exit.void)
            yield* signal
          }),
          arrange: (ids) =>
            Effect.sync(() => {
              const named = ids.flatMap((id) => members.get(id) ?? [])
              const all = new Set([...named, ...members.values()])
              members.clear()
              for (const member of all) members.set(member.agent.id, member)
            }),
          changed: signal,
          snapshot: Effect.sync(() =>
            Array.from(members.values(), ({ agent }) => ({
              id: agent.id,
              group: agent.spec.id,
              taskTypes: agent.spec.taskTypes,
              capabilities: agent.spec.capabilities,
              weight: agent.spec.weight ?? 1,
              state: agent.state(),
              gone: agent.gone(),
              leaving: agent.leaving(),
              holds: agent.holds(),
              session: agent.session(),
              account: agent.spec.account,
              limitedUntil: agent.limited()?.until,
              costUsd: agent.spent(),
              model: agent.model(),
              usage: agent.usage()
            }))
          ),
          changes: Effect.map(PubSub.subscribe(changed), Stream.fromSubscription)
        })
      })
    )
}

interface Member {
  readonly agent: Agent
  /** Its own, so that it can go before all others do. */
  readonly scope: Scope.Closeable
}

/** One replica keeps the id of the config; more are numbered from 1. */
export const replicas = (spec: AgentSpec): ReadonlyArray<readonly [string, AgentSpec]> =>
  spec.replicas === 1
    ? [[spec.id, spec]]
    : Array.from({ length: spec.replicas }, (_, index) => [`${spec.id}-${index + 1}`, spec] as const)
