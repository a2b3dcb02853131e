/** A node that is halted, or killed, as the others see it: real processes on a real server. */
import { type ChildProcess, spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schedule, type Scope, Stream } from "effect"
import type { Published } from "../../src/event/Event.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import * as JetStreamLedger from "../../src/task/JetStreamLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { root } from "../utils/Binary.ts"
import { natsServer, noNats } from "../utils/Nats.ts"
import { task } from "../utils/Specs.ts"
import { around, done } from "./Homes.ts"
import { connections, newBucket } from "./JetStreamHomes.ts"

/** Short, so that a node that is gone is soon missed; no test waits for it with a clock. */
const LEASE = 1_500

interface Worker {
  readonly child: ChildProcess
  readonly said: Array<string>
}

const worker = (url: string, bucket: string, node: string): Effect.Effect<Worker, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const file = join(root, "test/task/fleetWorker.ts")
      const child = spawn(process.execPath, [file, url, bucket, node, `${LEASE}`], {
        stdio: ["pipe", "pipe", "inherit"]
      })
      const said: Array<string> = []
      let partial = ""
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        const lines = (partial + text).split("\n")
        partial = lines.pop() ?? ""
        said.push(...lines)
      })
      return { child, said }
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

const until = <A, E>(asked: Effect.Effect<A, E>, holds: (answer: A) => boolean) =>
  Effect.repeat(asked, { until: holds, schedule: Schedule.spaced("20 millis") })

const says = ({ said }: Worker, line: string) =>
  until(
    Effect.sync(() => said),
    (lines) => lines.includes(line)
  )

/** A node in this process, with what it has reported. */
const here = (url: string, bucket: string, node: string) =>
  Effect.gen(function* () {
    const home = Layer.fresh(JetStreamLedger.layer({ node, bucket, lease: LEASE })).pipe(
      Layer.provide(connections(url)),
      Layer.provideMerge(Layer.fresh(around))
    )
    const context = yield* Effect.orDie(Layer.build(home))
    const events: Array<Published> = []
    const stream = yield* Context.get(context, EventBus).subscribe
    yield* Effect.forkScoped(Stream.runForEach(stream, (event) => Effect.sync(() => events.push(event))))
    const ledger = Context.get(context, TaskLedger)
    const standing = (node: string) => ledger.here?.others?.standing(node)
    return { ledger, others: { standing }, events }
  })

const verdicts = (events: ReadonlyArray<Published>) =>
  events.flatMap((event) =>
    event.type === "fleet.suspected"
      ? [`${event.node} suspected`]
      : event.type === "fleet.dead"
        ? [`${event.node} dead with ${event.tasks}`]
        : event.type === "fleet.back"
          ? [`${event.node} back from ${event.was}`]
          : []
  )

