import type { StreamInfo } from "nats"
import { assert, describe, it } from "vitest"
import { BucketUnusable } from "../../src/state/BucketError.ts"
import { whenMade } from "../../src/state/JetStreamStreams.ts"

const told = (created: string) => ({ created }) as StreamInfo
/** As 2.9.10 says it of one that it has entered into its list and not made yet. */
const BEING_MADE = "0001-01-01T00:00:00Z"
const MADE = "2026-01-01T00:00:00.5Z"

describe("a stream that is being made", () => {
  it("is asked for until it is one, because a server that is asked for a message of it panics", async () => {
    const answers = [BEING_MADE, BEING_MADE, MADE, MADE].values()
    const made = await whenMade("here", async () => told(answers.next().value as string))
    assert.strictEqual(made.created, MADE)
    assert.lengthOf([...answers], 1)
  })

  it("is not waited for for ever", async () => {
    const error = await whenMade("here", async () => told(BEING_MADE)).catch((error: unknown) => error)
    assert.instanceOf(error, BucketUnusable)
    // It may be made by now: it is worth another try.
    assert.strictEqual((error as BucketUnusable).problem, "unreachable")
  })

  it("is not made up where there is none", async () => {
    const missing = new Error("stream not found")
    const error = await whenMade("here", () => Promise.reject(missing)).catch((error: unknown) => error)
    assert.strictEqual(error, missing)
  })
})
