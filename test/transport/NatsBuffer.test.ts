/** That what leaves by our buffer is, byte for byte, what would leave by the client's. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { ProtocolHandler } from "nats/lib/nats-base-client/internal_mod.js"
import { NatsBuffer } from "../../src/transport/NatsBuffer.ts"

const handler = () => new ProtocolHandler({ servers: ["127.0.0.1:4222"] }, { publish: () => {} } as never)

const subject = fc.constantFrom("a", "tasks.one.queue", "früh.é.日本", "x".repeat(1024))
const published = fc.record({
  subject,
  reply: fc.option(fc.constantFrom("_INBOX.1", "_INBOX.ä"), { nil: undefined }),
  // Around the sizes at which a digit is added, and more than is got at once.
  size: fc.constantFrom(0, 1, 9, 10, 99, 100, 999, 1000, 40_000, 99_999, 100_000)
})
const sent = fc.constant({ leaves: true })
const command = fc.record({ command: fc.constantFrom("PING\r\n", "UNSUB 1\r\n") })

describe("the buffer of a connection", () => {
  it("holds what the client's would hold, in the same order", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(published, command, sent)), fc.nat(), (all, early) => {
        const [theirs, ours] = [handler(), handler()]
        let buffer: NatsBuffer | undefined
        const left: Array<readonly [Uint8Array, Uint8Array]> = []
        for (const [index, each] of all.entries()) {
          // What the client has put there before is kept.
          if (index === early % all.length) buffer = NatsBuffer.of(ours)
          if ("command" in each) {
            theirs.sendCommand(each.command)
            ours.sendCommand(each.command)
            continue
          }
          if ("leaves" in each) {
            left.push([ours.outbound.drain(), theirs.outbound.drain()])
            continue
          }
          const data = new Uint8Array(each.size).fill(index)
          const options = () => (each.reply === undefined ? {} : { reply: each.reply })
          theirs.publish(each.subject, data.slice(), options())
          if (buffer === undefined) ours.publish(each.subject, data.slice(), options())
          else {
            buffer.publish(each.subject, data, each.reply)
            // It was copied.
            data.fill(255)
          }
        }
        assert.strictEqual(ours.outbound.size(), theirs.outbound.size())
        left.push([ours.outbound.drain(), theirs.outbound.drain()])
        // Only now: what has left is not written over by what comes after it.
        for (const [our, their] of left) assert.isTrue(Buffer.from(our).equals(their))
        assert.deepStrictEqual([ours.outMsgs, ours.outBytes], [theirs.outMsgs, theirs.outBytes])
        assert.strictEqual(ours.outbound.length(), 0)
      })
    )
  })

  it("has one for each connection, and leaves alone what it has handed out", () => {
    const ours = handler()
    const buffer = NatsBuffer.of(ours)
    assert.strictEqual(NatsBuffer.of(ours), buffer)
    buffer.publish("a", new Uint8Array([1]), undefined)
    const sent = buffer.drain()
    const before = [...sent]
    for (let n = 0; n < 100; n++) buffer.publish("b", new Uint8Array([2]), undefined)
    assert.deepStrictEqual([...sent], before)
    const some = buffer.drain(10)
    buffer.publish("c", new Uint8Array([3]), undefined)
    assert.strictEqual(new TextDecoder().decode(some), "PUB b 1\r\n\u0002")
    assert.isTrue(new TextDecoder().decode(buffer.drain()).endsWith("PUB c 1\r\n\u0003\r\n"))
  })
})
