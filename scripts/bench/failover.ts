/**
 * How long it takes from the death of a node until another one has claimed what it held: one that is killed (kill -9), and one
 * that is halted (SIGSTOP). Real processes on one nats-server, each death at a moment of its own between two signs of life.
 * `after` is the time after which a node is to be dead, since its last sign of life; `late` how much later than that it was
 * claimed, counted from the death: it may be less than nothing, as the last sign of life came before. Prints JSON.
 * `bun scripts/bench/failover.ts`, with nats-server on the PATH.
 */
import { spawn } from "node:child_process"
import { writeSync } from "node:fs"
import { Effect, Stream } from "effect"
import { TaskId, TaskType } from "../../src/domain/Ids.ts"
import { type Ledger, openLedger, startServer } from "./ledgers.ts"
import { round } from "./measure.ts"

const AFTER = 3_000
const HEARTBEAT = AFTER / 3
const ROUNDS = 8

const open = (url: string, bucket: string, node: string) =>
  Effect.map(openLedger(url, { node, bucket, lease: AFTER }), ({ ledger }) => ledger)

/** Claims one task, says so, and lives on. */
const victim = (url: string, bucket: string, node: string, task: string) =>
  Effect.gen(function* () {
    const ledger = yield* open(url, bucket, node)
    yield* ledger.claim(task, node)
    writeSync(1, "claimed\n")
    return yield* Effect.never
  })

const die = (url: string, bucket: string, signal: "SIGKILL" | "SIGSTOP", round_: number, ledger: Ledger) =>
  Effect.gen(function* () {
    const id = TaskId.make(`${signal.toLowerCase()}-${round_}`)
    yield* ledger.submit({ id, type: TaskType.make("task"), prompt: "do it" })
    const child = spawn(process.execPath, [import.meta.path, "victim", url, bucket, id, id], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    yield* Effect.promise(() => new Promise((resolve) => child.stdout.once("data", resolve)))
    const changes = yield* ledger.changes
    // Two heartbeats, and a part of one.
    yield* Effect.sleep(HEARTBEAT * (2 + round_ / ROUNDS))
    const died = performance.now()
    child.kill(signal)
    const claimed = Effect.flatMap(ledger.get(id), ({ state }) =>
      state === "queued" ? Effect.as(ledger.claim(id, "watcher"), true) : Effect.succeed(false)
    )
    yield* Stream.runForEachWhile(changes, () => Effect.map(claimed, (over) => !over))
    const took = performance.now() - died
    child.kill("SIGKILL")
    return took
  }).pipe(Effect.scoped)

const [mode, url = "", bucket = "", node = "", task = ""] = process.argv.slice(2)
if (mode === "victim") await Effect.runPromise(Effect.scoped(victim(url, bucket, node, task)))
else {
  const server = await startServer()
  try {
    const measured = await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const ledger = yield* open(server.url, "bench", "watcher")
          const rounds = (signal: "SIGKILL" | "SIGSTOP") =>
            Effect.forEach(
              Array.from({ length: ROUNDS }, (_, n) => n),
              (n) => die(server.url, "bench", signal, n, ledger),
              { concurrency: "unbounded" }
            )
          return { killed: yield* rounds("SIGKILL"), halted: yield* rounds("SIGSTOP") }
        })
      ) as Effect.Effect<{ readonly killed: ReadonlyArray<number>; readonly halted: ReadonlyArray<number> }, unknown>
    )
    const summary = (took: ReadonlyArray<number>) => {
      const sorted = took.toSorted((one, other) => one - other)
      const late = (millis = 0) => round(millis - AFTER)
      return {
        fromDeathToClaim: { shortest: round(sorted[0] ?? 0), longest: round(sorted.at(-1) ?? 0) },
        late: { shortest: late(sorted[0]), median: late(sorted[sorted.length >> 1]), longest: late(sorted.at(-1)) },
        withinAHeartbeat: took.filter((millis) => millis - AFTER <= HEARTBEAT).length,
        of: took.length
      }
    }
    console.log(
      JSON.stringify({
        after: AFTER,
        heartbeat: HEARTBEAT,
        killed: summary(measured.killed),
        halted: summary(measured.halted)
      })
    )
  } finally {
    await server.stop()
  }
}
process.exit(0)
