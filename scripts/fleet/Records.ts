/**
 * What a fleet has left on its servers, read with the bare client and without any code of the runtime's: the values of the
 * bucket, and the messages of the streams beside it.
 */
import { type JetStreamManager, type NatsConnection, NatsError } from "nats"

/** A key of the bucket: what it says now, and whether a move is under way. */
export interface Kept {
  readonly key: string
  readonly revision: number
  readonly value: unknown
}

export interface Message {
  readonly subject: string
  readonly body: Readonly<Record<string, unknown>>
}

export interface Records {
  readonly keys: ReadonlyArray<Kept>
  /** All that was ever told of ends. */
  readonly results: ReadonlyArray<Message>
  /** Handed in, and submitted by nobody yet. */
  readonly queue: ReadonlyArray<Message>
  /** Of tasks that are to be begun, or are worked on. */
  readonly dispatch: ReadonlyArray<Message>
  readonly dead: ReadonlyArray<Message>
}

/** A request that decides something is asked again until this long has passed, in milliseconds. */
const PATIENCE = 60_000
const PAUSE = 200
const NOT_FOUND = 10037

export const read = async (client: NatsConnection, bucket: string): Promise<Records> => {
  const manager = await patiently(() => client.jetstreamManager({ checkAPI: false }))
  const beginning = `$KV.${bucket}.`
  const keys = new Map<string, Kept>()
  for (const { bytes, marker, seq, subject } of await messages(manager, `KV_${bucket}`)) {
    const key = subject.slice(beginning.length)
    if (marker) keys.delete(key)
    else keys.set(key, { key, revision: seq, value: key.startsWith("beside.") ? bytes : json(bytes) })
  }
  const rest = async (stream: string) =>
    (await messages(manager, `${bucket}-${stream}`)).map(({ bytes, subject }) => ({ subject, body: json(bytes) }))
  return {
    keys: [...keys.values()],
    results: await rest("results"),
    queue: await rest("queue"),
    dispatch: await rest("dispatch"),
    dead: await rest("dead")
  }
}

/** One by one, as the stream's leader has them. */
const messages = async (manager: JetStreamManager, stream: string) => {
  const { state } = await patiently(() => manager.streams.info(stream))
  const all: Array<{
    readonly subject: string
    readonly seq: number
    readonly bytes: Uint8Array
    readonly marker: boolean
  }> = []
  // An empty one begins at 0, which is no message.
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
    const message = await patiently(() =>
      manager.streams.getMessage(stream, { seq }).catch((error: unknown) => {
        // What was written over is gone.
        if (error instanceof NatsError && error.api_error?.err_code === NOT_FOUND) return undefined
        throw error
      })
    )
    if (message === undefined) continue
    const { data, header, subject } = message
    all.push({ subject, seq, bytes: data, marker: header.get("KV-Operation") !== "" })
  }
  return all
}

const json = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)) as Readonly<Record<string, unknown>>

export const patiently = async <A>(work: () => Promise<A>): Promise<A> => {
  const until = performance.now() + PATIENCE
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (performance.now() > until) throw error
      await new Promise((resolve) => setTimeout(resolve, PAUSE))
    }
  }
}
