/**
 * The supervisor of this node's agents: starts them in the order of the config, restarts them by the config's policy, and
 * stops them in reverse. Its decisions are events; an agent that will not be restarted is told so, so that nobody waits
 * for it.
 */
import { Context, Effect, Layer } from "effect"
import { EventBus } from "../event/EventBus.ts"
import { rungsOf } from "../supervision/EscalationLadder.ts"
import * as RestartBudget from "../supervision/RestartBudget.ts"
import type { SupervisorGaveUp } from "../supervision/SupervisionError.ts"
import type { SupervisionEvent } from "../supervision/SupervisionEvent.ts"
import type { SupervisionSettings } from "../supervision/SupervisionSettings.ts"
import * as Supervisor from "../supervision/Supervisor.ts"
import { AgentPool } from "./AgentPool.ts"
import * as OperatorHook from "./OperatorHook.ts"

export class AgentTree extends Context.Service<
  AgentTree,
  {
    /** Fails when the tree has given up; never succeeds before the Layer's Scope closes. */
    readonly ended: Effect.Effect<void, SupervisorGaveUp>
  }
>()("mister-smith/agent/AgentTree") {
  static readonly layer = (settings: SupervisionSettings) =>
    Layer.effect(
      this,
      Effect.gen(function* () {
        const bus = yield* EventBus
        const pool = yield* AgentPool
        const hook = yield* OperatorHook.make
        const { escalation, maxRestarts, restartBudget, strategy, within } = settings
        const { ended } = yield* Supervisor.start({
          id: "agents",
          strategy,
          maxRestarts,
          within,
          children: pool.agents.map(({ child }) => child),
          report: (event) => hear(bus, pool, event),
          ...(escalation.length === 0 ? {} : { ladder: { rungs: rungsOf(escalation, hook) } }),
          ...(restartBudget === undefined
            ? {}
            : { budget: RestartBudget.make(restartBudget.maxRestarts, restartBudget.within) })
        })
        return AgentTree.of({ ended })
      })
    )
}

const hear = (bus: EventBus["Service"], pool: AgentPool["Service"], event: SupervisionEvent): Effect.Effect<void> => {
  const child = "child" in event ? event.child : undefined
  const { _tag: decision, supervisor, why } = event
  const told = bus.publish({ type: "supervisor.decision", supervisor, decision, child, why })
  // Where a standby takes over, the one that failed stays down.
  const down = decision === "ChildResting" || (event._tag === "LadderClimbed" && event.action === "start_standby")
  const agent = down && child !== undefined ? pool.get(child) : undefined
  return agent === undefined ? told : Effect.andThen(told, agent.terminated(why))
}
