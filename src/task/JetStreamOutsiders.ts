/**
 * Where those who are no node hand in tasks and learn how they ended, with any NATS client: the streams of it, what takes
 * tasks in (JetStreamIntake.ts) and what tells their ends (JetStreamResults.ts).
 */
import { DiscardPolicy, type NatsConnection, nanos, RetentionPolicy, StorageType } from "nats"
import type { Subjects } from "../message/Subject.ts"
import * as Streams from "../state/JetStreamStreams.ts"
import { CONSUMER, JetStreamIntake } from "./JetStreamIntake.ts"
import { letters } from "./JetStreamLetters.ts"
import { JetStreamResults } from "./JetStreamResults.ts"

/** Kept of each. */
const MAX_RESULTS = 100_000
const MAX_DEAD = 10_000
const MAX_EVENTS = 100_000

export interface OutsidersOptions {
  readonly connection: NatsConnection
  readonly subjects: Subjects
  /** Names its streams. */
  readonly bucket: string
  readonly node: string
  readonly replicas: number
  /** The fleet's events are kept, too, for nodes that tell theirs late. */
  readonly events: boolean
}

export interface JetStreamOutsiders {
  readonly intake: JetStreamIntake
  readonly results: JetStreamResults
}

const streams = ({
  bucket,
  replicas,
  subjects
}: OutsidersOptions): Readonly<Record<"queue" | "result" | "dead" | "event", Streams.Wanted>> => {
  const common = {
    storage: StorageType.File,
    num_replicas: replicas,
    duplicate_window: nanos(Streams.DUPLICATES),
    max_age: 0
  }
  const kept = { ...common, retention: RetentionPolicy.Limits, discard: DiscardPolicy.Old }
  return {
    queue: {
      ...common,
      name: `${bucket}-queue`,
      subjects: [subjects.all.queue],
      retention: RetentionPolicy.Workqueue,
      discard: DiscardPolicy.New
    },
    result: { ...kept, name: `${bucket}-results`, subjects: [subjects.all.result], max_msgs: MAX_RESULTS },
    event: { ...kept, name: `${bucket}-events`, subjects: [subjects.all.event], max_msgs: MAX_EVENTS },
    dead: { ...kept, name: `${bucket}-dead`, subjects: [subjects.all.dead], max_msgs: MAX_DEAD }
  }
}

/** Fails as the client does, or with BucketUnusable where what is there is otherwise. */
export const open = async (options: OutsidersOptions): Promise<JetStreamOutsiders> => {
  const { bucket, connection, events, node, subjects } = options
  const wanted = streams(options)
  const jsm = await connection.jetstreamManager({ checkAPI: false })
  const where = `of the fleet ${bucket}`
  for (const [what, stream] of Object.entries(wanted))
    if (what !== "event" || events) await Streams.ensure(jsm, where, stream)
  await Streams.ensureConsumer(jsm, where, wanted.queue.name, CONSUMER)
  const common = { connection, subjects, letters: letters(connection, node) }
  return {
    intake: new JetStreamIntake({ ...common, stream: wanted.queue.name }),
    results: new JetStreamResults({ ...common, node, stream: wanted.result.name })
  }
}
