/** Envelopes that a node keeps in the fleet's streams, once each: by an id a server passes over what it has already. */
import { Effect, Result } from "effect"
import type { NatsConnection } from "nats"
import * as Envelope from "../message/Envelope.ts"
import type { Message, MessageType } from "../message/Message.ts"

/** What no message can say, whoever asks how often. */
export class Unsayable extends Error {}

export interface Letters {
  /** Completes when the server has it. `expected`: the last one on its subject, else it is refused. Fails as the client does, or with Unsayable. */
  publish<T extends MessageType>(subject: string, message: Message<T>, id: string, expected?: number): Promise<void>
}

export const letters = (connection: NatsConnection, node: string): Letters => {
  const seal = async <T extends MessageType>(message: Message<T>, id: string): Promise<Uint8Array> => {
    const envelope = {
      version: 1,
      id,
      source: `node:${node}`,
      sentAt: Date.now(),
      ...message
    } as unknown as Envelope.Envelope
    const bytes = await Effect.runPromise(Effect.result(Envelope.encode(envelope)))
    if (Result.isFailure(bytes)) throw new Unsayable(bytes.failure.message)
    return bytes.success
  }
  return {
    publish: async (subject, message, id, expected) => {
      const bytes = await seal(message, id)
      await connection.jetstream().publish(subject, bytes, {
        msgID: id,
        ...(expected === undefined ? {} : { expect: { lastSubjectSequence: expected } })
      })
    }
  }
}
