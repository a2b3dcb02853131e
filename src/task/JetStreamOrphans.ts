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
  /** Durable, with explicit acks. */
  readonly consumers: ReadonlyArray<string>
  /** Which of these delivers what has this subject. */
  readonly consumerOf: (subject: string) => string | undefined
}

/** Completes when each has been taken, or refused: `take` says whether it may go. Fails where the server cannot be asked. */
export const sweep = async (
  jsm: JetStreamManager,
  { consumerOf, consumers, stream }: Swept,
  take: (message: StoredMsg) => Promise<boolean>
): Promise<void> => {
  const floors = new Map<string | undefined, number>()
  for (const name of consumers) floors.set(name, (await jsm.consumers.info(stream, name)).ack_floor.stream_seq)
  const last = Math.max(0, ...floors.values())
  let seq = 1
  for (let looked = 0; looked < MOST && seq <= last; looked++) {
    const message = await after(jsm, stream, seq)
    if (message === undefined || message.seq > last) return
    seq = message.seq + 1
    if (message.seq > (floors.get(consumerOf(message.subject)) ?? 0)) continue
    // Another node may have been faster.
    if (await take(message)) await jsm.streams.deleteMessage(stream, message.seq, false).catch(Streams.unlessMissing)
  }
}

/**
 * The first from there on, whatever its subject: by subjects a server that was killed does not find all that it has. The
 * client's type does not know the question, servers from 2.9 on do.
 */
const after = (jsm: JetStreamManager, stream: string, seq: number) =>
  jsm.streams.getMessage(stream, { seq, next_by_subj: ">" } as { readonly seq: number }).catch(Streams.unlessMissing)
