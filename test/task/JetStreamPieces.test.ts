/** Long texts that stand in pieces beside their task, in a bucket of a real server: some are lost, some nobody needs. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, Schedule, Scope } from "effect"
import { connect } from "nats"
import { vi } from "vitest"
import { TaskId } from "../../src/domain/Ids.ts"
import { JetStreamBucket } from "../../src/state/JetStreamBucket.ts"
import { JetStreamCommit } from "../../src/task/JetStreamCommit.ts"
import { type Entry, encode, lean, pieces, taskKey } from "../../src/task/JetStreamEntry.ts"
import { JetStreamMirror } from "../../src/task/JetStreamMirror.ts"
import { JetStreamPieces, LEFT } from "../../src/task/JetStreamPieces.ts"
import { type NatsServer, natsServer, noNats } from "../utils/Nats.ts"
import { record } from "../utils/Snapshots.ts"
import { task } from "../utils/Specs.ts"
import { done } from "./Homes.ts"
import { mortal, newBucket } from "./JetStreamHomes.ts"

/** Short, so that nodes look often. */
const LEASE = 300
const LONG = "x".repeat(700_000)
const PIECES = "beside.>"

const until = <A, E>(asked: Effect.Effect<A, E>, holds: (answer: A) => boolean) =>
  Effect.repeat(asked, { until: holds, schedule: Schedule.spaced("20 millis") })

const entryOf = (id: string, prompt: string): Entry => ({
  record: { ...record({ id }), spec: { ...record().spec, id: TaskId.make(id), prompt }, state: "queued" },
  attempts: [],
  waits: [],
  born: 1,
  queuedAt: 1,
  owner: undefined
})