describe.skipIf(noNats !== undefined)("a node of a fleet", () => {
  it.live(
    "that is halted for longer than every lease loses what it held, and learns it when it wakes",
    () =>
      Effect.gen(function* () {
        const { url } = yield* natsServer({ jetstream: true })
        const bucket = newBucket()
        const halted = yield* worker(url, bucket, "halted")
        yield* says(halted, "ready halted")
        const { events, ledger, others } = yield* here(url, bucket, "b")
        yield* ledger.submitAll([task({ id: "late", type: "late" }), task({ id: "long", type: "long" })])
        yield* says(halted, "claimed late 1")
        yield* says(halted, "claimed long 1")
        yield* ledger.submit(task({ id: "own", type: "own" }))
        yield* says(halted, "claimed own 1")
        yield* ledger.cancel("own", "b does that")
        yield* says(halted, "released own")
        assert.strictEqual(others.standing("halted"), "alive")

        halted.child.kill("SIGSTOP")
        yield* until(
          Effect.sync(() => readFileSync(`/proc/${halted.child.pid}/status`, "utf8")),
          (status) => /^State:\s+T/m.test(status)
        )
        yield* ledger.submit(task({ id: "mine", type: "mine" }))
        yield* ledger.claim("mine", "b")
        for (const id of ["late", "long"]) {
          yield* until(ledger.get(id), ({ state }) => state === "queued")
          assert.deepInclude((yield* ledger.get(id)).lastFault, { kind: "LeaseExpired" })
          assert.strictEqual((yield* ledger.claim(id, "b")).attempt, 2)
        }
        assert.deepStrictEqual(verdicts(events).slice(-2), ["halted suspected", "halted dead with 2"])
        assert.strictEqual(others.standing("halted"), "dead")
        const dead = events.find(({ type }) => type === "fleet.dead")
        assert.isTrue(dead?.type === "fleet.dead" && dead.phi >= 12 && dead.silenceMillis >= LEASE)
        yield* ledger.complete("late", 2, done("late", { text: "by b" }))

        halted.child.stdin?.write("report\n")
        halted.child.kill("SIGCONT")
        yield* says(halted, "refused late AttemptSuperseded")
        yield* says(halted, "released long")
        yield* until(
          Effect.sync(() => verdicts(events)),
          (all) => all.at(-1) === "halted back from dead"
        )
        assert.strictEqual(others.standing("halted"), "alive")
        assert.strictEqual((yield* ledger.result("late")).text, "by b")
        assert.deepInclude(yield* ledger.get("long"), { state: "running", attempt: 2 })
        // For the time in which it could not hear, the woken one passes no verdict on who was awake.
        assert.deepInclude(yield* ledger.get("mine"), { state: "running", attempt: 1 })
        assert.deepStrictEqual(
          halted.said.filter((line) => line.startsWith("fleet.")),
          []
        )
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "that hears nobody, because the server stands still, takes nobody for dead",
    () =>
      Effect.gen(function* () {
        const server = yield* natsServer({ jetstream: true })
        const bucket = newBucket()
        const { events, ledger } = yield* here(server.url, bucket, "a")
        const other = yield* here(server.url, bucket, "b")
        yield* ledger.submit(task({ id: "t", type: "t" }))
        yield* ledger.claim("t", "a")
        yield* until(other.ledger.get("t"), ({ state }) => state === "running")
        // Neither hears anything for longer than any lease; there is no other way to know that than to wait.
        yield* server.halt
        yield* Effect.sleep(LEASE * 3)
        yield* server.goOn
        // Both have gone through more heartbeats than a death needs.
        const seen = events.length + other.events.length
        for (const node of [ledger, other.ledger])
          for (let n = 0; n < 3; n++) {
            yield* node.submit(task({ id: `${node === ledger ? "a" : "b"}${n}`, type: "later" }))
            yield* Effect.sleep(LEASE / 2)
          }
        assert.isAbove(events.length + other.events.length, seen)
        assert.deepInclude(yield* other.ledger.get("t"), { state: "running", attempt: 1 })
        assert.deepStrictEqual(
          [...verdicts(events), ...verdicts(other.events)].filter((verdict) => verdict.includes("dead")),
          []
        )
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "that stops in order is not waited for, and one that had died before is no news",
    () =>
      Effect.gen(function* () {
        const { url } = yield* natsServer({ jetstream: true })
        const bucket = newBucket()
        const killed = yield* worker(url, bucket, "killed")
        yield* says(killed, "ready killed")
        killed.child.kill("SIGKILL")
        const { events, ledger, others } = yield* here(url, bucket, "a")
        yield* Effect.scoped(
          Effect.gen(function* () {
            const leaving = yield* here(url, bucket, "leaving")
            yield* leaving.ledger.submit(task({ id: "t" }))
            yield* leaving.ledger.claim("t", "leaving")
          })
        )
        yield* until(ledger.get("t"), ({ state }) => state === "queued")
        yield* until(
          Effect.sync(() => others.standing("killed")),
          (state) => state === "dead"
        )
        assert.strictEqual(others.standing("leaving"), "left")
        assert.deepStrictEqual(verdicts(events), [])
      }).pipe(Effect.scoped),
    60_000
  )
})
