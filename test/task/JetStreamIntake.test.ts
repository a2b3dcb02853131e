/** What a node makes of it when it may not look for what its servers would never deliver. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { NatsConnection } from "nats"
import { vi } from "vitest"
import * as Subject from "../../src/message/Subject.ts"
import { JetStreamIntake } from "../../src/task/JetStreamIntake.ts"

const HOUR = 60 * 60_000

describe("the intake", () => {
  it.effect("tells once that it may not look for what is never delivered, and takes what is", () =>
    Effect.gen(function* () {
      const subjects = yield* Effect.fromResult(Subject.make(undefined))
      let now = HOUR
      const clock = vi.spyOn(performance, "now").mockImplementation(() => now)
      yield* Effect.addFinalizer(() => Effect.sync(() => clock.mockRestore()))
      let asked = 0
      let denied = true
      const connection = {
        isClosed: () => false,
        jetstreamManager: async () => ({
          consumers: {
            info: async () => {
              if (denied) throw new Error("denied")
              return { ack_floor: { stream_seq: 0 } }
            }
          }
        }),
        jetstream: () => ({
          fetch: async function* () {
            asked++
          }
        })
      } as unknown as NatsConnection
      const letters = { publish: () => Promise.reject(new Error("nothing is dead")) } as never
      const intake = new JetStreamIntake({ connection, letters, subjects, stream: "queue" })
      /** Each is long after the one before. */
      const round = Effect.suspend(() => {
        now += HOUR
        return Effect.exit(Effect.tryPromise(() => intake.round(() => Effect.void)))
      })
      const outcomes = []
      for (const may of [false, false, true, false]) {
        denied = !may
        outcomes.push((yield* round)._tag)
      }
      assert.deepStrictEqual(outcomes, ["Failure", "Success", "Success", "Failure"])
      assert.strictEqual(asked, 2)
    })
  )
})
