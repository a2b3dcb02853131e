/**
 * A contender for a lease in a process of its own, for tests that halt and kill it. `leaseWorker.ts SERVERS BUCKET NODE
 * REPLICAS LEASE`. As long as it leads it writes under the keys "log-N", and says `began EPOCH`, `wrote EPOCH N PLACE` when that has
 * been answered, and `lost EPOCH N` when it was refused. With HALT=N it halts itself once, before its Nth write leaves it.
 */
import { writeSync } from "node:fs"
import { Duration, Effect } from "effect"
import * as JetStreamLease from "../../src/fleet/JetStreamLease.ts"
import { connections } from "../task/JetStreamHomes.ts"

const [servers = "", bucket = "", node = "", replicas = "1", lease = "300"] = process.argv.slice(2)
const say = (...words: ReadonlyArray<string | number>) => Effect.sync(() => void writeSync(1, `${words.join(" ")}\n`))

/** So that the bucket has the last of them all, and no more than may be. */
const KEYS = 500

let left = Number(process.env["HALT"] ?? 0)
const at = (key: string) => {
  if (!key.startsWith("led.log-") || left === 0 || --left > 0) return
  writeSync(1, "halting\n")
  process.kill(process.pid, "SIGSTOP")
}

const contend = Effect.gen(function* () {
  const { whileLeader } = yield* JetStreamLease.make({
    node,
    bucket,
    replicas: Number(replicas),
    lease: Duration.millis(Number(lease)),
    at
  })
  yield* whileLeader((term) =>
    Effect.gen(function* () {
      yield* say("began", term.epoch)
      for (let n = 1; ; n++) {
        const put = term.put(`log-${n % KEYS}`, JSON.stringify({ node, epoch: term.epoch, n }))
        // Where no server answers the term may go on all the same. What is interrupted meanwhile is heard of all the same.
        const told = Effect.matchEffect(put, {
          onSuccess: (place) => Effect.as(say("wrote", term.epoch, n, place), true),
          onFailure: ({ _tag }) =>
            _tag === "LeaseUnusable"
              ? Effect.as(say("failed", term.epoch, n), true)
              : Effect.as(say("lost", term.epoch, n, _tag), false)
        })
        if (!(yield* Effect.uninterruptible(told))) return
        yield* Effect.sleep("5 millis")
      }
    })
  )
})

await Effect.runPromise(Effect.scoped(Effect.provide(contend, connections(servers.split(",")))) as Effect.Effect<never>)
