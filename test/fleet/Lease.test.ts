/** One leader of several: on real servers, with contenders that are killed, and halted in the middle of a write. */
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Exit, Layer, Schedule, Scope } from "effect"
import { connect } from "nats"
import * as JetStreamLease from "../../src/fleet/JetStreamLease.ts"
import { Lease, type LeaseShape, type Term } from "../../src/fleet/Lease.ts"
import { JetStreamBucket } from "../../src/state/JetStreamBucket.ts"
import { Dice } from "../simulation/Dice.ts"
import { connections, newBucket } from "../task/JetStreamHomes.ts"
import { root } from "../utils/Binary.ts"
import { type NatsServer, natsCluster, natsServer, noNats } from "../utils/Nats.ts"
import { conformance } from "./leaseConformance.ts"

/** Short, so that who is gone is soon succeeded; no test waits for it with a clock. */
const LEASE = 300
/** How often somebody is halted or killed. */
const ROUNDS = 8

conformance("of a node alone", () => Lease.layerMemory("n"))

const home = (urls: ReadonlyArray<string>, options: Omit<JetStreamLease.JetStreamLeaseOptions, "lease">) =>
  Layer.effect(Lease, JetStreamLease.make({ lease: Duration.millis(LEASE), ...options })).pipe(
    Layer.provide(connections(urls))
  )

const until = <A, E>(asked: Effect.Effect<A, E>, holds: (answer: A) => boolean) =>
  Effect.repeat(asked, { until: holds, schedule: Schedule.spaced("10 millis") })

/** The term of a contender that leads, for as long as the Scope. */
const led = (lease: LeaseShape) =>
  Effect.gen(function* () {
    const began = yield* Deferred.make<Term>()
    yield* Effect.forkScoped(lease.whileLeader((term) => Deferred.succeed(began, term)))
    return yield* Deferred.await(began)
  })

interface Contender {
  readonly child: ChildProcess
  readonly said: Array<ReadonlyArray<string>>
  readonly heard: (holds: (said: ReadonlyArray<ReadonlyArray<string>>) => boolean) => Effect.Effect<void>
}

const contender = (
  urls: ReadonlyArray<string>,
  bucket: string,
  node: string,
  replicas: number,
  halt = 0
): Effect.Effect<Contender, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(
        process.execPath,
        [join(root, "test/fleet/leaseWorker.ts"), urls.join(","), bucket, node, String(replicas), String(LEASE)],
        { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, HALT: String(halt) } }
      )
      const said: Array<ReadonlyArray<string>> = []
      let partial = ""
      child.stdout?.setEncoding("utf8").on("data", (text: string) => {
        const lines = (partial + text).split("\n")
        partial = lines.pop() ?? ""
        said.push(...lines.map((line) => line.split(" ")))
      })
      const heard = (holds: (said: ReadonlyArray<ReadonlyArray<string>>) => boolean) =>
        Effect.asVoid(
          until(
            Effect.sync(() => said),
            holds
          )
        )
      return { child, said, heard }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

const has =
  (...words: ReadonlyArray<string>) =>
  (said: ReadonlyArray<ReadonlyArray<string>>) =>
    said.some((line) => words.every((word, at) => line[at] === word))

interface Line {
  readonly node: string
  readonly epoch: number
  readonly n: number
}

