/** What an agent can be told, and what it answers. Sent to `agents.{agentId}.commands` as a request. */
import { Schema } from "effect"
import { FaultView } from "./FaultView.ts"
import { bounded, Name, Reason } from "./Fields.ts"
import { AgentStatus } from "./Status.ts"

/** The longest text that an agent is sent in a command or in its inbox, in characters. */
export const MAX_TEXT = 256 * 1024

const why = { reason: Schema.optionalKey(Reason).annotateKey({ description: "Why, for the events and the history" }) }

/** One thing that an agent is to do. `command` says which. */
export const AgentCommand = Schema.Union([
  Schema.Struct({ command: Schema.Literal("pause"), ...why }).annotate({
    description: "Bring all its processes to a halt, and its time limits with them"
  }),
  Schema.Struct({ command: Schema.Literal("resume"), ...why }).annotate({ description: "Let a paused agent go on" }),
  Schema.Struct({ command: Schema.Literal("restart"), ...why }).annotate({
    description: "Stop it and start it again; its work goes on"
  }),
  Schema.Struct({ command: Schema.Literal("stop"), ...why }).annotate({
    description: "Stop it for good; the answer comes when nothing of it is left"
  }),
  Schema.Struct({ command: Schema.Literal("interrupt"), ...why }).annotate({
    description: "Break off the turn that it is in; its task goes on after a pause, in the same conversation"
  }),
  Schema.Struct({ command: Schema.Literal("set_model"), model: Name, ...why }).annotate({
    description: "Give it another model, from its next turn until its next life"
  }),
  Schema.Struct({
    command: Schema.Literal("send_message"),
    text: bounded(MAX_TEXT).pipe(Schema.check(Schema.isNonEmpty({ message: "expected text that is not empty" })))
  }).annotate({ description: "Tell it something, in the turn that it is in or with its next one" }),
  Schema.Struct({ command: Schema.Literal("status") }).annotate({ description: "Ask how it is" })
])
export type AgentCommand = typeof AgentCommand.Type

/** The words for what can be told. */
export const COMMANDS = [
  "pause",
  "resume",
  "restart",
  "stop",
  "interrupt",
  "set_model",
  "send_message",
  "status"
] as const satisfies ReadonlyArray<AgentCommand["command"]>

/** It was done, with how the agent is after it; or it could not be, with the fault. */
export const CommandReply = Schema.Union([
  Schema.Struct({
    done: Schema.Literal(true),
    command: Schema.Literals(COMMANDS),
    status: Schema.optionalKey(AgentStatus)
  }),
  Schema.Struct({ done: Schema.Literal(false), command: Schema.Literals(COMMANDS), fault: FaultView })
])
export type CommandReply = typeof CommandReply.Type

/** Something said to an agent, in `agents.{agentId}.inbox`. Nobody answers. */
export const AgentMessage = Schema.Struct({
  text: bounded(MAX_TEXT).pipe(Schema.check(Schema.isNonEmpty({ message: "expected text that is not empty" })))
})
export type AgentMessage = typeof AgentMessage.Type
