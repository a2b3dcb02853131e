/** What arrives is handled and answered; what cannot be is kept with its reason; nothing ends a subscription. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Latch, Redacted, Result, Schema } from "effect"
import { layerWebCrypto } from "effect/crypto/SecureRandom"
import { TestClock } from "effect/testing"
import { createUser } from "nkeys.js"
import { type Fault, follow, type Recovery } from "../../src/domain/Fault.ts"
import { AgentId } from "../../src/domain/Ids.ts"
import * as Envelope from "../../src/message/Envelope.ts"
import { type DeadLetter, MAX_KEPT, type Message } from "../../src/message/Message.ts"
import { type Handler, make as makeRouter, type Options, on } from "../../src/message/MessageRouter.ts"
import { MIDDLEWARE_TIME } from "../../src/message/Middleware.ts"
import * as Signing from "../../src/message/Signing.ts"
import * as Subject from "../../src/message/Subject.ts"
import { Broken, type MemoryPort, make as makePort } from "./MemoryPort.ts"

const subjects = Result.getOrThrow(Subject.make())
const commands = "agents.a.commands"
const pause: Message<"AgentCommand"> = { type: "AgentCommand", body: { command: "pause" } }
const paused: Message<"CommandReply"> = { type: "CommandReply", body: { done: true, command: "pause" } }
const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value))
const written = (more: object = {}) => bytes({ version: 1, id: "m1", ...pause, ...more })

class Refused extends Schema.TaggedError<Refused, Fault>("test/Refused")("Refused", {}) {
  static {
    follow(this, { severity: "low", recovery: "ignore", hint: "ask another" })
  }
  override get message() {
    return "no"
  }
}
class Busy extends Schema.TaggedError<Busy, Fault>("test/Busy")("Busy", {}) {
  static {
    follow(this, { severity: "low", recovery: "retry" satisfies Recovery })
  }
}

const routerAt = (port: MemoryPort, handlers: ReadonlyArray<Handler>, options: Partial<Options> = {}) =>
  makeRouter(port, { source: "node:n", subjects, handlers, ...options }).pipe(Effect.provide(layerWebCrypto))

/** A peer that only asks. */
const peerAt = (port: MemoryPort, options: Partial<Options> = {}) =>
  routerAt(port, [], { source: "client:c", ...options })

const ask = { answer: "CommandReply", deadline: "1 minute" } as const

/** What stands on the dead-letter subjects, read as anyone would. */
const deadLetters = (port: MemoryPort): ReadonlyArray<DeadLetter & { readonly at: string }> =>
  port.sent
    .filter(({ subject }) => subject.startsWith("dead."))
    .map(({ data, subject }) => {
      const letter = Effect.runSync(Envelope.decode(data))
      if (letter.type !== "DeadLetter") throw new Error(letter.type)
      return { ...letter.body, at: subject }
    })

/** Until nothing more happens by itself: all that is here runs in this process and waits for the clock or for a gate. */
const settled = Effect.repeat(
  Effect.promise(() => new Promise<void>((next) => setImmediate(next))),
  { times: 20 }
)