/** What is there of all that leaders have written, in the order of the servers, as their leader has it. */
const recorded = async (urls: ReadonlyArray<string>, bucket: string): Promise<ReadonlyArray<Line>> => {
  const connection = await connect({ servers: [...urls] })
  const { streams } = await connection.jetstreamManager({ checkAPI: false })
  // Servers that have just come up again may not answer at once.
  const patiently = async <A>(ask: () => Promise<A>): Promise<A> => {
    for (;;) {
      try {
        return await ask()
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }
  const stream = `KV_${bucket}`
  const { state } = await patiently(() => streams.info(stream, { subjects_filter: `$KV.${bucket}.led.*` }))
  const found: Array<Line & { readonly seq: number }> = []
  for (const subject of Object.keys(state.subjects ?? {})) {
    const message = await patiently(() => streams.getMessage(stream, { last_by_subj: subject }))
    found.push({ ...JSON.parse(message.json<{ readonly value: string }>().value), seq: message.seq })
  }
  await connection.close()
  return found.toSorted((one, other) => one.seq - other.seq)
}

const onServers = (
  name: string,
  replicas: number,
  start: Effect.Effect<ReadonlyArray<NatsServer>, never, Scope.Scope>
) =>
  describe.skipIf(noNats !== undefined)(`the lease, ${name}`, () => {
    const scope = Scope.makeUnsafe()
    let servers: ReadonlyArray<NatsServer> = []
    const urls = () => servers.map(({ url }) => url)
    beforeAll(async () => {
      servers = await Effect.runPromise(Scope.provide(start, scope))
    })
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

    conformance(name, () => home(urls(), { node: "n", bucket: newBucket(), replicas }))

    const join = (bucket: string, node: string) =>
      Effect.gen(function* () {
        const own = yield* Scope.fork(yield* Effect.scope)
        const context = yield* Scope.provide(Layer.build(Layer.fresh(home(urls(), { node, bucket, replicas }))), own)
        return { lease: Context.get(context, Lease), leave: Scope.close(own, Exit.void), own }
      })

    it.live("passes on at once when its holder lays it down, with a greater epoch, and all know who leads", () =>
      Effect.gen(function* () {
        const bucket = newBucket()
        const a = yield* join(bucket, "a")
        const first = yield* led(a.lease)
        yield* first.put("k", "of a")
        const b = yield* join(bucket, "b")
        yield* until(b.lease.held, ({ leader }) => leader === "a")
        assert.deepEqual(yield* b.lease.held, { leader: "a", epoch: first.epoch, mine: false })
        yield* a.leave
        const second = yield* led(b.lease)
        assert.strictEqual(second.epoch, first.epoch + 1)
        assert.deepEqual(yield* b.lease.get("k"), { value: "of a", epoch: first.epoch })
        assert.strictEqual((yield* Effect.flip(first.put("k", "late")))._tag, "LeaseLost")
        yield* second.put("k", "of b")
        assert.deepEqual(yield* b.lease.get("k"), { value: "of b", epoch: second.epoch })
      }).pipe(Effect.scoped)
    )

    it.live("lets one of two who write over the same end of the bucket at one moment win, each time", () =>
      Effect.gen(function* () {
        const name = newBucket()
        const open = Effect.gen(function* () {
          const connection = yield* Effect.acquireRelease(
            Effect.promise(() => connect({ servers: urls() })),
            (connection) => Effect.promise(() => connection.close())
          )
          const options = { control: connection, bulk: connection, name, replicas, maxBytes: -1 }
          return yield* Effect.promise(() => JetStreamBucket.open(options))
        })
        const both = [yield* open, yield* open]
        const text = (words: string) => new TextEncoder().encode(words)
        let last = 0
        for (let round = 0; round < 200; round++) {
          const answers = yield* Effect.promise(() =>
            Promise.all(both.map((bucket, nth) => bucket.append(`k${nth}`, text(`${round} ${nth}`), last, () => false)))
          )
          const won = answers.filter((answer) => answer !== undefined)
          assert.lengthOf(won, 1, `round ${round}`)
          last = won[0] ?? 0
        }
      }).pipe(Effect.scoped)
    )

    it.live("refuses what a leader writes that was halted between its look and its write", () =>
      Effect.gen(function* () {
        const bucket = newBucket()
        const slow = yield* contender(urls(), bucket, "slow", replicas, 3)
        yield* slow.heard(has("halting"))
        const next = yield* join(bucket, "next")
        const term = yield* led(next.lease)
        yield* term.put("log-3", "of the next")
        slow.child.kill("SIGCONT")
        yield* slow.heard(has("lost"))
        assert.deepEqual(yield* next.lease.get("log-3"), { value: "of the next", epoch: term.epoch })
        assert.isFalse(has("wrote", "1", "3")(slow.said))
        // Nothing of the next was hurt by it.
        yield* term.put("log-3", "still")
        assert.strictEqual((yield* next.lease.get("log-3"))?.value, "still")
      }).pipe(Effect.scoped)
    )

    it.live("refuses it also where the next leader has written nothing but that it leads, and under a new key", () =>
      Effect.gen(function* () {
        const bucket = newBucket()
        const slow = yield* contender(urls(), bucket, "slow", replicas, 1)
        yield* slow.heard(has("halting"))
        const next = yield* join(bucket, "next")
        yield* led(next.lease)
        slow.child.kill("SIGCONT")
        yield* slow.heard(has("lost"))
        assert.isUndefined(yield* next.lease.get("log-1"))
      }).pipe(Effect.scoped)
    )

    it.live(
      "never lets the writes of two epochs interleave, whoever is halted and killed when",
      () =>
        Effect.gen(function* () {
          const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31))
          console.info(`SEED=${seed} repeats who is halted and killed when`)
          const dice = new Dice(seed)
          const bucket = newBucket()
          const contenders = new Map<string, Contender>()
          const all: Array<Contender> = []
          let nth = 0
          const enter = Effect.gen(function* () {
            const node = `n${++nth}`
            const one = yield* contender(urls(), bucket, node, replicas)
            contenders.set(node, one)
            all.push(one)
          })
          yield* Effect.all([enter, enter, enter])
          const terms = () => all.reduce((sum, { said }) => sum + said.filter(([word]) => word === "wrote").length, 0)
          for (let round = 0; round < ROUNDS; round++) {
            const before = terms()
            yield* until(Effect.sync(terms), (now) => now > before + 5)
            const leading = [...contenders].toSorted(([, one], [, other]) => wroteLast(other) - wroteLast(one))
            const last = round === ROUNDS - 1
            const [node, victim] = leading[last || dice.next() < 0.6 ? 0 : dice.between(1, 2)] as [string, Contender]
            if (last || dice.next() < 0.4) {
              victim.child.kill("SIGKILL")
              contenders.delete(node)
              yield* enter
            } else {
              victim.child.kill("SIGSTOP")
              // Now and then somebody else has come to lead meanwhile.
              yield* Effect.sleep(dice.next() * 3 * LEASE)
              victim.child.kill("SIGCONT")
            }
            // What a server does not get to know the others do.
            const server = replicas > 1 && dice.next() < 0.4 ? servers[dice.between(0, replicas - 1)] : undefined
            if (server !== undefined) yield* Effect.andThen(server.kill, server.start)
          }
          yield* until(
            Effect.sync(terms),
            (
              (before) => (now: number) =>
                now > before + 5
            )(terms())
          )
          for (const { child } of contenders.values()) child.kill("SIGKILL")
          judge(yield* Effect.promise(() => recorded(urls(), bucket)), all)
        }).pipe(Effect.scoped),
      120_000
    )
  })

