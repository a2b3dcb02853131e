import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { ClaudeDecoder, type ClaudeEvent, decodeLines } from "../../src/claude/ClaudeEvent.ts"
import * as Transcript from "./Transcript.ts"

const one = (value: unknown) => decodeLines([JSON.stringify(value)])
const assistant = (content: ReadonlyArray<unknown>) => ({
  type: "assistant",
  message: { id: "msg_1", model: "m", content, stop_reason: null, usage: { input_tokens: 1, output_tokens: 2 } },
  parent_tool_use_id: null,
  session_id: "s",
  uuid: "u"
})

const recorded = Transcript.files.flatMap((file) => Transcript.read(file).stdout)
const decodeAll = (chunks: ReadonlyArray<Uint8Array>, maxLine?: number) => {
  const decoder = maxLine === undefined ? new ClaudeDecoder() : new ClaudeDecoder({ maxLine })
  const events: Array<ClaudeEvent> = chunks.flatMap((chunk) => decoder.push(chunk))
  events.push(...decoder.end())
  return { events, unreadable: decoder.unreadable, passedOver: decoder.passedOver }
}

describe("decodeLines", () => {
  it("names the kind of an event and hands it on with all its fields", () => {
    const { events } = one({ ...assistant([{ type: "text", text: "hi" }]), something: "new" })
    assert.deepStrictEqual(events as ReadonlyArray<unknown>, [
      { ...assistant([{ type: "text", text: "hi" }]), something: "new", kind: "assistant" }
    ])
  })

  it("takes a content block of a kind it does not know, and tells it from those it knows", () => {
    const { broken, events } = one(
      assistant([
        { type: "text", text: "a" },
        { type: "hologram", data: [1] },
        { type: "text", text: "b" }
      ])
    )
    assert.deepStrictEqual(broken, [])
    const event = events[0]
    assert.strictEqual(event?.kind, "assistant")
    const texts =
      event?.kind === "assistant"
        ? event.message.content.map((block) => (block.type === "text" ? block.text : String(block.type)))
        : []
    assert.deepStrictEqual(texts, ["a", "hologram", "b"])
  })

  it("does not half-read a content block of a kind it knows", () => {
    const { broken, events } = one(assistant([{ type: "text", words: "no text" }]))
    assert.strictEqual(broken.length, 1)
    assert.strictEqual(broken[0]?.of, "assistant")
    assert.deepStrictEqual(
      events.map(({ kind }) => kind),
      ["misfit"]
    )
  })

  it("counts and passes over what a newer CLI prints", () => {
    const lines = [
      { type: "brand_new" },
      { type: "system", subtype: "brand_new" },
      { type: "stream_event", event: { type: "brand_new" } },
      { type: "stream_event" },
      { type: "system" },
      { type: "__proto__" },
      { type: "constructor" }
    ]
    const { broken, events, passedOver, unknown } = decodeLines(lines.map((line) => JSON.stringify(line)))
    assert.deepStrictEqual({ broken, events, passedOver }, { broken: [], events: [], passedOver: 0 })
    assert.deepStrictEqual(unknown, [
      "brand_new",
      "system/brand_new",
      "stream_event/brand_new",
      "stream_event/",
      "system/",
      "__proto__",
      "constructor"
    ])
  })

  it("passes over on purpose what is listed as of no use", () => {
    const { passedOver, unknown } = decodeLines([
      '{"type":"keep_alive"}',
      '{"type":"system","subtype":"informational"}'
    ])
    assert.deepStrictEqual({ passedOver, unknown }, { passedOver: 2, unknown: [] })
  })

  it("keeps the first 2 KiB of a line that is not JSON, or not an object with a type", () => {
    const long = `not json ${"é".repeat(4000)}`
    const { broken, events } = decodeLines([
      long,
      "null",
      "[]",
      "3",
      '"text"',
      '{"type":5}',
      '{"type":{"toString":1}}',
      "{}"
    ])
    assert.deepStrictEqual(events, [])
    assert.deepStrictEqual(
      broken.map(({ of, reason }) => [of, reason]),
      [[undefined, "not JSON"], ...Array.from({ length: 7 }, () => [undefined, "not an object with a type"])]
    )
    assert.isAtMost(new TextEncoder().encode(broken[0]?.head).length, 2048 + 2)
    assert.isTrue(long.startsWith((broken[0]?.head ?? "-").slice(0, -1)))
  })

  it("says where a known kind does not fit, and not what was found there", () => {
    const result = JSON.parse(Transcript.read("oneshot-json").stdout[0] as string)
    const { broken } = one({ ...result, usage: { input_tokens: "sk-secret", output_tokens: 1 } })
    assert.deepStrictEqual(
      broken.map(({ of, reason }) => ({ of, reason })),
      [{ of: "result", reason: "usage.input_tokens: Expected number" }]
    )
  })

  it("reports a broken result in its place, so that nobody waits for it", () => {
    const { events } = decodeLines([
      JSON.stringify(assistant([])),
      '{"type":"result","subtype":"success"}',
      JSON.stringify(assistant([]))
    ])
    assert.deepStrictEqual(
      events.map(({ kind }) => kind),
      ["assistant", "misfit", "assistant"]
    )
    assert.isTrue(events[1]?.kind === "misfit" && events[1].of === "result" && events[1].requestId === undefined)
  })

  it("names the request in a broken control request, so that it can be refused", () => {
    const { events } = one({ type: "control_request", request_id: "r-1", request: { subtype: "can_use_tool" } })
    assert.isTrue(events[0]?.kind === "misfit" && events[0].of === "control_request" && events[0].requestId === "r-1")
  })

  it("decodes a control request of a subtype it does not know, because it must be answered", () => {
    const { broken, events } = one({
      type: "control_request",
      request_id: "r-1",
      request: { subtype: "elicitation", x: 1 }
    })
    assert.deepStrictEqual(broken, [])
    const event = events[0]
    assert.strictEqual(event?.kind === "control_request" ? String(event.request.subtype) : "", "elicitation")
  })

  it("lets no line choose its own kind", () => {
    const { events } = one({ ...assistant([]), kind: "result" })
    assert.strictEqual(events[0]?.kind, "assistant")
  })

  it("passes over blank lines without a word", () => {
    assert.deepStrictEqual(decodeLines(["", " ", "\t"]), { events: [], unknown: [], passedOver: 0, broken: [] })
  })

  it("survives JSON that is nested without end", () => {
    const deep = "[".repeat(200_000) + "]".repeat(200_000)
    const lines = [
      deep,
      `{"type":"user","message":${deep}}`,
      `{"type":"assistant","message":{"id":"1","model":"m","content":${deep}}}`
    ]
    const { broken, events } = decodeLines(lines)
    assert.strictEqual(broken.length, 3)
    assert.isTrue(events.every(({ kind }) => kind === "misfit"))
  })
})

