/**
 * Carries out what others tell the agents of this node. One at a time for each agent, in the order they came; what has begun is
 * finished, whoever goes away meanwhile, because half stopped is worse than stopped. Every command that changes something is
 * told as `agent.told`.
 */
import { Effect, Fiber, type Scope } from "effect"
import { type Fault, report } from "../domain/Fault.ts"
import { brief } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"
import type { AgentCommand } from "../message/Command.ts"
import { viewOf } from "../message/FaultView.ts"
import type { Message } from "../message/Message.ts"
import { type Handler, on, type Received } from "../message/MessageRouter.ts"
import type { AgentStatus } from "../message/Status.ts"
import type { Subjects } from "../message/Subject.ts"
import type { SteeredShape } from "./Steered.ts"

/** What is said in an agent's inbox: nobody answers, and what the agent cannot be told is a dead letter. */
export const inbox = (steered: SteeredShape, subjects: Subjects): Handler =>
  on("AgentMessage", ({ envelope, subject }) => {
    const place = subjects.read(subject)
    const agent = place?.kind === "inbox" ? place.agent : ""
    return Effect.as(steered.tellAgent(agent, envelope.body.text), undefined)
  })

/** A stop waits until nothing is left, a restart until the CLI is ready. */
const TIME = "10 minutes"

export const handler = Effect.fnUntraced(function* (
  steered: SteeredShape,
  {
    statusOf,
    subjects
  }: {
    readonly subjects: Subjects
    /** How an agent is now. */
    statusOf(agent: string): Effect.Effect<AgentStatus | undefined>
  }
): Effect.fn.Return<Handler, never, EventBus | Scope.Scope> {
  const bus = yield* EventBus
  const scope = yield* Effect.scope

  const act = (agent: string, body: AgentCommand): Effect.Effect<void, Fault> => {
    switch (body.command) {
      case "status":
        return Effect.void
      case "pause":
        return steered.pauseAgent(agent)
      case "resume":
        return steered.resumeAgent(agent)
      case "restart":
        return steered.restartAgent(agent)
      case "stop":
        return steered.stopAgent(agent)
      case "interrupt":
        return steered.interruptAgent(agent)
      case "set_model":
        return steered.setModel(agent, body.model)
      case "send_message":
        return Effect.asVoid(steered.tellAgent(agent, body.text))
    }
  }

  const told = ({ envelope, signedBy }: Received<"AgentCommand">, agent: string, fault: Fault | undefined) => {
    const { body } = envelope
    return bus.publish({
      type: "agent.told",
      agent,
      command: body.command,
      by: envelope.source,
      signedBy,
      reason: "reason" in body && body.reason !== undefined ? brief(body.reason) : undefined,
      fault: fault === undefined ? undefined : report(fault)
    })
  }

  return on(
    "AgentCommand",
    Effect.fnUntraced(function* (received): Effect.fn.Return<Message | undefined, Fault> {
      const place = subjects.read(received.subject)
      const agent = place?.kind === "commands" ? place.agent : ""
      const { body } = received.envelope
      const { command } = body
      const whole = act(agent, body).pipe(
        Effect.as(undefined),
        Effect.catch((fault) => Effect.succeed(fault)),
        Effect.tap((fault) => (command === "status" ? Effect.void : told(received, agent, fault)))
      )
      const fault = yield* Effect.flatMap(Effect.forkIn(whole, scope), Fiber.join)
      if (fault !== undefined)
        return { type: "CommandReply", body: { done: false, command, fault: viewOf(report(fault)) } }
      const status = yield* statusOf(agent)
      return { type: "CommandReply", body: { done: true, command, ...(status === undefined ? {} : { status }) } }
    }),
    { timeLimit: TIME }
  )
})