/** The latest epoch of which it was told that it wrote. */
const wroteLast = ({ said }: Contender) => Number(said.findLast(([word]) => word === "wrote")?.[1] ?? 0)

/**
 * Knows nothing of how it is done: what was answered, by the place that it was given, and what is there, in its order. In
 * either no epoch may follow a later one, and each is of one node, which writes its lines one after the other.
 */
const judge = (there: ReadonlyArray<Line>, all: ReadonlyArray<Contender>) => {
  const answers = all.flatMap(({ said }, node) =>
    said.flatMap(([word, epoch, n, place]) =>
      word === "wrote" ? [{ node: `${node}`, epoch: Number(epoch), n: Number(n), place: Number(place) }] : []
    )
  )
  const answered = answers.toSorted((one, other) => one.place - other.place)
  assert.lengthOf(new Set(answered.map(({ place }) => place)), answered.length, "two have the same place")
  for (const lines of [answered, there]) {
    const leaders = new Map<number, string>()
    for (const [at, { epoch, n, node }] of lines.entries()) {
      const before = lines[at - 1]
      assert.isAtLeast(epoch, before?.epoch ?? 0, `line ${at} is of an earlier epoch than the one before it`)
      if (epoch === before?.epoch) assert.isAbove(n, before.n, `line ${at} comes out of turn`)
      assert.strictEqual(leaders.get(epoch) ?? node, node, `two leaders in epoch ${epoch}`)
      leaders.set(epoch, node)
    }
    assert.isAtLeast(leaders.size, 2, "nobody was succeeded")
  }
  // The latest that was answered under a key, or one after it.
  const last = answered.at(-1)
  assert.isTrue(
    there.some(({ epoch, n }) => epoch === last?.epoch && n === last.n),
    "the last that was answered is not there"
  )
}

onServers(
  "on one server",
  1,
  Effect.map(natsServer({ jetstream: true }), (server) => [server])
)
onServers("on three servers", 3, natsCluster(3, { jetstream: true }))
