/**
 * Events a second of CPU time, the system's included, through the bus to a listener, with log files and without, in turns within one run. Prints JSON.
 * `bun scripts/bench/logs.ts`. Goal: with files at least half as many. `lost` has the reasons
 * of turns in which lines were lost, as they are where nothing ever waits.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Redacted, Schema, Stream } from "effect"
import { learn } from "../../src/domain/Redaction.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import * as Logging from "../../src/observability/Logging.ts"
import { LogSettings } from "../../src/observability/LogSettings.ts"
import { median, round } from "./measure.ts"

const ROUNDS = 15
/** No more at once than a listener can be behind without missing any. */
const AT_ONCE = 500
const EVENTS = 20_000
const AGENTS = 20
/** Milliseconds. */
const IDLE = 1

const dir = mkdtempSync(join(tmpdir(), "mister-smith-bench-"))
const detail = "I have read the report in docs/ and will now say in three sentences what has changed in it. ".repeat(2)

/** Until a listener has heard all of them. */
const publish = Effect.gen(function* () {
  const bus = yield* EventBus
  let heard = 0
  let missed = 0
  const events = yield* bus.subscribe
  yield* Effect.forkScoped(
    Stream.runForEachArray(events, (chunk) =>
      Effect.sync(() => {
        for (const event of chunk) if (event.type === "events.gap") missed += event.missed
        heard += chunk.length
      })
    )
  )
  const began = process.cpuUsage()
  for (let sent = 0; sent < EVENTS; ) {
    for (let n = 0; n < AT_ONCE; n++, sent++) {
      const agent = `agent-${sent % AGENTS}`
      yield* bus.publish({ type: "task.progress", task: "task", agent, doing: "text", detail })
    }
    while (heard < sent) yield* Effect.yieldNow
    // Files are written beside, when a node waits for something. It does so here too, with files and without.
    yield* Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, IDLE)))
  }
  if (missed > 0) throw new Error(`${missed} events were missed`)
  const { system, user } = process.cpuUsage(began)
  return (EVENTS * 1e6) / (system + user)
}).pipe(Effect.scoped)

const lost: Array<string> = []
const rate = (file: boolean, turn: number) =>
  Effect.gen(function* () {
    const events = yield* (yield* EventBus).subscribe
    yield* Effect.forkScoped(
      Stream.runForEach(events, (event) => Effect.sync(() => event.type === "logs.lost" && lost.push(event.reason)))
    )
    const settings = { ...Schema.decodeSync(LogSettings)({ file }), dataDir: join(dir, `${turn}`), agents: [] }
    return yield* Effect.provide(publish, Logging.layer(settings))
  }).pipe(Effect.scoped, Effect.provide(EventBus.layer))

learn(["sk-ant-bench-0123456789", "another secret of this bench"].map((secret) => Redacted.make(secret)))
try {
  const rates = { without: [] as Array<number>, with: [] as Array<number> }
  for (let turn = 0; turn <= ROUNDS; turn++) {
    const without = await Effect.runPromise(rate(false, turn))
    const withFiles = await Effect.runPromise(rate(true, turn))
    // The first turn warms up.
    if (turn === 0) continue
    rates.without.push(without)
    rates.with.push(withFiles)
  }
  console.log(
    JSON.stringify({
      bench: "logs",
      withoutPerSecond: round(median(rates.without)),
      withPerSecond: round(median(rates.with)),
      ofWithout: round(median(rates.with.map((each, turn) => each / (rates.without[turn] ?? each)))),
      lost
    })
  )
} finally {
  rmSync(dir, { recursive: true, force: true })
}
