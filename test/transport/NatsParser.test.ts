/** That what arrives is read as the client reads it, wherever the bytes are cut. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Parser, type ParserEvent } from "nats/lib/nats-base-client/internal_mod.js"
import * as NatsParser from "../../src/transport/NatsParser.ts"

const text = (bytes: Uint8Array | undefined) =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString("latin1")

/** What a parser makes of it; the words of the error where it does not go on. */
const read = (stream: string, cuts: ReadonlyArray<number>, ours: boolean) => {
  const events: Array<unknown> = []
  const push = ({ data, kind, msg }: ParserEvent) =>
    events.push({
      kind,
      data: text(data),
      msg: msg && { subject: text(msg.subject), reply: text(msg.reply), sid: msg.sid, hdr: msg.hdr, size: msg.size }
    })
  const parser = new Parser({ push } as never)
  if (ours) NatsParser.hasten(parser)
  const bytes = Buffer.from(stream, "latin1")
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((one, other) => one - other)
  try {
    let from = 0
    for (const end of ends) {
      parser.parse(Uint8Array.from(bytes.subarray(from, end)))
      from = end
    }
  } catch (error) {
    events.push(String(error))
  }
  return events
}

const data = fc.constantFrom("", "x", "MSG a 1 3\r\n", "y".repeat(120))
const word = fc.constantFrom("a", "a.b", "_INBOX.1.2", "\u00e9")
const number = fc.constantFrom("1", "0", "12", "4096")
const message = fc
  .tuple(word, number, fc.option(word, { nil: undefined }), data)
  .map(([subject, sid, reply, data]) =>
    ["MSG", subject, sid, ...(reply === undefined ? [] : [reply]), `${data.length}\r\n${data}\r\n`].join(" ")
  )
const HEAD = "NATS/1.0\r\nA: b\r\n\r\n"
const withHeaders = fc
  .tuple(word, number, data)
  .map(
    ([subject, sid, data]) => `HMSG ${subject} ${sid} ${HEAD.length} ${HEAD.length + data.length}\r\n${HEAD}${data}\r\n`
  )
const other = fc.constantFrom("PING\r\n", "+OK\r\n", "-ERR 'no'\r\n", "MSG\ta  1\t2\r\nab\r\n")
/** As no server writes it. */
const wrong = fc
  .array(fc.constantFrom("a", "1", " ", "  ", "-", "99", "1x", "\t"), { maxLength: 8 })
  .map((words) => `MSG ${words.join("")}\r\nab\r\n`)
const cuts = fc.array(fc.nat(), { maxLength: 5 })

describe("the parser of a connection", () => {
  it("reads what servers write as the client does", () => {
    const stream = fc.array(fc.oneof(message, withHeaders, other)).map((all) => all.join(""))
    fc.assert(fc.property(stream, cuts, (all, at) => assert.deepStrictEqual(read(all, at, true), read(all, at, false))))
  })

  it("leaves what it does not know to the client, its errors too", () => {
    fc.assert(
      fc.property(wrong, cuts, (line, at) => assert.deepStrictEqual(read(line, at, true), read(line, at, false))),
      { numRuns: 1000 }
    )
  })
})
