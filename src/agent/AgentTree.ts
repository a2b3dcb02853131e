/**
 * The supervisor of this node's agents: starts them in the order of the config, restarts them by the config's policy, and
 * stops them in reverse. Its decisions are events; an agent that will not be restarted is told so, so that nobody waits
 * for it. An agent that was stopped on purpose stays so in the next run on the same data directory.
 */
import { Context, Effect, Layer } from "effect"
import type { ClaudeFailure } from "../claude/ClaudeFailure.ts"
import { EventBus } from "../event/EventBus.ts"
import type { LimitUnenforceable, PauseFailed } from "../process/ProcessError.ts"
import type { ProcessLimits, Unenforced } from "../process/ProcessLimits.ts"
import type { TreeUsage } from "../process/Usage.ts"
import type {
  ChildNotFound,
  ChildRunning,
  ChildStartFailed,
  StopNotKept,
  SupervisorEnded
} from "../supervision/ChildError.ts"
import { rungsOf } from "../supervision/EscalationLadder.ts"
import * as RestartBudget from "../supervision/RestartBudget.ts"
import type { SupervisorInfo } from "../supervision/Snapshot.ts"
import type { ChildRefused, SupervisorGaveUp } from "../supervision/SupervisionError.ts"
import type { SupervisionSettings } from "../supervision/SupervisionSettings.ts"
import * as Supervisor from "../supervision/Supervisor.ts"
import type { Agent, Generation } from "./Agent.ts"
import { type AgentNotPerforming, type AgentNotRunning, AgentUnknown, type InboxFull } from "./AgentError.ts"
import { AgentHost } from "./AgentHost.ts"
import { AgentPool } from "./AgentPool.ts"
import * as OperatorHook from "./OperatorHook.ts"
import * as StoppedAgents from "./StoppedAgents.ts"
import { hear } from "./TreeListener.ts"

/** Why an agent was not stopped. */
export type StopError = AgentUnknown | ChildNotFound | StopNotKept | SupervisorEnded
/** Why an agent was not started. */
export type StartAgentError = StopError | ChildRunning | ChildStartFailed

/** Why an agent was not changed, or did not come up as it is to be. */
export type ChangeError = ChildRefused | ChildNotFound | ChildStartFailed | StopNotKept | SupervisorEnded

export type PauseError = AgentUnknown | AgentNotRunning | PauseFailed
export type LimitError = AgentUnknown | AgentNotRunning | LimitUnenforceable
export type InterruptError = AgentUnknown | AgentNotPerforming
export type ModelError = AgentUnknown | AgentNotRunning | ClaudeFailure
export type TellError = AgentUnknown | AgentNotRunning | InboxFull

export class AgentTree extends Context.Service<
  AgentTree,
  {
    /** Fails when the tree has given up; never succeeds before the Layer's Scope closes. */
    readonly ended: Effect.Effect<void, SupervisorGaveUp>
    /** Stops an agent for good: no failure, no group and no new run starts it. Completes when nothing of it is left. */
    stop(agent: string): Effect.Effect<void, StopError>
    /** Starts an agent that is down, whatever it went down for. */
    start(agent: string): Effect.Effect<void, StartAgentError>
    /** Brings an agent to a halt, and lets it go on. */
    pause(agent: string): Effect.Effect<void, PauseError>
    resume(agent: string): Effect.Effect<void, PauseError>
    /** Changes what the agent's running CLI may use, until its next life. */
    limit(agent: string, limits: ProcessLimits): Effect.Effect<ReadonlyArray<Unenforced>, LimitError>
    /** The agent itself, to be told something. */
    agent(agent: string): Effect.Effect<Agent, AgentUnknown>
    /** What its CLI and all it has started use, as of the last look. */
    usage(agent: string): Effect.Effect<TreeUsage | undefined, AgentUnknown>
    /**
     * What the agent performs is over, or is given up where it is told to stop; then it begins anew after this generation, and
     * its CLI is up when this completes. One that an operator keeps down stays down and begins so when it is started.
     * `proving` false: its supervisor looks after its first life too, and this does not wait for the CLI.
     */
    renew(agent: string, next: Generation, proving: boolean): Effect.Effect<void, AgentUnknown | ChangeError>
    /** Other settings for the life it has, and for all after it. */
    amend(agent: string, next: Generation): Effect.Effect<void, AgentUnknown | ChangeError>
    /** Starts one that the pool has just been given. Where its CLI does not come up it stays, and stays down. */
    admit(agent: string): Effect.Effect<void, AgentUnknown | ChangeError>
    /** Stops it, and forgets that it was there. */
    remove(agent: string): Effect.Effect<void, AgentUnknown | StopNotKept | SupervisorEnded>
    /** The order in which agents start, stop and are listed. */
    arrange(agents: ReadonlyArray<string>): Effect.Effect<void, SupervisorEnded>
    /** The whole tree as a value: states, restarts, last failures, when the next restart is due. */
    readonly tree: Effect.Effect<SupervisorInfo>
    /** Why an agent was restarted, or why it will not be, in a sentence. */
    explain(agent: string): Effect.Effect<string, AgentUnknown>
  }