describe.skipIf(noNats !== undefined)("pieces", () => {
  const scope = Scope.makeUnsafe()
  let server: NatsServer
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.provide(natsServer({ jetstream: true }), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  /** The bucket by the bare client. */
  const open = Effect.fnUntraced(function* (name: string) {
    const connection = yield* Effect.acquireRelease(
      Effect.promise(() => connect({ servers: server.url })),
      (connection) => Effect.promise(() => connection.close())
    )
    const options = { control: connection, bulk: connection, name, replicas: 1, maxBytes: -1 }
    const bucket = yield* Effect.promise(() => JetStreamBucket.open(options))
    return {
      bucket,
      keys: Effect.promise(() => bucket.keys(PIECES)),
      /** As when servers lose it: no trace is left. */
      lose: (key: string) => Effect.promise(() => bucket.sweep(key)),
      /** As `nats kv del` does it. */
      erase: (key: string) =>
        Effect.promise(async () => {
          const { revision } = await bucket.read(key)
          assert.isDefined(await bucket.put(key, undefined, revision, () => false))
        })
    }
  })

  for (const [which, ended] of [
    ["content", false],
    ["result", true]
  ] as const)
    it.live(`says of a task whose ${which} has lost a piece that it is there and not whole, at once`, () =>
      Effect.gen(function* () {
        const name = newBucket()
        const a = yield* mortal(server.url, { node: "a", bucket: name, lease: LEASE })
        const given = ended ? task({ id: "t" }) : task({ id: "t", prompt: LONG })
        yield* a.ledger.submit(given)
        if (ended) {
          yield* a.ledger.claim("t", "agent")
          yield* a.ledger.complete("t", 1, done("t", { text: LONG }))
        }
        yield* a.die
        const { keys, lose } = yield* open(name)
        const [first = "", second] = (yield* keys).toSorted()
        assert.isDefined(second)
        yield* lose(first)
        const said: Array<string> = []
        const logger = Logger.make(({ message }) => void said.push(String(message)))
        const b = yield* Effect.provide(
          mortal(server.url, { node: "b", bucket: name, lease: LEASE }),
          Logger.layer([logger])
        )
        for (const asked of [b.ledger.get("t"), b.ledger.submit(given), b.ledger.result("t")]) {
          const error = yield* Effect.flip(asked as Effect.Effect<unknown, object>)
          assert.deepInclude(error, { _tag: "LedgerUnusable", problem: "incomplete" })
          assert.include(String((error as { readonly message?: string }).message), first)
          assert.include(String((error as { readonly hint?: string }).hint), "nats kv del")
        }
        const told = () => said.filter((line) => line.includes("without a part") && line.includes("task.t"))
        yield* until(Effect.sync(told), (lines) => lines.length > 0)
        // Others do not suffer, and are told of no more than once.
        yield* b.ledger.submit(task({ id: "other" }))
        assert.strictEqual((yield* b.ledger.claim("other", "agent")).attempt, 1)
        assert.lengthOf(told(), 1)
      }).pipe(Effect.scoped)
    )

  it.live("takes a task of which a piece is lost again when its key is erased, as the hint says", () =>
    Effect.gen(function* () {
      const name = newBucket()
      const a = yield* mortal(server.url, { node: "a", bucket: name, lease: LEASE })
      const given = task({ id: "t", prompt: LONG })
      yield* a.ledger.submit(given)
      yield* a.die
      const { erase, keys, lose } = yield* open(name)
      yield* lose((yield* keys)[0] ?? "")
      const b = yield* mortal(server.url, { node: "b", bucket: name, lease: LEASE })
      assert.strictEqual((yield* Effect.flip(b.ledger.submit(given)))._tag, "LedgerUnusable")
      yield* erase("task.t")
      const again = yield* Effect.retry(b.ledger.submit(given), { schedule: Schedule.spaced("20 millis") })
      assert.strictEqual(again.spec.prompt, LONG)
    }).pipe(Effect.scoped)
  )

  for (const how of ["lose", "erase"] as const)
    it.live(`puts them back where a node knows the task whole (${how})`, () =>
      Effect.gen(function* () {
        const name = newBucket()
        const a = yield* mortal(server.url, { node: "a", bucket: name, lease: LEASE })
        yield* a.ledger.submit(task({ id: "t", prompt: LONG }))
        const home = yield* open(name)
        const before = yield* home.keys
        yield* home[how](before[0] ?? "")
        const b = yield* mortal(server.url, { node: "b", bucket: name, lease: LEASE })
        const found = yield* Effect.retry(b.ledger.get("t"), { schedule: Schedule.spaced("20 millis") })
        assert.strictEqual(found.spec.prompt, LONG)
        yield* a.die
        const c = yield* mortal(server.url, { node: "c", bucket: name, lease: LEASE })
        assert.strictEqual((yield* c.ledger.get("t")).spec.prompt, LONG)
        assert.strictEqual((yield* c.ledger.claim("t", "agent")).attempt, 1)
      }).pipe(Effect.scoped)
    )

  it.live("leaves nothing of a move that was refused", () =>
    Effect.gen(function* () {
      const { bucket, keys } = yield* open(newBucket())
      const commit = new JetStreamCommit(bucket, new JetStreamMirror(), "s")
      const written = (id: string, expected: number) => {
        const entry = entryOf(id, LONG)
        return { key: taskKey(id), expected, before: undefined, next: entry, entry }
      }
      assert.isFalse(yield* Effect.promise(() => commit.write([written("one", 99)])))
      yield* until(keys, (left) => left.length === 0)
      assert.isFalse(yield* Effect.promise(() => commit.write([written("one", 0), written("two", 99)])))
      yield* until(keys, (left) => left.length === 0)
      assert.isTrue(yield* Effect.promise(() => commit.write([written("one", 0), written("two", 0)])))
      assert.lengthOf(yield* keys, 4)
    }).pipe(Effect.scoped)
  )

  it.live("begins no move so late that others may count its pieces as left", () =>
    Effect.gen(function* () {
      const { bucket, keys } = yield* open(newBucket())
      let late = 0
      const now = performance.now.bind(performance)
      const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + late)
      yield* Effect.addFinalizer(() => Effect.sync(() => clock.mockRestore()))
      // The node is halted behind its first piece.
      const halted: JetStreamBucket = Object.create(bucket, {
        put: {
          value: (...given: Parameters<JetStreamBucket["put"]>) => {
            if (given[0].startsWith("beside.")) late = LEFT / 2
            return bucket.put(...given)
          }
        }
      })
      const mirror = new JetStreamMirror()
      const commit = new JetStreamCommit(halted, mirror, "s")
      const entry = entryOf("t", LONG)
      const write = { key: taskKey("t"), expected: 0, before: undefined, next: entry, entry }
      assert.isFalse(yield* Effect.promise(() => commit.write([write])))
      assert.strictEqual((yield* Effect.promise(() => bucket.read(taskKey("t")))).revision, 0)
      yield* until(keys, (left) => left.length === 0)
      assert.isTrue(yield* Effect.promise(() => commit.write([write])))
    }).pipe(Effect.scoped)
  )

  it.live("takes those away that nobody refers to, when they have been so for long, and no others", () =>
    Effect.gen(function* () {
      const { bucket, keys } = yield* open(newBucket())
      const mirror = new JetStreamMirror()
      mirror.complete()
      const commit = new JetStreamCommit(bucket, mirror, "s")
      let now = 5
      const audits = new JetStreamPieces(bucket, mirror, commit, () => now)
      const audit = Effect.promise(() => audits.audit())
      const put = (key: string, bytes: Uint8Array) => Effect.promise(() => bucket.put(key, bytes, 0, () => false))
      const one = new Uint8Array(1)
      // Known here; not known here, but referred to; of nobody.
      const own = entryOf("own", LONG)
      const wrote = commit.write([{ key: taskKey("own"), expected: 0, before: undefined, next: own, entry: own }])
      assert.isTrue(yield* Effect.promise(() => wrote))
      const other = entryOf("other", LONG)
      const parts = pieces(other.record.spec) ?? []
      for (const [part, bytes] of parts.entries()) yield* put(`beside.other.ref.${part}`, bytes)
      const value = lean({ ...other, specIn: { id: "ref", parts: parts.length } })
      yield* put(taskKey("other"), encode({ by: "n-1", now: value }))
      yield* put("beside.gone.left.0", one)
      yield* put("beside.gone.left.1", one)
      const there = yield* keys
      const kept = there.filter((key) => !key.startsWith("beside.gone."))
      assert.lengthOf(kept, 4)
      yield* audit
      now += LEFT - 1
      yield* audit
      assert.sameMembers([...(yield* keys)], [...there])
      now += 1
      yield* put("beside.gone.young.0", one)
      yield* audit
      assert.sameMembers([...(yield* keys)], [...kept, "beside.gone.young.0"])
    }).pipe(Effect.scoped)
  )
})
