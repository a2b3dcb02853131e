/** What holds for a Transport wherever it is at home. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Queue, Scope, Stream } from "effect"
import { MAX_SUBJECT } from "../../src/transport/Subjects.ts"
import type { Packet, Transport } from "../../src/transport/Transport.ts"
import { homes } from "./homes.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (data: Uint8Array) => new TextDecoder().decode(data)

/** What one subscription hears, one after the other. */
const hear = (
  transport: Transport["Service"],
  subject: string,
  options?: Parameters<Transport["Service"]["subscribe"]>[1]
) =>
  Effect.gen(function* () {
    const stream = yield* transport.subscribe(subject, options)
    const heard = yield* Queue.unbounded<Packet>()
    yield* Effect.forkScoped(Stream.runForEach(stream, (packet) => Queue.offer(heard, packet)))
    return heard
  })

const echo = (transport: Transport["Service"], subject: string, queue?: string) =>
  Effect.gen(function* () {
    const stream = yield* transport.subscribe(subject, queue === undefined ? {} : { queue })
    yield* Effect.forkScoped(
      Stream.runForEach(stream, (packet) => packet.respond(packet.data, { headers: packet.headers }))
    )
  })

/** In a cluster a subscription at one server is known to the others a moment after; asking until it is answered waits for that. */
const reach = (from: Transport["Service"], to: Transport["Service"]) =>
  Effect.gen(function* () {
    yield* echo(to, "reach.me")
    yield* from
      .request("reach.me", bytes(""), { deadline: "10 seconds" })
      .pipe(Effect.retry({ while: ({ _tag }) => _tag === "NoResponders" }), Effect.orDie)
  })

