/**
 * The ledger's file: durable submits a second against a plain insert with the same pragmas, in turns within one run; and
 * how long it takes to find the next task and to claim it with 100 and with 100,000 tasks queued. Prints JSON.
 * `bun scripts/bench/ledger.ts`. Goals: at least 0.7 of plain; under 2 ms, and not 1.5 times as long in the long queue.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Context, Effect, Layer, type Scope } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { TaskId, TaskType } from "../../src/domain/Ids.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { FILE, layer } from "../../src/task/SqliteLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import type { TaskSpec } from "../../src/task/TaskSpec.ts"
import { done } from "../../test/utils/Results.ts"
import { median, round } from "./measure.ts"

/** Rounds in turns: a disk is not as fast in every second. */
const ROUNDS = 60
const EACH = 100
const CLAIMS = 500

const prompt = "Read the report in docs/ and say in three sentences what has changed. ".repeat(4)
const type = TaskType.make("task")
const spec = (id: string): TaskSpec => ({ id: TaskId.make(id), type, prompt })
const dir = mkdtempSync(join(tmpdir(), "mister-smith-bench-"))

const open = (name: string): Effect.Effect<TaskLedger["Service"], unknown, Scope.Scope> =>
  Effect.suspend(() => {
    mkdirSync(join(dir, name))
    const around = Layer.mergeAll(EventBus.layer, SecureRandom.layerWebCrypto)
    return Effect.map(Layer.build(layer(join(dir, name, FILE)).pipe(Layer.provide(around))), (context) =>
      Context.get(context, TaskLedger)
    )
  })

/** One row, found by its id, in one transaction: the least that a durable queue can do. */
const plain = () => {
  const database = new DatabaseSync(join(dir, "plain.db"))
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
  database.exec("CREATE TABLE tasks (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state TEXT, prompt TEXT) STRICT")
  const insert = database.prepare("INSERT INTO tasks (id, state, prompt) VALUES (?, 'queued', ?)")
  return (id: string) => {
    database.exec("BEGIN IMMEDIATE")
    insert.run(id, prompt)
    database.exec("COMMIT")
  }
}

const submits = Effect.gen(function* () {
  const ledger = yield* open("submits")
  const insert = plain()
  const rates = { plain: [] as Array<number>, ledger: [] as Array<number> }
  for (let turn = 0; turn <= ROUNDS; turn++) {
    let began = performance.now()
    for (let n = 0; n < EACH; n++) insert(`task-${turn}-${n}`)
    const bare = (EACH * 1_000) / (performance.now() - began)
    began = performance.now()
    for (let n = 0; n < EACH; n++) yield* ledger.submit(spec(`task-${turn}-${n}`))
    const ours = (EACH * 1_000) / (performance.now() - began)
    // The first turn warms up.
    if (turn > 0) {
      rates.plain.push(bare)
      rates.ledger.push(ours)
    }
  }
  const began = performance.now()
  yield* ledger.submitAll(Array.from({ length: 10_000 }, (_, n) => spec(`all-${n}`)))
  const ratio = median(rates.ledger.map((rate, turn) => rate / (rates.plain[turn] ?? rate)))
  return {
    plainPerSecond: round(median(rates.plain)),
    perSecond: round(median(rates.ledger)),
    ofPlain: round(ratio),
    tenThousandAtOnceMillis: round(performance.now() - began)
  }
})

const filled = Effect.fnUntraced(function* (queued: number) {
  const ledger = yield* open(`claims-${queued}`)
  for (let from = 0; from < queued; from += 10_000)
    yield* ledger.submitAll(Array.from({ length: Math.min(10_000, queued - from) }, (_, n) => spec(`q-${from + n}`)))
  return { ledger, find: [] as Array<number>, claim: [] as Array<number> }
})

/** In turns too, so that both have met the same machine. */
const claims = Effect.gen(function* () {
  const queues = [yield* filled(100), yield* filled(100_000)] as const
  for (let n = 0; n < CLAIMS; n++) {
    for (const { claim, find, ledger } of queues) {
      const began = performance.now()
      const [head] = yield* ledger.heads()
      const found = performance.now()
      if (head === undefined) throw new Error("the queue is empty")
      const { attempt } = yield* ledger.claim(head.id, "agent")
      find.push(found - began)
      claim.push(performance.now() - found)
      // As long as before.
      yield* ledger.complete(head.id, attempt, done(head.id))
      yield* ledger.submit(spec(`r-${n}`))
    }
  }
  const [short, long] = queues.map(({ claim, find }) => ({ findMillis: median(find), claimMillis: median(claim) }))
  if (short === undefined || long === undefined) throw new Error("there are two")
  return {
    queued100: { findMillis: round(short.findMillis), claimMillis: round(short.claimMillis) },
    queued100000: { findMillis: round(long.findMillis), claimMillis: round(long.claimMillis) },
    longOfShort: round((long.findMillis + long.claimMillis) / (short.findMillis + short.claimMillis))
  }
})

try {
  const figures = await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        return { submits: yield* submits, ...(yield* claims) }
      })
    )
  )
  console.log(JSON.stringify({ bench: "ledger", ...figures }))
} finally {
  rmSync(dir, { recursive: true, force: true })
}
