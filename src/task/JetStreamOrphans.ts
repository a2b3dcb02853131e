/**
 * Messages of a work queue that its consumer will never deliver. A server of the 2.9 line writes down lazily which messages
 * behind one that is still open have been taken away: killed within seconds, it has them again, while its consumer knows
 * that they were acknowledged, and passes over them for good. So whatever stands in the stream up to where the consumer
 * says that all is acknowledged is one of these.
 *
 * Promises: no message that somebody may still be at is among them; what comes of one is decided by `take`, and it goes
 * only after that. `take` must be such that once more does no harm: two nodes may find the same one.
 */
import type { JetStreamManager, StoredMsg } from "nats"
import * as Streams from "../state/JetStreamStreams.ts"

/** Looked at in one sweep; of more, the others in the next. */
const MOST = 1_000

export interface Swept {
  readonly stream: string
  /** The only one of the stream: durable, with explicit acks. */
  readonly consumer: string
}

/** Completes when each has been taken, or refused: `take` says whether it may go. Fails where the server cannot be asked. */
export const sweep = async (
  jsm: JetStreamManager,
  { consumer, stream }: Swept,
  take: (message: StoredMsg) => Promise<boolean>
): Promise<void> => {
  const { ack_floor: floor } = await jsm.consumers.info(stream, consumer)
  let seq = 1
  for (let looked = 0; looked < MOST && seq <= floor.stream_seq; looked++) {
    const message = await Streams.messageFrom(jsm, stream, seq)
    if (message === undefined || message.seq > floor.stream_seq) return
    seq = message.seq + 1
    // Another node may have been faster.
    if (await take(message)) await jsm.streams.deleteMessage(stream, message.seq, false).catch(Streams.unlessMissing)
  }
}
