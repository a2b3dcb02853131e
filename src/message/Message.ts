/** All that can be said, by type. A type is added here, and nowhere else; docs/messages.md has an example of each. */
import { Schema } from "effect"
import { TaskAssignment, TaskProgress, TaskResult } from "./Assignment.ts"
import { TaskBid } from "./Bid.ts"
import { AgentCommand, AgentMessage, CommandReply } from "./Command.ts"
import { FaultView } from "./FaultView.ts"
import { bounded, Count, Time } from "./Fields.ts"
import { AgentStatus, NodeStatus } from "./Status.ts"
import { DEAD_REASONS } from "./Subject.ts"

/** The most bytes of a message that are kept with a dead letter. */
export const MAX_KEPT = 64 * 1024

/** Something that happened, as docs/events.md describes it. Fields that are not known are kept. */
export const Event = Schema.StructWithRest(
  Schema.Struct({
    type: bounded(200).annotateKey({ description: "As in docs/events.md, such as agent.state" }),
    seq: Count.annotateKey({ description: "Its place in the order of this life of its node" }),
    at: Time
  }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)

/** The answer to a request that could not be handled. */
export const Refusal = Schema.Struct({ fault: FaultView })

/** The answer to a request whose handler has nothing more to say. */
export const Done = Schema.Struct({})

/** A message that could not be handled, as it came. */
export const DeadLetter = Schema.Struct({
  reason: Schema.Literals(DEAD_REASONS),
  fault: FaultView,
  subject: bounded(4096).annotateKey({ description: "Where it came" }),
  receivedAt: Time,
  size: Count.annotateKey({ description: "Its bytes, of which the first are kept" }),
  data: Schema.String.annotateKey({ description: `The first ${MAX_KEPT} of its bytes, in base64` }),
  signature: Schema.optionalKey(bounded(500))
})
export type DeadLetter = typeof DeadLetter.Type

export const bodies = {
  AgentCommand,
  CommandReply,
  AgentMessage,
  AgentStatus,
  TaskAssignment,
  TaskProgress,
  TaskResult,
  TaskBid,
  Event,
  NodeStatus,
  DeadLetter,
  Refusal,
  Done
} as const

export type MessageType = keyof typeof bodies
/** In the order of the docs. */
export const MESSAGE_TYPES = Object.keys(bodies) as ReadonlyArray<MessageType>

export type Body<T extends MessageType> = (typeof bodies)[T]["Type"]
/** A type with the body that belongs to it. */
export type Message<T extends MessageType = MessageType> = {
  readonly [K in T]: { readonly type: K; readonly body: Body<K> }
}[T]

export const isMessageType = (type: string): type is MessageType => Object.hasOwn(bodies, type)
