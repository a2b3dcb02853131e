/**
 * The ledger on three servers of which one after the other is killed with SIGKILL while three nodes work: each, then the
 * one that leads the bucket, then all. At the end the bucket is read with the bare client and compared with what each
 * node knows. `MISTER_SMITH_SEED` repeats a run's dice; when which server answers stays the servers' own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Result, Schedule } from "effect"
import { connect, type NatsConnection } from "nats"
import { TaskId } from "../../src/domain/Ids.ts"
import { isFinal } from "../../src/domain/Task.ts"
import type { TaskLedger } from "../../src/task/TaskLedger.ts"
import { Dice } from "../simulation/Dice.ts"
import { type NatsServer, natsCluster, noNats } from "../utils/Nats.ts"
import { task } from "../utils/Specs.ts"
import { done } from "./Homes.ts"
import { mortal, newBucket } from "./JetStreamHomes.ts"

const SEED = Number(process.env["MISTER_SMITH_SEED"] ?? Date.now() % 1_000_000)
const NODES = ["a", "b", "c"] as const
/** Of a node, each of which is at one task at a time. */
const WORKERS = 4
/** Tasks that are open, at most. */
const OPEN = 40
/** How long an attempt takes, at most, in milliseconds. */
const WORK = 100
/** A sign of life each second. */
const LEASE = 3_000
const PATIENCE = 90_000

type Ledger = TaskLedger["Service"]

const until = <A, E>(asked: Effect.Effect<A, E>, holds: (answer: A) => boolean) =>
  Effect.repeat(asked, { until: holds, schedule: Schedule.spaced("20 millis") })

/** What no server answers is asked again. */
const insist = <A>(ask: () => Promise<A>) =>
  Effect.promise(async () => {
    for (;;) {
      try {
        return await ask()
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  })

const client = (servers: ReadonlyArray<NatsServer>) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      connect({ servers: servers.map(({ url }) => url), maxReconnectAttempts: -1, reconnectTimeWait: 50 })
    ),
    (connection) => Effect.promise(() => connection.close())
  )

/** The servers that keep the stream: who leads it, and whether all have what it has. */
const members = (connection: NatsConnection, stream: string) =>
  insist(async () => {
    const manager = await connection.jetstreamManager({ checkAPI: false, timeout: 2_000 })
    const { cluster } = await manager.streams.info(stream)
    const all = cluster?.replicas ?? []
    return {
      leader: cluster?.leader ?? "",
      whole: all.length === 2 && all.every(({ current, offline }) => current && offline !== true),
      behind: all.flatMap(({ current, name }) => (current ? [] : [name]))
    }
  })

interface Kept {
  readonly by: string
  readonly lock?: unknown
  readonly now?: {
    readonly record: { readonly id: string; readonly state: string; readonly attempt: number }
    readonly attempts: ReadonlyArray<{ readonly attempt: number; readonly ended?: string }>
  }
}

/** All tasks of the bucket, as its leader has them, by nothing of ours. */
const reader = (connection: NatsConnection, bucket: string) =>
  insist(async () => {
    const manager = await connection.jetstreamManager({ checkAPI: false, timeout: 2_000 })
    const filter = `$KV.${bucket}.task.>`
    const { state } = await manager.streams.info(`KV_${bucket}`, { subjects_filter: filter })
    const found = new Map<string, Kept>()
    for (const subject of Object.keys(state.subjects ?? {})) {
      const message = await manager.streams.getMessage(`KV_${bucket}`, { last_by_subj: subject })
      const kept = message.json<Kept>()
      found.set(kept.now?.record.id ?? subject, kept)
    }
    return found
  })

/** Some wait for the one before, so that its end is a move of several keys. */
const spec = (node: string, n: number) => ({
  ...task({ id: `${node}-${n}`, type: `t${n % 3}` }),
  ...(n % 5 === 4 ? { after: [TaskId.make(`${node}-${n - 1}`)] } : {})
})