describe("ClaudeDecoder", () => {
  it("counts what it could not use and keeps the last 20 broken lines", () => {
    const decoder = new ClaudeDecoder({ maxLine: 100 })
    const lines = Array.from({ length: 30 }, (_, i) => `garbage ${i}`)
    decoder.push(
      Transcript.bytesOf([...lines, "x".repeat(200), '{"type":"new"}', '{"type":"new"}', '{"type":"newer"}'])
    )
    const { broken, kept, kinds, lines: last, overlong, unknown } = decoder.unreadable
    assert.deepStrictEqual(
      { broken, overlong, unknown, kinds },
      { broken: 30, overlong: 1, unknown: 3, kinds: { new: 2, newer: 1 } }
    )
    assert.deepStrictEqual(
      last.map(({ head }) => head),
      lines.slice(-20)
    )
    assert.deepStrictEqual(kept, [...lines.slice(-20), "x".repeat(100)])
  })

  it("counts at most 50 unknown kinds by name, and every one of them", () => {
    const decoder = new ClaudeDecoder()
    decoder.push(
      Transcript.bytesOf(Array.from({ length: 500 }, (_, i) => JSON.stringify({ type: `${i}-${"k".repeat(500)}` })))
    )
    const { kinds, unknown } = decoder.unreadable
    assert.strictEqual(unknown, 500)
    assert.strictEqual(Object.keys(kinds).length, 51)
    assert.strictEqual(kinds["(others)"], 450)
    assert.isTrue(Object.keys(kinds).every((name) => name.length <= 64))
  })

  it("takes a last line without a newline", () => {
    const decoder = new ClaudeDecoder()
    assert.deepStrictEqual(decoder.push(new TextEncoder().encode(JSON.stringify(assistant([])))), [])
    assert.deepStrictEqual(
      decoder.end().map(({ kind }) => kind),
      ["assistant"]
    )
  })

  it("gives the same events wherever the bytes of the recorded transcripts are cut", () => {
    const whole = new Map(
      Transcript.files.map((file) => [file, decodeAll([Transcript.bytesOf(Transcript.read(file).stdout)])])
    )
    fc.assert(
      fc.property(fc.constantFrom(...Transcript.files), fc.array(fc.nat(), { maxLength: 40 }), (file, places) => {
        const bytes = Transcript.bytesOf(Transcript.read(file).stdout)
        assert.deepStrictEqual(decodeAll(Transcript.cut(bytes, places)), whole.get(file))
      }),
      { numRuns: 200 }
    )
  })

  it("never throws and accounts for every line, whatever bytes come in whatever chunks", () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => new TextEncoder().encode(`${text}\n`)),
      fc.constantFrom(...recorded).map((line) => new TextEncoder().encode(`${line}\n`)),
      fc
        .constantFrom('{"type":"system"}', '{"type":"result"', "\n\n", "\r\n")
        .map((text) => new TextEncoder().encode(text))
    )
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 20 }), fc.array(fc.nat(), { maxLength: 10 }), (parts, places) => {
        const bytes = Uint8Array.from(parts.flatMap((part) => [...part]))
        const { events, passedOver, unreadable } = decodeAll(Transcript.cut(bytes, places), 2000)
        const misfits = events.filter(({ kind }) => kind === "misfit").length
        const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)
        const lines = text.split("\n").filter((line) => line.trim() !== "").length
        assert.strictEqual(
          events.length - misfits + passedOver + unreadable.unknown + unreadable.broken + unreadable.overlong,
          lines
        )
        assert.isAtMost(unreadable.kept.length, 40)
      }),
      { numRuns: 500 }
    )
  })

  it("never throws on a recorded line that was changed anywhere, and never half-reads it", () => {
    const anything = fc.oneof(fc.jsonValue(), fc.constantFrom(null, "", 0, [], {}, "text"))
    fc.assert(
      fc.property(
        fc.constantFrom(...recorded),
        fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
        anything,
        fc.boolean(),
        (line, path, value, remove) => {
          const mutated = JSON.stringify(mutate(JSON.parse(line), path, value, remove))
          const { broken, events, passedOver, unknown } = decodeLines([mutated])
          const read = events.filter(({ kind }) => kind !== "misfit")
          assert.strictEqual(read.length + broken.length + passedOver + unknown.length, 1)
          for (const event of read) useful(event)
          // The compiled check and the interpreted schema, which explains, must agree.
          for (const { reason } of broken) assert.notStrictEqual(reason, "does not fit")
        }
      ),
      { numRuns: 3000 }
    )
  })

  it("never throws on a recorded line of which bytes were flipped", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...recorded),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 }),
        (line, flips) => {
          const bytes = Transcript.bytesOf([line])
          for (const [at, byte] of flips) bytes[at % bytes.length] = byte
          for (const event of decodeAll([bytes]).events) useful(event)
        }
      ),
      { numRuns: 2000 }
    )
  })
})