describe("a router", () => {
  it.effect("answers who asked, and says what belongs together", () =>
    Effect.gen(function* () {
      const port = makePort()
      const router = yield* routerAt(port, [
        on("AgentCommand", ({ asked, envelope, subject }) =>
          Effect.sync(() => {
            assert.deepStrictEqual(
              [asked, subject, envelope.source, envelope.body],
              [true, commands, "client:c", pause.body]
            )
            return paused
          })
        )
      ])
      yield* router.listen(subjects.all.commands)
      const peer = yield* peerAt(port)
      const reply = yield* peer.request(commands, { ...pause, id: "q1", correlationId: "c1" }, ask)
      assert.deepInclude(reply, {
        type: "CommandReply",
        source: "node:n",
        target: "client:c",
        causationId: "q1",
        correlationId: "c1"
      })
      assert.deepInclude(reply.body, { done: true })
      assert.deepInclude(yield* router.counts, { received: 1, handled: 1, refused: 0 })
    })
  )

  it.effect("answers Done where a handler says nothing", () =>
    Effect.gen(function* () {
      const port = makePort()
      const router = yield* routerAt(port, [on("AgentCommand", () => Effect.void)])
      yield* router.listen(commands)
      const peer = yield* peerAt(port)
      assert.strictEqual((yield* peer.request(commands, pause, { ...ask, answer: "Done" })).type, "Done")
      assert.strictEqual((yield* Effect.flip(peer.request(commands, pause, ask)))._tag, "ReplyUnexpected")
    })
  )

  it.effect("goes on after a handler that fails, dies, throws, interrupts itself or hangs", () =>
    Effect.gen(function* () {
      const port = makePort()
      let handled = 0
      const bad: ReadonlyArray<Effect.Effect<void, Fault>> = [
        Effect.fail(new Refused()),
        Effect.die(new Error("boom")),
        Effect.suspend(() => {
          throw new Error("thrown")
        }),
        Effect.interrupt,
        Effect.never,
        Effect.void
      ]
      const router = yield* routerAt(port, [
        on("AgentCommand", () => bad[handled++] ?? Effect.void, { timeLimit: "1 second" })
      ])
      yield* router.listen(commands)
      for (const _ of bad) yield* port.deliver(commands, written())
      yield* settled
      yield* TestClock.adjust("1 second")
      assert.strictEqual(handled, bad.length)
      assert.deepInclude(yield* router.counts, { received: 6, handled: 1 })
      assert.deepStrictEqual((yield* router.counts).dead.failed, 5)
      assert.sameMembers(
        deadLetters(port).map(({ fault }) => fault.message.replace(/^.*failed with /, "")),
        [
          "Refused: no",
          "Defect: boom",
          "Defect: thrown",
          "Defect: it interrupted itself",
          "HandlerTimedOut: handling a AgentCommand took longer than 1000 ms and was broken off"
        ]
      )
      yield* port.deliver(commands, written())
      yield* settled
      assert.strictEqual((yield* router.counts).handled, 2)
    })
  )

  it.effect("tells who asked the fault with its policy, and makes no dead letter of it", () =>
    Effect.gen(function* () {
      const port = makePort()
      const router = yield* routerAt(port, [on("AgentCommand", () => Effect.fail(new Refused()))])
      yield* router.listen(commands)
      const fault = yield* Effect.flip((yield* peerAt(port)).request(commands, pause, ask))
      assert.deepInclude(fault, { _tag: "PeerFailed", severity: "low", recovery: "ignore", hint: "ask another" })
      assert.include(fault.message, "no")
      yield* settled
      assert.lengthOf(deadLetters(port), 0)
      assert.strictEqual((yield* router.counts).refused, 1)
    })
  )

  it.effect("tells who asked of a death without its stack, and keeps the message", () =>
    Effect.gen(function* () {
      const port = makePort()
      const router = yield* routerAt(port, [on("AgentCommand", () => Effect.die(new Error("boom")))])
      yield* router.listen(commands)
      const fault = yield* Effect.flip((yield* peerAt(port)).request(commands, pause, ask))
      assert.include(fault.message, "boom")
      assert.notMatch(JSON.stringify(fault), /\.ts:\d/)
      yield* settled
      assert.lengthOf(deadLetters(port), 1)
    })
  )

  it.effect("tries again as often as the handler says, with longer pauses, and only what may be cured by it", () =>
    Effect.gen(function* () {
      const port = makePort()
      let tries = 0
      let fails: Effect.Effect<void, Fault> = Effect.fail(new Busy())
      const router = yield* routerAt(port, [
        on(
          "AgentCommand",
          () =>
            Effect.andThen(
              Effect.sync(() => tries++),
              Effect.suspend(() => fails)
            ),
          { tries: 3 }
        )
      ])
      yield* router.listen(commands)
      yield* port.deliver(commands, written())
      yield* settled
      assert.strictEqual(tries, 1)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(tries, 2)
      yield* TestClock.adjust("199 millis")
      assert.strictEqual(tries, 2)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(tries, 3)
      assert.deepStrictEqual(
        deadLetters(port).map(({ reason }) => reason),
        ["failed"]
      )
      fails = Effect.fail(new Refused())
      yield* port.deliver(commands, written())
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(tries, 4)
    })
  )

  it.effect("handles as many at a time as it may, over all subscriptions", () =>
    Effect.gen(function* () {
      const port = makePort()
      let now = 0
      let most = 0
      const gate = yield* Latch.make()
      const router = yield* routerAt(
        port,
        [
          on("AgentCommand", () =>
            Effect.acquireUseRelease(
              Effect.sync(() => (most = Math.max(most, ++now))),
              () => gate.await,
              () => Effect.sync(() => now--)
            )
          )
        ],
        { concurrency: 3 }
      )
      yield* router.listen("agents.a.commands")
      yield* router.listen("agents.b.commands")
      for (let n = 0; n < 10; n++) yield* port.deliver(`agents.${n % 2 === 0 ? "a" : "b"}.commands`, written())
      yield* settled
      assert.strictEqual(now, 3)
      yield* gate.open
      yield* settled
      assert.deepStrictEqual([most, (yield* router.counts).handled], [3, 10])
    })
  )

  it.effect("keeps the order of a subscription that is ordered", () =>
    Effect.gen(function* () {
      const port = makePort()
      const order: Array<string> = []
      const router = yield* routerAt(port, [
        on("AgentMessage", ({ envelope }) =>
          Effect.gen(function* () {
            order.push(`begin ${envelope.body.text}`)
            yield* Effect.sleep(envelope.body.text === "1" ? "3 seconds" : "1 second")
            order.push(`end ${envelope.body.text}`)
          })
        )
      ])
      yield* router.listen("agents.a.inbox", { ordered: true })
      for (const text of ["1", "2"])
        yield* port.deliver("agents.a.inbox", bytes({ version: 1, id: text, type: "AgentMessage", body: { text } }))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(order, ["begin 1", "end 1", "begin 2", "end 2"])
    })
  )

  it.effect("says when whoever moves the bytes ends a subscription, after all is handled", () =>
    Effect.gen(function* () {
      const port = makePort()
      const router = yield* routerAt(port, [on("AgentCommand", () => Effect.sleep("1 second"))])
      const one = yield* router.listen(commands)
      yield* port.deliver(commands, written())
      yield* settled
      yield* port.end()
      const ended = yield* Effect.forkChild(one.ended)
      yield* settled
      assert.isUndefined(ended.pollUnsafe())
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(ended)
      assert.strictEqual((yield* router.counts).handled, 1)
    })
  )

  it.effect("says why whoever moves the bytes broke a subscription", () =>
    Effect.gen(function* () {
      const port = makePort()
      const router = yield* routerAt(port, [])
      const one = yield* router.listen(commands)
      yield* port.end(new Broken())
      assert.strictEqual((yield* Effect.flip(one.ended))._tag, "Broken")
    })
  )

  it.effect("sends no words of its own where JetStream expects an ack", () =>
    Effect.gen(function* () {
      const port = makePort()
      const router = yield* routerAt(port, [
        on("AgentCommand", ({ asked }) => Effect.sync(() => assert.isFalse(asked)))
      ])
      yield* router.listen(commands)
      yield* port.deliver(commands, written(), {}, "$JS.ACK.s.c.1.1.1.1.0")
      yield* settled
      assert.deepInclude(yield* router.counts, { handled: 1, unanswered: 0 })
    })
  )
})

