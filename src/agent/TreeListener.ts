/**
 * Hears every decision of the agents' supervisor: tells it on as an event with the severity of the fault behind it, tells
 * an agent that stays down so, and tells an operator of a critical fault at once, without waiting until the restarts are
 * used up.
 */
import { Effect } from "effect"
import type { Severity } from "../domain/Fault.ts"
import type { EventBus } from "../event/EventBus.ts"
import type { EscalationStep } from "../supervision/EscalationLadder.ts"
import type { SupervisionEvent } from "../supervision/SupervisionEvent.ts"
import type { AgentPool } from "./AgentPool.ts"
import type { Notify } from "./OperatorHook.ts"

export interface Listening {
  readonly bus: EventBus["Service"]
  readonly pool: AgentPool["Service"]
  readonly notify: Notify
  readonly escalation: ReadonlyArray<EscalationStep>
}

export const hear =
  ({ bus, escalation, notify, pool }: Listening) =>
  (event: SupervisionEvent): Effect.Effect<void> => {
    const child = "child" in event ? event.child : undefined
    const { _tag: decision, supervisor, why } = event
    const told = bus.publish({
      type: "supervisor.decision",
      supervisor,
      decision,
      child,
      why,
      severity: severityOf(event)
    })
    return Effect.all([told, restingOf(pool, event, child), critical(notify, escalation, event)], { discard: true })
  }

const severityOf = (event: SupervisionEvent): Severity | undefined =>
  "reason" in event ? event.reason?.severity : "error" in event ? event.error.severity : undefined

const restingOf = (pool: AgentPool["Service"], event: SupervisionEvent, child: string | undefined) => {
  // Where a standby takes over, the one that failed stays down.
  const down = event._tag === "ChildResting" || (event._tag === "LadderClimbed" && event.action === "start_standby")
  const agent = down && child !== undefined ? pool.get(child) : undefined
  return agent === undefined ? Effect.void : agent.terminated(event.why)
}

/** With the command of the first step that has one: it is how this operator wants to be told. */
const critical = (notify: Notify, escalation: ReadonlyArray<EscalationStep>, event: SupervisionEvent) => {
  if (event._tag !== "ChildExited" || event.reason?.severity !== "critical") return Effect.void
  const { child, reason, supervisor } = event
  const message = `agent ${child}: ${reason.message}`
  const command = escalation.flatMap((step) => (step.do === "notify" && step.command ? [step.command] : []))[0]
  return notify({ supervisor, child, message, hint: reason.hint }, command)
}