/** Replaces or removes what is found by following the path, each step taken modulo the keys that are there. */
const mutate = (value: unknown, [step = 0, ...rest]: ReadonlyArray<number>, by: unknown, remove: boolean): unknown => {
  if (typeof value !== "object" || value === null) return by
  const entries = Object.entries(value)
  if (entries.length === 0) return by
  const chosen = step % entries.length
  const changed = entries.flatMap(([key, inner], i) => {
    if (i !== chosen) return [[key, inner] as const]
    if (rest.length > 0) return [[key, mutate(inner, rest, by, remove)] as const]
    return remove ? [] : [[key, by] as const]
  })
  return Array.isArray(value) ? changed.map(([, inner]) => inner) : Object.fromEntries(changed)
}

/** Uses the fields of an event as its type promises them. Throws where a line was half-read. */
const useful = (event: ClaudeEvent): void => {
  switch (event.kind) {
    case "assistant":
      for (const block of event.message.content) {
        if (block.type === "text") block.text.length
        else if (block.type === "tool_use") block.name.length + block.id.length
      }
      return
    case "result":
      event.subtype.length + event.session_id.length + event.usage.input_tokens.toFixed(0).length
      event.total_cost_usd.toFixed(2)
      for (const usage of Object.values(event.modelUsage)) usage.costUSD.toFixed(2)
      for (const denial of event.permission_denials ?? []) denial.tool_name.length
      return
    case "system/init":
      event.session_id.length + event.tools.join().length
      for (const server of event.mcp_servers) server.name.length + server.status.length
      return
    case "system/api_retry":
      event.attempt.toFixed(0).length + event.error.length
      return
    case "control_request":
      event.request_id.length + String(event.request.subtype).length
      return
    case "control_response":
      event.response.request_id.length
      return
    case "stream_event/content_block_delta":
      if (event.event.delta.type === "text_delta") event.event.delta.text.length
      return
    default:
      return
  }
}
