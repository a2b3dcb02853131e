/**
 * What a task of a fleet takes: bytes of its bucket on one nats-server, memory of that server, and memory of a node that knows
 * it, beside one that knows none. Queued tasks, and ended ones with a result. Prints JSON. `bun scripts/bench/footprint.ts`,
 * with nats-server on the PATH.
 */
import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { connect } from "nats"
import { TaskId, TaskType } from "../../src/domain/Ids.ts"
import { finish, openLedger, startServer } from "./ledgers.ts"
import { round } from "./measure.ts"

const TASKS = 5_000
/** Characters of a prompt, and of a result. */
const TEXT = 1_000
/** Tasks of which the end is written at once. */
const SLOTS = 16

/** Resident bytes of a process. */
const residentOf = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024

/** A node of its own: says what it takes when it knows all, and ends. */
const [, , url, bucket] = process.argv
if (url !== undefined && bucket !== undefined) {
  await Effect.runPromise(Effect.scoped(openLedger(url, { node: "reader", bucket })))
  Bun.gc(true)
  console.log(residentOf(process.pid))
  process.exit(0)
}

const server = await startServer()

const reader = (name: string) => {
  const { stdout } = Bun.spawnSync([process.execPath, import.meta.path, server.url, name], { stderr: "inherit" })
  return Number(stdout.toString())
}

try {
  const report = await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const manager = yield* Effect.promise(async () => (await connect({ servers: server.url })).jetstreamManager())
        const bytes = Effect.promise(async () => (await manager.streams.info("KV_full")).state.bytes)
        yield* openLedger(server.url, { node: "first", bucket: "empty" })
        const { ledger } = yield* openLedger(server.url, { node: "first", bucket: "full" })
        const prompt = "x".repeat(TEXT)
        const [serverBefore, before, alone] = [residentOf(server.pid() ?? 0), yield* bytes, reader("empty")]
        const ids = Array.from({ length: TASKS }, (_, n) => TaskId.make(`task-${n}`))
        yield* ledger.submitAll(ids.map((id) => ({ id, type: TaskType.make("task"), prompt })))
        const queued = yield* bytes
        const knowsQueued = reader("full")
        yield* Effect.forEach(ids, (id) => finish(ledger, id, prompt), { concurrency: SLOTS, discard: true })
        const ended = yield* bytes
        const each = (total: number) => round(total / TASKS)
        return {
          tasks: TASKS,
          charactersEach: TEXT,
          bucketBytesATask: { queued: each(queued - before), ended: each(ended - before) },
          nodeMiB: {
            knowsNone: round(alone / 1024 ** 2),
            knowsQueued: round(knowsQueued / 1024 ** 2),
            knowsEnded: round(reader("full") / 1024 ** 2)
          },
          serverMiB: {
            before: round(serverBefore / 1024 ** 2),
            after: round(residentOf(server.pid() ?? 0) / 1024 ** 2)
          }
        }
      })
    )
  )
  console.log(JSON.stringify(report, undefined, 2))
} finally {
  await server.stop()
}
process.exit(0)
