/**
 * A process that works on a ledger's file, for tests that kill it or run several. It writes a line when an answer has come,
 * never before. `worker.ts FILE submit PREFIX` submits, claims and completes without end; `worker.ts FILE claim NAME`
 * claims and completes what is queued.
 */
import { existsSync, writeSync } from "node:fs"
import { Effect, Layer } from "effect"
import { noUsage } from "../../src/domain/Task.ts"
import { layer } from "../../src/task/SqliteLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { task } from "../utils/Specs.ts"
import { around, done, fault } from "./Homes.ts"

const [file = "", mode = "", name = ""] = process.argv.slice(2)
const say = (...words: ReadonlyArray<string | number>) => Effect.sync(() => void writeSync(1, `${words.join(" ")}\n`))

const submit = Effect.gen(function* () {
  const ledger = yield* TaskLedger
  for (let n = 0; ; n++) {
    const id = `${name}-${n}`
    yield* ledger.submit(task({ id, prompt: `do ${id} ${"x".repeat((n * 137) % 3_000)}` }))
    yield* say("submitted", id)
    // Some stay queued, some are under way, some wait for another time, when the end comes.
    if (n % 4 === 0) continue
    const { attempt } = yield* ledger.claim(id, name)
    yield* say("claimed", id, attempt)
    if (n % 4 === 1) continue
    if (n % 4 === 2) {
      yield* ledger.park(id, attempt, { until: 4e12, fault, usage: noUsage })
      yield* say("parked", id)
    } else {
      yield* ledger.complete(id, attempt, done(id, { text: `answer to ${id}`, attempts: attempt }))
      yield* say("completed", id)
    }
  }
})

const claim = Effect.gen(function* () {
  const ledger = yield* TaskLedger
  yield* say("ready", name)
  // All begin together.
  while (!existsSync(`${file}.go`)) yield* Effect.sleep(1)
  while (true) {
    const [head] = yield* ledger.heads()
    if (head === undefined) return
    yield* Effect.gen(function* () {
      const { attempt } = yield* ledger.claim(head.id, name)
      yield* say("claimed", head.id)
      yield* ledger.complete(head.id, attempt, done(head.id, { agent: name }))
      yield* say("completed", head.id)
    }).pipe(Effect.catchTag("AttemptSuperseded", () => say("beaten", head.id)))
  }
})

await Effect.runPromise(
  Effect.provide(mode === "submit" ? submit : claim, layer(file).pipe(Layer.provide(around))) as Effect.Effect<
    void,
    unknown
  >
)