describe.skipIf(noNats !== undefined)("the ledger on three servers that are killed in turn", () => {
  it.live(
    `ends each task once, lacks none, and every node knows what the bucket has (seed ${SEED})`,
    () =>
      Effect.gen(function* () {
        const dice = new Dice(SEED)
        const servers = yield* natsCluster(3, { jetstream: true })
        const urls = servers.map(({ url }) => url)
        const bucket = newBucket()
        const nodes = yield* Effect.forEach(NODES, (node) =>
          Effect.map(mortal(urls, { node, bucket, replicas: 3, lease: LEASE, patience: PATIENCE }), ({ ledger }) => ({
            node,
            ledger
          }))
        )
        const accepted = new Set<string>()
        const ended: Array<string> = []
        let over = false
        const claimed: Array<string> = []
        const submit = ({ ledger, node }: { readonly node: string; readonly ledger: Ledger }) =>
          Effect.gen(function* () {
            for (let n = 0; !over; n++) {
              const { id } = yield* Effect.retry(ledger.submit(spec(node, n)), {
                while: ({ _tag }) => _tag === "LedgerUnusable"
              })
              accepted.add(id)
              yield* until(
                Effect.sync(() => accepted.size - ended.length),
                (open) => open < OPEN || over
              )
            }
          })
        const work = ({ ledger, node }: { readonly node: string; readonly ledger: Ledger }) =>
          Effect.gen(function* () {
            while (!over || ended.length < accepted.size) {
              const heads = yield* ledger.heads()
              const head = heads[Math.floor(Math.random() * heads.length)]
              if (head === undefined) {
                yield* Effect.sleep(10)
                continue
              }
              const claim = yield* Effect.result(ledger.claim(head.id, node))
              if (Result.isFailure(claim)) continue
              const { attempt, id } = claim.success
              claimed.push(`${id} ${attempt}`)
              yield* Effect.sleep(Math.random() * WORK)
              const end = yield* Effect.result(
                Effect.retry(ledger.complete(id, attempt, done(id, { agent: node })), {
                  while: ({ _tag }) => _tag === "LedgerUnusable"
                })
              )
              if (Result.isSuccess(end)) ended.push(id)
            }
          })
        const working = yield* Effect.forkChild(
          Effect.all(
            [
              Effect.forEach(nodes, submit, { concurrency: "unbounded" }),
              ...nodes.flatMap((node) => Array.from({ length: WORKERS }, () => work(node)))
            ],
            { concurrency: "unbounded", discard: true }
          ),
          { startImmediately: true }
        )
        const outside = yield* client(servers)
        const stream = `KV_${bucket}`
        const progress = (many: number) =>
          until(
            Effect.sync(() => ended.length),
            (now) => now >= many
          )
        const killing = Effect.gen(function* () {
          const victims = [0, 1, 2].map((nth) => Effect.sync(() => [servers[nth] as NatsServer]))
          const leader = Effect.map(members(outside, stream), ({ leader }) =>
            servers.filter(({ name }) => name === leader)
          )
          for (const victim of [...victims, leader, leader, Effect.succeed(servers)]) {
            const since = ended.length
            yield* progress(since + dice.between(1, 20))
            const chosen = yield* victim
            yield* Effect.forEach(chosen, ({ kill }) => kill, { concurrency: "unbounded" })
            yield* Effect.sleep(dice.between(0, 1_500))
            yield* Effect.forEach(chosen, ({ start }) => start, { concurrency: "unbounded" })
          }
        })
        yield* killing
        over = true
        yield* Fiber.join(working)
        // Each server has all of it again, so that it does not matter who is asked. One of 2.9 that was killed may never come
        // along again until it is started anew, which is what an operator would do.
        const whole = until(members(outside, stream), (there) => there.whole)
        for (let round = 0; round < 4; round++) {
          if (Option.isSome(yield* Effect.timeoutOption(whole, "15 seconds"))) break
          const { behind } = yield* members(outside, stream)
          console.info(`started anew, because it has not come along: ${behind.join(", ")}`)
          const chosen = servers.filter(({ name }) => behind.includes(name))
          yield* Effect.forEach(chosen, ({ kill }) => kill, { discard: true })
          yield* Effect.forEach(chosen, ({ start }) => start, { discard: true })
        }
        yield* whole
        // What a node left half done others finish, and what the servers have lost the nodes put back when they look next
        // (JetStreamAudit.ts).
        const kept = yield* until(
          reader(outside, bucket),
          (all) =>
            all.size >= accepted.size &&
            [...all.values()].every(({ lock, now }) => lock === undefined && now !== undefined)
        )
        const ids = [...accepted]
        assert.sameMembers([...kept.keys()], ids)
        for (const [id, { now }] of kept) {
          assert.strictEqual(now?.record.state, "succeeded", id)
          assert.lengthOf(now?.attempts.filter(({ ended }) => ended === "succeeded") ?? [], 1, id)
        }
        assert.sameMembers(ended, ids)
        assert.lengthOf(claimed, new Set(claimed).size)
        const there = [...kept.values()]
          .map(({ now }) => `${now?.record.id} ${now?.record.state} ${now?.record.attempt}`)
          .sort()
        for (const { ledger } of nodes) {
          // By itself, if not yet: nothing is written any more.
          const known = Effect.map(ledger.list({ limit: 10_000 }), (all) =>
            all.map(({ attempt, id, state }) => `${id} ${state} ${attempt}`).sort()
          )
          yield* until(known, (all) => all.join() === there.join())
          assert.deepStrictEqual(
            (yield* ledger.list({ limit: 10_000 })).filter(({ state }) => !isFinal(state)),
            []
          )
          assert.deepStrictEqual(yield* ledger.heads(), [])
        }
        console.info(`${ids.length} tasks, ${claimed.length} attempts`)
      }).pipe(Effect.scoped),
    300_000
  )
})
