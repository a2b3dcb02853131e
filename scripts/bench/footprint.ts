/**
 * What a task of a fleet takes: bytes of its bucket on one nats-server, memory of that server, and memory of a node that knows
 * it, beside one that knows none. Queued tasks, and ended ones with a result. Prints JSON. `bun scripts/bench/footprint.ts`,
 * with nats-server on the PATH.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { connect } from "nats"
import { TaskId, TaskType } from "../../src/domain/Ids.ts"
import { noUsage } from "../../src/domain/Task.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { layer } from "../../src/task/JetStreamLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { NatsConnections } from "../../src/transport/NatsTransport.ts"
import { round } from "./measure.ts"

const TASKS = 5_000
/** Characters of a prompt, and of a result. */
const TEXT = 1_000
/** Tasks of which the end is written at once. */
const SLOTS = 16

/** Resident bytes of a process. */
const residentOf = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024

const client = async (url: string) => {
  for (;;) {
    try {
      return await connect({ servers: url })
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

const open = (url: string, node: string, bucket: string) =>
  Effect.gen(function* () {
    const control = yield* Effect.promise(() => client(url))
    const bulk = yield* Effect.promise(() => client(url))
    const connections = Layer.succeed(
      NatsConnections,
      NatsConnections.of({ control: Effect.succeed(control), bulk: Effect.succeed(bulk) })
    )
    const home = layer({ node, bucket }).pipe(
      Layer.provide(connections),
      Layer.provide(Layer.mergeAll(EventBus.layer, SecureRandom.layerWebCrypto))
    )
    return Context.get(yield* Layer.build(Layer.fresh(home)), TaskLedger)
  })

/** A node of its own: says what it takes when it knows all, and ends. */
const [, , url, bucket] = process.argv
if (url !== undefined && bucket !== undefined) {
  await Effect.runPromise(Effect.scoped(open(url, "reader", bucket)))
  Bun.gc(true)
  console.log(residentOf(process.pid))
  process.exit(0)
}

const port = await new Promise<number>((resolve) => {
  const probe = createServer().listen(0, "127.0.0.1", () => {
    const address = probe.address()
    probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
  })
})
const dir = mkdtempSync(join(tmpdir(), "mister-smith-bench-"))
const server = spawn("nats-server", ["-a", "127.0.0.1", "-p", `${port}`, "-js", "-sd", dir], { stdio: "ignore" })
const at = `nats://127.0.0.1:${port}`

const reader = (name: string) => {
  const { stdout } = Bun.spawnSync([process.execPath, import.meta.path, at, name], { stderr: "inherit" })
  return Number(stdout.toString())
}

try {
  const report = await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const manager = yield* Effect.promise(async () => (await client(at)).jetstreamManager())
        const bytes = Effect.promise(async () => (await manager.streams.info("KV_full")).state.bytes)
        yield* open(at, "first", "empty")
        const ledger = yield* open(at, "first", "full")
        const prompt = "x".repeat(TEXT)
        const [serverBefore, before, alone] = [residentOf(server.pid ?? 0), yield* bytes, reader("empty")]
        const ids = Array.from({ length: TASKS }, (_, n) => TaskId.make(`task-${n}`))
        yield* ledger.submitAll(ids.map((id) => ({ id, type: TaskType.make("task"), prompt })))
        const queued = yield* bytes
        const knowsQueued = reader("full")
        yield* Effect.forEach(
          ids,
          (id) =>
            Effect.gen(function* () {
              const { attempt } = yield* ledger.claim(id, "agent")
              yield* ledger.complete(id, attempt, {
                task: id,
                status: "succeeded",
                text: prompt,
                output: undefined,
                fault: undefined,
                agent: "agent",
                session: undefined,
                attempts: 1,
                denied: [],
                usage: noUsage,
                tookMillis: 1
              })
            }),
          { concurrency: SLOTS, discard: true }
        )
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
            after: round(residentOf(server.pid ?? 0) / 1024 ** 2)
          }
        }
      })
    )
  )
  console.log(JSON.stringify(report, undefined, 2))
} finally {
  server.kill("SIGKILL")
  rmSync(dir, { recursive: true, force: true })
}
process.exit(0)