describe("a dead letter", () => {
  const cases: ReadonlyArray<readonly [string, Uint8Array, Subject.DeadReason, string]> = [
    ["no JSON", bytes("{"), "unreadable", "MessageUnreadable"],
    ["no UTF-8", new Uint8Array([0xff, 0xfe]), "unreadable", "MessageUnreadable"],
    ["nothing", new Uint8Array(), "unreadable", "MessageUnreadable"],
    ["too large", new Uint8Array(MAX_KEPT + 1000).fill(65), "unreadable", "MessageTooLarge"],
    ["a newer version", written({ version: 9 }), "unknown", "MessageVersionUnknown"],
    ["an unknown type", written({ type: "AgentWish" }), "unknown", "MessageTypeUnknown"],
    ["a type that nobody handles here", written({ type: "Done", body: {} }), "unknown", "MessageUnhandled"],
    ["expired", written({ ttlMillis: 1, sentAt: 0 }), "expired", "MessageExpired"]
  ]
  for (const [name, data, reason, kind] of cases)
    it.effect(`is made of what is ${name}, with the bytes; who asked is told, and the next is handled`, () =>
      Effect.gen(function* () {
        yield* TestClock.adjust("1 hour")
        const port = makePort()
        const router = yield* routerAt(port, [on("AgentCommand", () => Effect.succeed(paused))], {
          maxMessage: MAX_KEPT
        })
        yield* router.listen(commands)
        const answer = yield* port.request(commands, data, { deadline: "1 second" })
        const refusal = yield* Envelope.decode(answer.data)
        assert.strictEqual(refusal.type === "Refusal" ? refusal.body.fault.kind : refusal.type, kind)
        yield* settled
        const [letter, ...more] = deadLetters(port)
        assert.lengthOf(more, 0)
        assert.deepInclude(letter, {
          reason,
          subject: commands,
          size: data.length,
          at: `dead.${reason}`,
          receivedAt: 3_600_000
        })
        assert.deepStrictEqual(new Uint8Array(Buffer.from(letter?.data ?? "", "base64")), data.slice(0, MAX_KEPT))
        assert.strictEqual(letter?.fault.kind, kind)
        const peer = yield* peerAt(port)
        assert.strictEqual((yield* peer.request(commands, pause, ask)).type, "CommandReply")
        assert.deepInclude((yield* router.counts).dead, { [reason]: 1 })
      })
    )

  it.effect("of a dead letter is not made", () =>
    Effect.gen(function* () {
      const port = makePort()
      const router = yield* routerAt(port, [on("DeadLetter", () => Effect.die("again"))])
      yield* router.listen(subjects.all.dead)
      yield* port.deliver("dead.failed", bytes("{"))
      yield* port.deliver(commands, bytes("{"))
      yield* settled
      assert.lengthOf(deadLetters(port), 0)
      assert.strictEqual((yield* router.counts).dead.unreadable, 1)
    })
  )

  it.effect("that cannot be published is counted, and ends nothing", () =>
    Effect.gen(function* () {
      const port = makePort()
      port.broken = /^dead/
      const router = yield* routerAt(port, [on("AgentCommand", () => Effect.void)])
      yield* router.listen(commands)
      yield* port.deliver(commands, bytes("{"))
      yield* port.deliver(commands, written())
      yield* settled
      assert.deepInclude(yield* router.counts, { deadLost: 1, handled: 1 })
    })
  )

  it.effect("is made where an earlier try had taken longer than the message matters", () =>
    Effect.gen(function* () {
      const port = makePort()
      let tries = 0
      const router = yield* routerAt(port, [
        on(
          "AgentCommand",
          () =>
            Effect.andThen(
              Effect.sync(() => tries++),
              Effect.fail(new Busy())
            ),
          { tries: 5 }
        )
      ])
      yield* router.listen(commands)
      yield* port.deliver(commands, written({ ttlMillis: 250 }))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(tries, 2)
      assert.deepStrictEqual(
        deadLetters(port).map(({ reason }) => reason),
        ["expired"]
      )
    })
  )
})

