/** A watch whose server miscounts: a fake connection, as no server can be made to at will. */
import { assert, describe, it } from "@effect/vitest"
import type { NatsConnection } from "nats"
import { JetStreamWatch } from "../../src/state/JetStreamWatch.ts"

/** One message, after which the server says that another one is to come, and when it is asked, that none is. */
const miscounting = (asked: { times: number }): NatsConnection => {
  let end: (() => void) | undefined
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const subscription = {
    async *[Symbol.asyncIterator]() {
      yield { subject: "$KV.x.key", seq: 7, data: new Uint8Array(), info: { pending: 1 } }
      await ended
    },
    consumerInfo: async () => {
      // Once it has not been delivered yet.
      return { num_pending: 0, delivered: { stream_seq: asked.times++ === 0 ? 8 : 7 } }
    },
    unsubscribe: () => end?.()
  }
  let closed = false
  return {
    isClosed: () => closed,
    jetstream: () => ({
      subscribe: async () => {
        closed = true
        return subscription
      }
    })
  } as unknown as NatsConnection
}

describe("a watch", () => {
  it("is complete though its server miscounts what is to come, and not before all has come", async () => {
    const asked = { times: 0 }
    const heard: Array<string> = []
    let watch: JetStreamWatch | undefined
    await new Promise<void>((complete) => {
      watch = JetStreamWatch.begin({
        connection: miscounting(asked),
        stream: "KV_x",
        prefix: "$KV.x.",
        count: async () => 1,
        complete,
        heard: ({ key, revision }) => heard.push(`${key} ${revision}`)
      })
    })
    watch?.stop()
    assert.deepStrictEqual(heard, ["key 7"])
    assert.strictEqual(asked.times, 2)
  })
})
