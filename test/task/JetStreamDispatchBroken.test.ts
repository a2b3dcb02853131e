/** The queue that gives out the tasks, where a task of which it has a message cannot be used. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { connect } from "nats"
import { vi } from "vitest"
import { JetStreamBucket } from "../../src/state/JetStreamBucket.ts"
import { natsServer, noNats } from "../utils/Nats.ts"
import { task } from "../utils/Specs.ts"
import { mortal, newBucket } from "./JetStreamHomes.ts"
import { taker } from "./Taker.ts"

const LONG = "x".repeat(700_000)
/** Nobody goes for a task by itself within a test. */
const dispatch = { grace: 600_000, ackWait: 3_000 }

const until = <A, E>(asked: Effect.Effect<A, E>, holds: (answer: A) => boolean) =>
  Effect.repeat(asked, { until: holds, schedule: Schedule.spaced("20 millis") })

describe.skipIf(noNats !== undefined)("the queue that gives out the tasks", { timeout: 60_000 }, () => {
  it.live("goes on beside the message of a task that is not whole", () =>
    Effect.gen(function* () {
      const { url } = yield* natsServer({ jetstream: true })
      const bucket = newBucket()
      const a = yield* mortal(url, { node: "a", bucket, lease: 300, dispatch })
      yield* a.ledger.submit(task({ id: "broken", prompt: LONG }))
      const connection = yield* Effect.acquireRelease(
        Effect.promise(() => connect({ servers: url })),
        (connection) => Effect.promise(() => connection.close())
      )
      const jsm = yield* Effect.promise(() => connection.jetstreamManager())
      yield* until(
        Effect.promise(() => jsm.streams.info(`${bucket}-dispatch`)),
        ({ state }) => state.messages === 1
      )
      yield* a.die
      const options = { control: connection, bulk: connection, name: bucket, replicas: 1, maxBytes: -1 }
      const values = yield* Effect.promise(() => JetStreamBucket.open(options))
      for (const key of yield* Effect.promise(() => values.keys("beside.>")))
        yield* Effect.promise(() => values.sweep(key))
      const said = vi.spyOn(console, "log")
      yield* Effect.addFinalizer(() => Effect.sync(() => said.mockRestore()))
      const b = yield* mortal(url, { node: "b", bucket, lease: 300, dispatch })
      const { begun } = yield* taker(b.ledger, { slots: 2 })
      const ids = Array.from({ length: 10 }, (_, n) => `t${n}`)
      for (const id of ids) yield* b.ledger.submit(task({ id }))
      yield* until(b.ledger.list({ states: ["succeeded"] }), ({ length }) => length === ids.length)
      assert.sameMembers(
        begun.map(({ id }) => id),
        ids
      )
      // What the client says where whoever it tells of a message dies: it hears nothing more then.
      for (const [words] of said.mock.calls) assert.notInclude(String(words), "reader closed")
    })
  )
})