describe("an answer", () => {
  it.effect("that cannot be sent is counted", () =>
    Effect.gen(function* () {
      const port = makePort()
      port.broken = /^_INBOX/
      const router = yield* routerAt(port, [on("AgentCommand", () => Effect.succeed(paused))])
      yield* router.listen(commands)
      const peer = yield* peerAt(port)
      const asked = yield* Effect.forkChild(Effect.flip(peer.request(commands, pause, ask)))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(asked))._tag, "test/NoAnswer".slice(5))
      assert.deepInclude(yield* router.counts, { handled: 1, unanswered: 1 })
    })
  )

  it.effect("that is too large to send is answered with that", () =>
    Effect.gen(function* () {
      const port = makePort()
      const router = yield* routerAt(
        port,
        [on("AgentCommand", () => Effect.succeed({ type: "AgentMessage", body: { text: "x".repeat(2000) } }))],
        { maxMessage: 1500 }
      )
      yield* router.listen(commands)
      const fault = yield* Effect.flip(
        (yield* peerAt(port)).request(commands, pause, { ...ask, answer: "AgentMessage" })
      )
      assert.include(fault.message, "MessageTooLarge")
    })
  )

  it.effect("that belongs to another question does not count", () =>
    Effect.gen(function* () {
      const port = makePort()
      const router = yield* routerAt(port, [on("AgentCommand", () => Effect.succeed(paused))])
      yield* router.listen(commands)
      const peer = yield* peerAt(port)
      const answers: Array<Uint8Array> = []
      port.tamper = (answer) => {
        answers.push(answer.data)
        return { ...answer, data: answers[0] ?? answer.data }
      }
      yield* peer.request(commands, pause, ask)
      assert.strictEqual((yield* Effect.flip(peer.request(commands, pause, ask)))._tag, "ReplyUnexpected")
    })
  )
})

