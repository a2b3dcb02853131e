/** What is written is read again; what is not such a message is a typed error; nothing throws. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import * as fc from "fast-check"
import * as Envelope from "../../src/message/Envelope.ts"
import { MESSAGE_TYPES } from "../../src/message/Message.ts"

const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value))
const read = (value: unknown, limit?: number) => Effect.runSync(Effect.exit(Envelope.decode(bytes(value), limit)))
const fault = (value: unknown, limit?: number) => Effect.runSync(Effect.flip(Envelope.decode(bytes(value), limit)))

const least = { version: 1, id: "m1", type: "AgentCommand", body: { command: "pause" } }

describe("an envelope", () => {
  it("needs no more than version, id, type and body", () => {
    const exit = read(least)
    assert.isTrue(Exit.isSuccess(exit))
    if (Exit.isSuccess(exit)) assert.deepStrictEqual(exit.value, least as never)
  })

  for (const type of MESSAGE_TYPES)
    it.prop(`of a ${type} is read again as it was written`, [Envelope.of(type)], ([arbitrary]) => {
      const envelope = arbitrary as Envelope.Envelope
      const written = Effect.runSync(Envelope.encode(envelope))
      const again = Effect.runSync(Envelope.decode(written))
      assert.deepStrictEqual(Effect.runSync(Envelope.encode(again)), written)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(again)), JSON.parse(JSON.stringify(envelope)))
    })

  it("never throws, whatever bytes come", () => {
    const total = (data: Uint8Array) => {
      const exit = Effect.runSync(Effect.exit(Envelope.decode(data)))
      if (Exit.isFailure(exit))
        assert.match(
          Effect.runSync(Effect.flip(Effect.suspend(() => exit)))._tag,
          /^Message(TooLarge|Unreadable|VersionUnknown|TypeUnknown)$/
        )
      Envelope.peek(data)
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), total))
    fc.assert(fc.property(fc.json({ maxDepth: 4 }), (json) => total(bytes(json))))
    fc.assert(
      fc.property(
        fc.constantFrom(...MESSAGE_TYPES),
        fc.jsonValue(),
        fc.dictionary(
          fc.constantFrom("id", "ttlMillis", "sentAt", "source", "priority", "traceparent"),
          fc.jsonValue()
        ),
        (type, body, more) => total(bytes({ version: 1, id: "m", type, body, ...more }))
      )
    )
    for (const type of MESSAGE_TYPES) {
      for (const body of ["__proto__", null, [], 0, { __proto__: null }]) total(bytes({ ...least, type, body }))
      total(bytes(`{"version":1,"id":"m","type":"${type}","body":{"__proto__":{"command":"pause"}}}`))
    }
    for (const type of ["__proto__", "constructor", "toString"])
      assert.strictEqual(fault({ ...least, type })._tag, "MessageTypeUnknown")
  })

  it("may be nested as deep as its size allows", () => {
    const deep = "[".repeat(300_000)
    assert.strictEqual(fault(deep)._tag, "MessageUnreadable")
    const event = `{"version":1,"id":"m","type":"Event","body":{"type":"x","seq":1,"at":1,"more":${deep}${"]".repeat(300_000)}}}`
    const exit = read(event)
    if (Exit.isFailure(exit)) assert.strictEqual(fault(event)._tag, "MessageUnreadable")
  })

  it("is looked at for its size before anything else", () => {
    assert.deepInclude(fault("x".repeat(101), 100), { _tag: "MessageTooLarge", size: 101, limit: 100 })
    assert.strictEqual(fault("x".repeat(100), 100)._tag, "MessageUnreadable")
    const large = Effect.runSync(
      Effect.flip(Envelope.encode({ ...least, type: "AgentMessage", body: { text: "x".repeat(100) } } as never, 100))
    )
    assert.strictEqual(large._tag, "MessageTooLarge")
  })

  it("of a newer version is refused as that, whatever else it says", () => {
    assert.deepInclude(fault({ version: 2, type: "Later", body: 1 }), {
      _tag: "MessageVersionUnknown",
      version: 2,
      known: 1
    })
    for (const version of [0, -1, 1.5, "1", null])
      assert.strictEqual(fault({ ...least, version })._tag, "MessageUnreadable", String(version))
  })

  it("of an unknown type is refused as that", () => {
    assert.deepInclude(fault({ ...least, type: "AgentWish" }), { _tag: "MessageTypeUnknown", type: "AgentWish" })
  })

  it("passes over keys that it does not know", () => {
    const exit = read({ ...least, later: { a: 1 }, body: { command: "pause", later: true } })
    assert.isTrue(Exit.isSuccess(exit))
    if (Exit.isSuccess(exit)) assert.deepStrictEqual(exit.value, least as never)
  })

  it("keeps those of a task and of an event, which are for whoever accepts or shows them", () => {
    const task = { type: "code", prompt: "p", priority: 3, later: { deep: [1] } }
    const exit = read({ ...least, type: "TaskAssignment", body: task })
    assert.isTrue(Exit.isSuccess(exit))
    if (Exit.isSuccess(exit)) assert.deepStrictEqual(exit.value.body, task as never)
  })

  it("says where it is wrong", () => {
    const wrong = fault({ ...least, body: { command: "set_model", model: "" } })
    assert.strictEqual(wrong._tag, "MessageUnreadable")
    assert.include(wrong.message, "body.model")
    assert.include(fault({ ...least, priority: 11 }).message, "priority: expected a whole number from -10 to 10")
    assert.isAtMost(fault({ ...least, id: "x".repeat(100_000) }).message.length, 1100)
  })
})

describe("the time to live", () => {
  const times = { receivedAt: 1_000_000, now: 1_000_000, skew: 5000 }
  const sent = (sentAt: number | undefined) => ({ ttlMillis: 1000, ...(sentAt === undefined ? {} : { sentAt }) })

  it("allows the clocks to differ by the skew, and no more", () => {
    assert.isUndefined(Envelope.expired(sent(1_000_000 - 6000), times))
    assert.deepInclude(Envelope.expired(sent(1_000_000 - 6001), times), { since: "sent", ageMillis: 6001 })
  })

  it("takes what a clock ahead of ours has sent as sent now", () => {
    assert.isUndefined(Envelope.expired(sent(2_000_000), times))
  })

  it("goes on while a message waits here, by our clock alone", () => {
    assert.isUndefined(Envelope.expired(sent(2_000_000), { ...times, now: 1_001_000 }))
    assert.deepInclude(Envelope.expired(sent(2_000_000), { ...times, now: 1_001_001 }), { since: "received" })
    assert.deepInclude(Envelope.expired(sent(undefined), { ...times, now: 1_001_001 }), { since: "received" })
  })

  it("that is left out is without end", () => {
    assert.isUndefined(Envelope.expired({ sentAt: 0 }, { ...times, now: 9e12 }))
  })
})

describe("the trace", () => {
  const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
  it("is read as the W3C has it, and passed over where it is malformed", () => {
    const parent = Envelope.parentOf({ traceparent: `00-${trace}-00f067aa0ba902b7-01` })
    assert.deepInclude(parent, { traceId: trace, spanId: "00f067aa0ba902b7", sampled: true })
    assert.isFalse(Envelope.parentOf({ traceparent: `00-${trace}-00f067aa0ba902b7-00` })?.sampled)
    assert.isDefined(Envelope.parentOf({ traceparent: `01-${trace}-00f067aa0ba902b7-01-more` }))
    for (const traceparent of [
      "",
      "x",
      `ff-${trace}-00f067aa0ba902b7-01`,
      `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
      `00-${trace}-${"0".repeat(16)}-01`,
      `00-${trace}-00f067aa0ba902b7-01-more`,
      `00-${trace.toUpperCase()}-00f067aa0ba902b7-01`
    ])
      assert.isUndefined(Envelope.parentOf({ traceparent }), traceparent)
    assert.isTrue(Exit.isSuccess(read({ ...least, traceparent: "nonsense" })))
  })
})
