/** Schedules in a config that several nodes share need no leader: each occurrence is there once, whoever asks for it and ends it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import { natsServer, noNats } from "../utils/Nats.ts"
import { task } from "../utils/Specs.ts"
import { done } from "./Homes.ts"
import { mortal, newBucket } from "./JetStreamHomes.ts"

const DAY = 24 * 60 * 60_000
const SERIES = 20

describe.skipIf(noNats !== undefined)("a schedule in the config of two nodes", () => {
  it.effect("is one series: its first is there once, is given once, and is followed once", () =>
    Effect.gen(function* () {
      const server = yield* natsServer({ jetstream: true })
      const bucket = newBucket()
      const nodes = [
        yield* mortal(server.url, { node: "a", bucket }),
        yield* mortal(server.url, { node: "b", bucket })
      ] as const
      const ids = Array.from({ length: SERIES }, (_, n) => `nightly-${n}`)
      const specs = ids.map((id) => ({ ...task({ id }), schedule: "0 3 * * *" }))
      // One by one, so that each of them is a race.
      for (const spec of specs)
        yield* Effect.all(
          nodes.map(({ ledger }) => ledger.submitAll([spec], { again: true, brokenOff: false })),
          { concurrency: 2 }
        )
      for (let day = 0; day < 2; day++) {
        yield* TestClock.adjust(day === 0 ? DAY / 8 : DAY)
        const queued = yield* nodes[0].ledger.list({ states: ["queued"], limit: 100 })
        const due = queued.filter(({ id }) => !id.startsWith("marker"))
        assert.lengthOf(due, SERIES)
        for (const { id } of due) {
          const claims = yield* Effect.all(
            nodes.map(({ ledger }, at) => Effect.exit(ledger.claim(id, `agent-${at}`))),
            { concurrency: 2 }
          )
          assert.lengthOf(claims.filter(Exit.isSuccess), 1, `claims of ${id}`)
          // Both say that it has ended: one of them is late.
          const ends = yield* Effect.all(
            nodes.map(({ ledger }) => Effect.exit(ledger.complete(id, 1, done(id)))),
            { concurrency: 2 }
          )
          assert.isAtLeast(ends.filter(Exit.isSuccess).length, 1)
          // Whoever comes up meanwhile asks for it once more.
          for (const { ledger } of nodes)
            yield* ledger.submitAll(
              specs.filter((spec) => id.startsWith(`${spec.id}@`) || id === spec.id),
              { again: true, brokenOff: false }
            )
        }
        // Whoever knows the last write knows all before it.
        yield* nodes[0].ledger.submit(task({ id: `marker-${day}`, agent: "nobody" }))
        for (const { ledger } of nodes) {
          while (Exit.isFailure(yield* Effect.exit(ledger.get(`marker-${day}`))))
            yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))
          const all = yield* ledger.list({ states: ["parked", "queued", "running"], limit: 100 })
          const open = all.filter(({ id }) => !id.startsWith("marker"))
          assert.deepEqual(
            open.map(({ series }) => series).toSorted(),
            ids.toSorted(),
            `one occurrence of each on day ${day}`
          )
        }
      }
    }).pipe(Effect.scoped)
  )
})