describe("middleware", () => {
  const tracing = (
    name: string,
    log: Array<string>,
    fails: { readonly before?: Effect.Effect<void, Fault>; readonly after?: Effect.Effect<void> } = {}
  ) => ({
    name,
    before: () =>
      Effect.andThen(
        Effect.sync(() => log.push(`before ${name}`)),
        fails.before ?? Effect.void
      ),
    after: (_: unknown, outcome: Exit.Exit<unknown, Fault>) =>
      Effect.andThen(
        Effect.sync(() =>
          log.push(
            `after ${name} ${Exit.isSuccess(outcome) ? "well" : Cause.hasInterruptsOnly(outcome.cause) ? "interrupted" : "badly"}`
          )
        ),
        fails.after ?? Effect.void
      )
  })

  it.effect("lies around the handler as an onion, once for all its tries", () =>
    Effect.gen(function* () {
      const port = makePort()
      const log: Array<string> = []
      const router = yield* routerAt(
        port,
        [
          on(
            "AgentCommand",
            () => Effect.suspend(() => (log.push("try") < 4 ? Effect.fail(new Busy()) : Effect.void)),
            { tries: 3 }
          )
        ],
        { middleware: [tracing("a", log), tracing("b", log)] }
      )
      yield* router.listen(commands)
      yield* port.deliver(commands, written())
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(log, ["before a", "before b", "try", "try", "after b well", "after a well"])
    })
  )

  it.effect("that fails before is the outcome: what lies within is not begun", () =>
    Effect.gen(function* () {
      for (const before of [Effect.fail(new Refused()), Effect.die("boom"), Effect.never] as const) {
        const port = makePort()
        const log: Array<string> = []
        const router = yield* routerAt(
          port,
          [on("AgentCommand", () => Effect.sync(() => void log.push("try")), { tries: 3 })],
          {
            middleware: [tracing("a", log), tracing("b", log, { before }), tracing("c", log)]
          }
        )
        yield* router.listen(commands)
        yield* port.deliver(commands, written())
        yield* settled
        yield* TestClock.adjust(MIDDLEWARE_TIME)
        assert.deepStrictEqual(log, ["before a", "before b", "after a badly"])
        assert.deepStrictEqual(
          deadLetters(port).map(({ reason }) => reason),
          ["failed"]
        )
      }
    })
  )

  it.effect("that fails after changes nothing, and is counted", () =>
    Effect.gen(function* () {
      for (const after of [Effect.die("boom"), Effect.never]) {
        const port = makePort()
        const log: Array<string> = []
        const router = yield* routerAt(port, [on("AgentCommand", () => Effect.succeed(paused))], {
          middleware: [tracing("a", log), tracing("b", log, { after })]
        })
        yield* router.listen(commands)
        const asked = yield* Effect.forkChild((yield* peerAt(port)).request(commands, pause, ask))
        yield* settled
        yield* TestClock.adjust(MIDDLEWARE_TIME)
        assert.strictEqual((yield* Fiber.join(asked)).type, "CommandReply")
        assert.deepStrictEqual(log, ["before a", "before b", "after b well", "after a well"])
        assert.deepInclude(yield* router.counts, { handled: 1, afterFailed: 1 })
      }
    })
  )

  it.effect("is told when the router ends in the middle", () =>
    Effect.gen(function* () {
      const port = makePort()
      const log: Array<string> = []
      const begun = yield* Deferred.make<void>()
      const router = yield* routerAt(
        port,
        [on("AgentCommand", () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))],
        {
          middleware: [tracing("a", log)]
        }
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* router.listen(commands)
          yield* port.deliver(commands, written())
          yield* Deferred.await(begun)
        })
      )
      assert.deepStrictEqual(log, ["before a", "after a interrupted"])
      assert.lengthOf(deadLetters(port), 0)
    })
  )
})