for (const { ends, name, skip } of homes) {
  describe.skipIf(skip)(`a transport ${name}`, () => {
    const on = (
      what: string,
      test: (from: Transport["Service"], to: Transport["Service"]) => Effect.Effect<void, unknown, Scope.Scope>
    ) => it.live(what, () => Effect.flatMap(ends, ([from, to]) => test(from, to)))

    on("brings bytes as they are, with headers and subject", (from, to) =>
      Effect.gen(function* () {
        const heard = yield* hear(to, "a.b")
        yield* reach(from, to)
        const all = Uint8Array.from({ length: 256 }, (_, n) => n)
        yield* from.publish("a.b", all, { headers: { "X-Kind": "all of them", lower: "ü" } })
        const packet = yield* Queue.take(heard)
        assert.deepStrictEqual([...packet.data], [...all])
        assert.strictEqual(packet.subject, "a.b")
        assert.deepStrictEqual({ ...packet.headers }, { "X-Kind": "all of them", lower: "ü" })
        assert.isUndefined(packet.reply)
      })
    )

    on("brings what was published, though the sender changes it afterwards", (from, to) =>
      Effect.gen(function* () {
        const heard = yield* hear(to, "changed")
        yield* reach(from, to)
        const data = bytes("before")
        yield* from.publish("changed", data)
        yield* from.flush
        data.fill(0)
        assert.strictEqual(text((yield* Queue.take(heard)).data), "before")
      })
    )

    on("takes it over at once: it may be changed as soon as it is published", (from, to) =>
      Effect.gen(function* () {
        const heard = yield* hear(to, "taken")
        yield* reach(from, to)
        const data = bytes("before")
        yield* from.publish("taken", data)
        data.fill(0)
        yield* from.publish("taken", data, { headers: { "X-Kind": "second" } })
        data.fill(1)
        const [first, second] = yield* Queue.takeN(heard, 2)
        assert.strictEqual(first && text(first.data), "before")
        assert.deepStrictEqual([...(second?.data ?? [])], [0, 0, 0, 0, 0, 0])
      })
    )

    on("keeps the order of one sender", (from, to) =>
      Effect.gen(function* () {
        const heard = yield* hear(to, "order.>")
        yield* reach(from, to)
        const sent = Array.from({ length: 2000 }, (_, n) => `${n}`)
        for (const each of sent) yield* from.publish(`order.${Number(each) % 3}`, bytes(each))
        const got = yield* Queue.takeN(heard, sent.length)
        assert.deepStrictEqual(
          got.map(({ data }) => text(data)),
          sent
        )
      })
    )

    on("takes * for one word and > for one or more", (from, to) =>
      Effect.gen(function* () {
        const patterns = ["w.*", "w.>", "w.*.c", "*.a", "w.a"]
        const heard = yield* Effect.forEach(patterns, (pattern) => hear(to, pattern))
        const end = yield* hear(to, "the.end")
        yield* reach(from, to)
        for (const subject of ["w", "w.a", "w.b", "w.a.c", "w.a.b.c", "x.a", "ww.a"])
          yield* from.publish(subject, bytes(""))
        yield* from.publish("the.end", bytes(""))
        yield* Queue.take(end)
        const got = yield* Effect.forEach(heard, (queue) => Queue.clear(queue))
        assert.deepStrictEqual(
          got.map((packets) => packets.map(({ subject }) => subject)),
          [["w.a", "w.b"], ["w.a", "w.b", "w.a.c", "w.a.b.c"], ["w.a.c"], ["w.a", "x.a", "ww.a"], ["w.a"]]
        )
      })
    )

    on("gives each message to one of a group, and to each who is in none", (from, to) =>
      Effect.gen(function* () {
        const one = yield* hear(to, "work.*", { queue: "team" })
        // A group is a group, whatever pattern each of it listens to.
        const other = yield* hear(to, "work.1", { queue: "team" })
        const another = yield* hear(to, "work.*", { queue: "others" })
        const alone = yield* hear(to, "work.1")
        const end = yield* hear(to, "the.end")
        yield* reach(from, to)
        const count = 200
        for (let n = 0; n < count; n++) yield* from.publish("work.1", bytes(`${n}`))
        yield* Queue.takeN(alone, count)
        yield* Queue.takeN(another, count)
        yield* from.publish("the.end", bytes(""))
        yield* Queue.take(end)
        const shares = [one, other].map((queue) => Queue.sizeUnsafe(queue))
        assert.strictEqual(
          shares.reduce((sum, share) => sum + share),
          count
        )
        // That one of two gets nothing has a chance of 2 in 2^200.
        assert.isAbove(Math.min(...shares), 0)
      })
    )

    on("answers requests, many at a time, each with its own", (from, to) =>
      Effect.gen(function* () {
        yield* echo(to, "echo.*", "echoes")
        yield* echo(to, "echo.*", "echoes")
        yield* reach(from, to)
        const answers = yield* Effect.forEach(
          Array.from({ length: 500 }, (_, n) => n),
          (n) => from.request(`echo.${n}`, bytes(`${n}`), { deadline: "20 seconds", headers: { n: `${n}` } }),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          answers.map(({ data, headers }) => `${text(data)} ${headers.n}`),
          answers.map((_, n) => `${n} ${n}`)
        )
      })
    )

    on("says at once that nobody listens", (from) =>
      Effect.gen(function* () {
        const fault = yield* Effect.flip(from.request("nobody.there", bytes("?"), { deadline: "10 minutes" }))
        assert.strictEqual(fault._tag, "NoResponders")
        assert.include(fault.message, "nobody.there")
      })
    )

    on("gives a request up at its deadline", (from, to) =>
      Effect.gen(function* () {
        const heard = yield* hear(to, "silent")
        yield* reach(from, to)
        const fault = yield* Effect.flip(from.request("silent", bytes("?"), { deadline: "50 millis" }))
        assert.strictEqual(fault._tag, "RequestTimeout")
        // It had arrived, and a late answer harms no one.
        const late = yield* Queue.take(heard)
        yield* late.respond(bytes("too late"))
        yield* echo(to, "after")
        yield* from.flush
        yield* reach(from, to)
        const answer = yield* from
          .request("after", bytes("well"), { deadline: "10 seconds" })
          .pipe(Effect.retry({ while: ({ _tag }) => _tag === "NoResponders" }))
        assert.strictEqual(text(answer.data), "well")
      })
    )

    on("leaves a subject alone that keeps failing, and no other", (from, to) =>
      Effect.gen(function* () {
        yield* hear(to, "dead")
        yield* echo(to, "alive")
        yield* reach(from, to)
        const faults = yield* Effect.forEach(Array.from({ length: 12 }), () =>
          Effect.flip(from.request("dead", bytes("?"), { deadline: "20 millis" }))
        )
        assert.deepStrictEqual(
          faults.map(({ _tag }) => _tag),
          [...Array.from({ length: 10 }, () => "RequestTimeout"), "CircuitOpen", "CircuitOpen"]
        )
        yield* from.request("alive", bytes("?"), { deadline: "10 seconds" })
      })
    )

    on("refuses what is too large, and what is no subject or header, before it is sent", (from) =>
      Effect.gen(function* () {
        const tooLarge = yield* Effect.flip(from.publish("large", new Uint8Array(2 * 1024 * 1024)))
        assert.strictEqual(tooLarge._tag, "PayloadTooLarge")
        const byHeaders = yield* Effect.flip(
          from.publish("large", new Uint8Array(1024 * 1024), { headers: { one: "more" } })
        )
        assert.strictEqual(byHeaders._tag, "PayloadTooLarge")
        const asked = yield* Effect.flip(
          from.request("large", new Uint8Array(2 * 1024 * 1024), { deadline: "10 seconds" })
        )
        assert.strictEqual(asked._tag, "PayloadTooLarge")
        yield* from.publish("large", new Uint8Array(1024 * 1024))
        const wrong = [
          "",
          ".",
          "a.",
          ".a",
          "a..b",
          "a b",
          "a\r\nPUB b 0",
          "a\tb",
          "a.*",
          "a.>",
          "\u0000",
          "a".repeat(MAX_SUBJECT + 1)
        ]
        for (const subject of wrong) {
          assert.strictEqual((yield* Effect.flip(from.publish(subject, bytes(""))))._tag, "MessageInvalid", subject)
          assert.strictEqual(
            (yield* Effect.flip(from.publish("fine", bytes(""), { reply: subject })))._tag,
            "MessageInvalid"
          )
        }
        for (const subject of ["a.>.b", "a b", ""]) {
          const fault = yield* Effect.flip(Effect.scoped(from.subscribe(subject)))
          assert.strictEqual(fault._tag, "MessageInvalid")
        }
        for (const headers of [{ "a b": "c" }, { "a:b": "c" }, { a: "b\r\nc: d" }, { "": "x" }]) {
          assert.strictEqual((yield* Effect.flip(from.publish("fine", bytes(""), { headers })))._tag, "MessageInvalid")
        }
      })
    )

    on("bounds one who is slow, tells of it, and lets the others hear everything", (from, to) =>
      Effect.gen(function* () {
        const told = yield* to.status
        const statuses = yield* Queue.unbounded<string>()
        yield* Effect.forkScoped(
          Stream.runForEach(told, (status) =>
            Queue.offer(
              statuses,
              status.type === "slow"
                ? `slow ${status.fault.dropped}`
                : status.type === "caught_up"
                  ? `caught up ${status.dropped}`
                  : status.type
            )
          )
        )
        const gate = yield* Deferred.make<void>()
        const slow = yield* to.subscribe("much", { capacity: { messages: 300 } })
        const quick = yield* hear(to, "much")
        const end = yield* hear(to, "the.end")
        yield* reach(from, to)
        const got: Array<string> = []
        const begun = yield* Deferred.make<void>()
        yield* Effect.forkScoped(
          Stream.runForEach(slow, ({ data }) =>
            Deferred.succeed(begun, undefined).pipe(
              Effect.andThen(Deferred.await(gate)),
              Effect.andThen(Effect.sync(() => got.push(text(data))))
            )
          )
        )
        // One is in the reader's hands.
        yield* from.publish("much", bytes("0"))
        yield* Deferred.await(begun)
        yield* Queue.take(quick)
        const count = 1000
        for (let n = 1; n <= count; n++) yield* from.publish("much", bytes(`${n}`))
        yield* from.publish("the.end", bytes(""))
        yield* Queue.takeN(quick, count)
        yield* Queue.take(end)
        assert.strictEqual(yield* Queue.take(statuses), "slow 1")
        const dropped = (yield* to.snapshot).control.dropped
        assert.strictEqual(dropped, count - 300)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(yield* Queue.take(statuses), `caught up ${dropped}`)
        yield* from.publish("much", bytes("again"))
        yield* Effect.gen(function* () {
          while (got.at(-1) !== "again") yield* Effect.sleep("1 millis")
        })
        // What was kept is the oldest, without a hole.
        assert.deepStrictEqual(
          got.slice(0, -1),
          Array.from({ length: count + 1 - dropped }, (_, n) => `${n}`)
        )
      })
    )

    on("ends one who is slow, where that was asked for", (from, to) =>
      Effect.gen(function* () {
        const stream = yield* to.subscribe("strict", { capacity: { messages: 10 }, overflow: "fail" })
        const all = yield* hear(to, "strict")
        yield* reach(from, to)
        for (let n = 0; n < 20; n++) yield* from.publish("strict", bytes(`${n}`))
        yield* Queue.takeN(all, 20)
        const got: Array<string> = []
        const fault = yield* Effect.flip(
          Stream.runForEach(stream, ({ data }) => Effect.sync(() => got.push(text(data))))
        )
        assert.strictEqual(fault._tag, "SlowConsumer")
        assert.deepStrictEqual(
          got,
          Array.from({ length: 10 }, (_, n) => `${n}`)
        )
      })
    )

    on("outlives a reader that fails, dies or goes away", (from, to) =>
      Effect.gen(function* () {
        const bad = yield* to.subscribe("mixed")
        const dying = yield* to.subscribe("mixed")
        const good = yield* hear(to, "mixed")
        yield* reach(from, to)
        const failed = yield* Effect.forkChild(Stream.runForEach(bad, () => Effect.fail("refused")))
        const died = yield* Effect.forkChild(
          Stream.runForEach(dying, () =>
            Effect.sync(() => {
              throw new Error("boom")
            })
          )
        )
        const scope = yield* Scope.make()
        yield* Scope.provide(to.subscribe("mixed"), scope)
        for (let n = 0; n < 3; n++) yield* from.publish("mixed", bytes(`${n}`))
        yield* Queue.takeN(good, 3)
        assert.isTrue(Exit.isFailure(yield* Fiber.await(failed)))
        assert.isTrue(Exit.isFailure(yield* Fiber.await(died)))
        yield* Scope.close(scope, Exit.void)
        yield* from.publish("mixed", bytes("still"))
        assert.strictEqual(text((yield* Queue.take(good)).data), "still")
      })
    )

    on("hears no more when the Scope of a subscription has closed", (from, to) =>
      Effect.gen(function* () {
        yield* reach(from, to)
        const scope = yield* Scope.make()
        yield* Scope.provide(to.subscribe("gone"), scope)
        yield* Scope.close(scope, Exit.void)
        yield* to.flush
        const ask = from.request("gone", bytes("?"), { deadline: "100 millis" })
        const fault = yield* Effect.flip(Effect.retry(ask, { while: ({ _tag }) => _tag === "RequestTimeout" }))
        assert.strictEqual(fault._tag, "NoResponders")
      })
    )

    on("drains: what has arrived is read and answered, nothing new is taken", (from, to) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const stream = yield* to.subscribe("last.*")
        const answers = yield* hear(from, "answers")
        yield* reach(from, to)
        yield* reach(to, from)
        const seen = yield* hear(to, "last.*")
        const reader = yield* Effect.forkChild(
          Stream.runForEach(stream, ({ data }) =>
            Effect.andThen(Deferred.await(gate), Effect.orDie(to.publish("answers", data)))
          )
        )
        for (let n = 0; n < 50; n++) yield* from.publish(`last.${n}`, bytes(`${n}`))
        yield* Queue.takeN(seen, 50)
        const drain = yield* Effect.forkChild(to.drain)
        yield* Effect.gen(function* () {
          while (Exit.isSuccess(yield* Effect.exit(Effect.scoped(to.subscribe("no.more"))))) yield* Effect.yieldNow
        })
        const refused = yield* Effect.flip(to.request("x", bytes(""), { deadline: "10 seconds" }))
        assert.strictEqual(refused._tag, "TransportClosed")
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(drain)
        yield* Fiber.join(reader)
        const got = yield* Queue.takeN(answers, 50)
        assert.deepStrictEqual(
          got.map(({ data }) => text(data)),
          Array.from({ length: 50 }, (_, n) => `${n}`)
        )
      })
    )

    on("brings a burst of 100,000", (from, to) =>
      Effect.gen(function* () {
        const count = 100_000
        let heard = 0
        let disorder = 0
        const stream = yield* to.subscribe("burst", { lane: "bulk", capacity: { messages: count } })
        const all = yield* Deferred.make<void>()
        yield* Effect.forkScoped(
          Stream.runForEachArray(stream, (packets) =>
            Effect.suspend(() => {
              for (const { data } of packets)
                if (new DataView(data.buffer, data.byteOffset).getUint32(0) !== heard++) disorder++
              return heard === count ? Deferred.succeed(all, undefined) : Effect.void
            })
          )
        )
        yield* reach(from, to)
        for (let n = 0; n < count; n++) {
          const data = new Uint8Array(64)
          new DataView(data.buffer).setUint32(0, n)
          yield* from.publish("burst", data, { lane: "bulk" })
        }
        yield* Deferred.await(all)
        assert.strictEqual(disorder, 0)
        assert.strictEqual((yield* to.snapshot).bulk.dropped, 0)
      })
    )

    on("tells where it stands", (from) =>
      Effect.gen(function* () {
        yield* from.publish("counted", bytes("1"))
        yield* from.publish("counted", bytes("2"), { lane: "bulk" })
        const { bulk, control } = yield* from.snapshot
        assert.deepStrictEqual([control.state, bulk.state], ["up", "up"])
        assert.deepStrictEqual([control.published, bulk.published], [1, 1])
        assert.strictEqual(control.maxPayload, 1024 * 1024)
      })
    )
  })
}