>()("mister-smith/agent/AgentTree") {
  static readonly layer = (settings: SupervisionSettings) =>
    Layer.effect(
      this,
      Effect.gen(function* () {
        const bus = yield* EventBus
        const pool = yield* AgentPool
        const host = yield* AgentHost
        const notify = yield* OperatorHook.make
        const stopped = yield* StoppedAgents.make(host.settings.dataDir)
        const { escalation, maxRestarts, restartBudget, strategy, within } = settings
        /** Those that an operator keeps down. */
        const kept = new Set<string>()
        const unknown = (agent: string) =>
          new AgentUnknown({ agent, known: pool.agents.slice(0, 20).map(({ id }) => id) })
        const find = (id: string): Effect.Effect<Agent, AgentUnknown> => {
          const agent = pool.get(id)
          return agent === undefined ? Effect.fail(unknown(id)) : Effect.succeed(agent)
        }
        for (const path of yield* stopped.all) {
          const agent = path.startsWith(`${TREE}/`) ? pool.get(path.slice(TREE.length + 1)) : undefined
          if (agent === undefined) continue
          kept.add(agent.id)
          yield* agent.keptDown("it was stopped on request, in an earlier run")
        }
        const supervisor = yield* Supervisor.start({
          id: TREE,
          strategy,
          maxRestarts,
          within,
          stopped,
          children: pool.agents.map((agent) => agent.childOf(agent.generation(), false)),
          report: hear({ bus, pool, notify, escalation }),
          ...(escalation.length === 0 ? {} : { ladder: { rungs: rungsOf(escalation, notify) } }),
          ...(restartBudget === undefined
            ? {}
            : { budget: RestartBudget.make(restartBudget.maxRestarts, restartBudget.within) })
        })
        return AgentTree.of({
          ended: supervisor.ended,
          stop: Effect.fn("AgentTree.stop")(function* (id) {
            const agent = yield* find(id)
            const before = kept.has(id)
            kept.add(id)
            yield* Effect.tapError(supervisor.terminateChild(id), () =>
              Effect.sync(() => (before ? undefined : kept.delete(id)))
            )
            yield* agent.keptDown("it was stopped on request")
          }),
          start: Effect.fn("AgentTree.start")(function* (id) {
            yield* find(id)
            kept.delete(id)
            yield* supervisor.restartChild(id)
          }),
          pause: Effect.fn("AgentTree.pause")(function* (id) {
            yield* (yield* find(id)).pause
          }),
          resume: Effect.fn("AgentTree.resume")(function* (id) {
            yield* (yield* find(id)).resume
          }),
          limit: Effect.fn("AgentTree.limit")(function* (id, limits) {
            return yield* (yield* find(id)).limit(limits)
          }),
          agent: find,
          usage: (id) => Effect.map(find(id), (agent) => agent.usage()),
          renew: Effect.fn("AgentTree.renew")(function* (id, next, proving) {
            const agent = yield* find(id)
            const { spec } = agent.generation()
            const runs = agent.state() !== "initializing" && agent.state() !== "terminated"
            const wanted = () => !kept.has(id) && (!next.spec.standby || (spec.standby && runs))
            yield* supervisor.exchangeChild(agent.childOf(next, proving), wanted).pipe(
              // An operator has stopped it meanwhile: nothing is known against it.
              Effect.catchTag("ChildStartFailed", (failed) => (kept.has(id) ? Effect.void : Effect.fail(failed)))
            )
            agent.become(next)
            yield* pool.changed
          }),
          amend: Effect.fn("AgentTree.amend")(function* (id, next) {
            const agent = yield* find(id)
            // One that is temporary and has ended is not in the tree any more.
            yield* Effect.catchTag(
              supervisor.amendChild(agent.childOf(next, false)),
              "ChildNotFound",
              () => Effect.void
            )
            agent.become(next)
            yield* pool.changed
          }),
          admit: Effect.fn("AgentTree.admit")(function* (id) {
            const agent = yield* find(id)
            const wanted = () => !kept.has(id) && !agent.spec.standby
            yield* supervisor.exchangeChild(agent.childOf(agent.generation(), true), wanted)
          }),
          remove: Effect.fn("AgentTree.remove")(function* (id) {
            yield* find(id)
            yield* supervisor.removeChild(id)
            kept.delete(id)
            yield* pool.dismiss(id)
          }),
          arrange: Effect.fn("AgentTree.arrange")(function* (ids) {
            yield* pool.arrange(ids)
            yield* supervisor.arrangeChildren(ids)
          }),
          tree: supervisor.tree,
          explain: (id) => Effect.mapError(supervisor.explain(id), () => unknown(id))
        })
      })
    )
}

/** The name of the supervisor, and so the beginning of every agent's path. */
const TREE = "agents"