describe("signatures", () => {
  const keys = Effect.sync(() => createUser())
  const sign = (pair: { getSeed(): Uint8Array }) =>
    Signing.signer(Redacted.make(new TextDecoder().decode(pair.getSeed())))
  const trusting = (...pairs: ReadonlyArray<{ getPublicKey(): string }>) =>
    Signing.verifier({ trusted: pairs.map((pair) => pair.getPublicKey()) })

  const fleet = (required: boolean) =>
    Effect.gen(function* () {
      const port = makePort()
      const [node, client, stranger] = [yield* keys, yield* keys, yield* keys]
      const seen: Array<string | undefined> = []
      const router = yield* routerAt(
        port,
        [
          on("AgentCommand", ({ signedBy }) =>
            Effect.as(
              Effect.sync(() => seen.push(signedBy)),
              paused
            )
          )
        ],
        { signer: yield* sign(node), verify: { verifier: yield* trusting(client), required } }
      )
      yield* router.listen(subjects.all.commands)
      const peer = yield* peerAt(port, {
        signer: yield* sign(client),
        verify: { verifier: yield* trusting(node), required: true }
      })
      return { port, router, peer, seen, node, client, stranger: yield* sign(stranger) }
    }).pipe(Effect.provide(layerWebCrypto))

  it.effect("prove both sides to each other", () =>
    Effect.gen(function* () {
      const { client, peer, seen } = yield* fleet(true)
      assert.deepInclude((yield* peer.request(commands, pause, ask)).body, { done: true })
      assert.deepStrictEqual(seen, [client.getPublicKey()])
    })
  )

  it.effect("that are required and missing, forged, of a stranger or repeated are refused and kept", () =>
    Effect.gen(function* () {
      const { peer, port, router, seen, stranger } = yield* fleet(true)
      yield* peer.publish(commands, pause)
      const [first] = port.sent
      if (first === undefined) return assert.fail("nothing was sent")
      yield* settled
      // The same once more; the same to another agent; other bytes; a stranger; no signature.
      yield* port.publish(first.subject, first.data, { headers: first.headers })
      yield* port.publish("agents.b.commands", first.data, { headers: first.headers })
      yield* port.publish(commands, written({ body: { command: "stop" } }), { headers: first.headers })
      const data = written()
      yield* port.publish(commands, data, { headers: { [Signing.HEADER]: yield* stranger.sign(commands, data) } })
      yield* port.publish(commands, data)
      while (
        (yield* router.counts).received < 6 ||
        Object.values((yield* router.counts).dead).reduce((a, b) => a + b) < 5
      )
        yield* Effect.promise(() => new Promise((next) => setImmediate(next)))
      assert.lengthOf(seen, 1)
      assert.deepInclude((yield* router.counts).dead, { replayed: 1, unsigned: 4 })
    })
  )

  it.effect("of an answer count for its question only", () =>
    Effect.gen(function* () {
      const { peer, port } = yield* fleet(true)
      const answers: Array<{
        readonly subject: string
        readonly data: Uint8Array
        readonly headers: Record<string, string>
      }> = []
      port.tamper = (answer) => {
        answers.push({ ...answer, headers: { ...answer.headers } })
        return answers[0] ?? answer
      }
      yield* peer.request(commands, pause, ask)
      assert.deepInclude({ ...(yield* Effect.flip(peer.request(commands, pause, ask))) } as object, {
        _tag: "SignatureInvalid",
        why: "mismatch"
      })
      port.tamper = (answer) => ({ ...answer, headers: {} })
      assert.strictEqual((yield* Effect.flip(peer.request(commands, pause, ask)))._tag, "SignatureMissing")
    })
  )

  it.effect("are not given to one who is not believed, whose question may be another's", () =>
    Effect.gen(function* () {
      const { peer, port } = yield* fleet(true)
      for (const data of [written({ id: "of-another" }), new Uint8Array(Envelope.MAX_MESSAGE + 1)]) {
        const answer = yield* port.request(commands, data, { deadline: "1 minute" })
        assert.strictEqual((yield* Envelope.decode(answer.data)).type, "Refusal")
        assert.notProperty(answer.headers, Signing.HEADER)
      }
      // One who is believed has it on a refusal too.
      const fault = yield* Effect.flip(peer.request(commands, { type: "Done", body: {} }, ask))
      assert.strictEqual(fault._tag, "PeerFailed")
    })
  )

  it.effect("that are not required are checked all the same where they are there", () =>
    Effect.gen(function* () {
      const { peer, port, router, seen, stranger } = yield* fleet(false)
      const data = written()
      const plain = yield* port.request(commands, data, { deadline: "1 minute" })
      assert.strictEqual((yield* Envelope.decode(plain.data)).type, "CommandReply")
      const strange = yield* port.request(commands, data, {
        deadline: "1 minute",
        headers: { [Signing.HEADER]: yield* stranger.sign(commands, data) }
      })
      assert.strictEqual((yield* Envelope.decode(strange.data)).type, "Refusal")
      yield* peer.request(commands, pause, ask)
      assert.strictEqual(seen[0], undefined)
      assert.lengthOf(seen, 2)
      assert.strictEqual((yield* router.counts).dead.unsigned, 1)
    })
  )
})

describe("the trace", () => {
  it.effect("goes on from who sends to who handles", () =>
    Effect.gen(function* () {
      const port = makePort()
      const traces: Array<string> = []
      const router = yield* routerAt(port, [
        on("AgentCommand", () => Effect.map(Effect.orDie(Effect.currentSpan), (span) => void traces.push(span.traceId)))
      ])
      yield* router.listen(commands)
      const peer = yield* peerAt(port)
      const sent = yield* Effect.map(
        Effect.andThen(peer.publish(commands, pause), Effect.orDie(Effect.currentSpan)),
        (span) => span.traceId
      ).pipe(Effect.withSpan("sender"))
      yield* settled
      assert.deepStrictEqual(traces, [sent])
    })
  )
})

describe("a status", () => {
  it.effect("is heard by all who listen, and by one of a group", () =>
    Effect.gen(function* () {
      const port = makePort()
      const heard: Array<string> = []
      const listener = (name: string) =>
        routerAt(port, [on("AgentStatus", () => Effect.sync(() => void heard.push(name)))])
      yield* (yield* listener("all")).listen(subjects.all.status)
      yield* (yield* listener("g1")).listen(subjects.all.status, { queue: "g" })
      yield* (yield* listener("g2")).listen(subjects.all.status, { queue: "g" })
      const node = yield* peerAt(port)
      yield* node.publish("agents.a.status", {
        type: "AgentStatus",
        body: { agent: AgentId.make("a"), node: "n", state: "idle", since: 1, taskTypes: [], capabilities: [] }
      })
      yield* settled
      assert.deepStrictEqual(heard.length, 2)
      assert.include(heard, "all")
    })
  )
})
