import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Lines } from "../../src/process/Lines.ts"

const encode = (text: string) => new TextEncoder().encode(text)

/** All of it, in these chunks. */
const read = (chunks: ReadonlyArray<Uint8Array>, maxLine?: number) => {
  const reader = maxLine === undefined ? new Lines() : new Lines({ maxLine })
  const lines = chunks.flatMap((chunk) => {
    const completed = reader.push(chunk)
    if (maxLine !== undefined) assert.isAtMost(reader.held, maxLine)
    return completed
  })
  lines.push(...reader.end())
  return { lines, overlong: reader.overlong, invalid: reader.invalid, kept: reader.kept }
}

const onePerByte = (bytes: Uint8Array) => Array.from(bytes, (byte) => Uint8Array.of(byte))

/** The same, slow and plain: byte for byte, one line at a time. */
const naive = (bytes: Uint8Array, maxLine: number) => {
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })
  const lines: Array<string> = []
  const kept: Array<string> = []
  let line: Array<number> = []
  const finish = () => {
    if (line.length > maxLine) kept.push(utf8.decode(Uint8Array.from(line.slice(0, Math.min(maxLine, 4096)))))
    else lines.push(utf8.decode(Uint8Array.from(line)).replace(/\r$/, ""))
    line = []
  }
  for (const byte of bytes) byte === 10 ? finish() : line.push(byte)
  if (line.length > 0) finish()
  return { lines, overlong: kept.length, kept: kept.slice(-20) }
}

/** Bytes that make trouble: line ends, parts of characters, a byte order mark, and anything. */
const troublesome = fc
  .array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.constantFrom("\n", "\r\n", "\r", "é", "🙂", "\uFFFD", "\uFEFF", "a", "ab", '{"a":1}').map(encode)
      },
      {
        weight: 2,
        arbitrary: fc
          .constantFrom([0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x99], [0xff], [0x80], [0xef, 0xbf])
          .map((part) => Uint8Array.from(part))
      },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }) }
    ),
    { maxLength: 60 }
  )
  .map((parts) => Uint8Array.from(parts.flatMap((part) => [...part])))

const places = fc.array(fc.nat(), { maxLength: 12 })
const cut = (bytes: Uint8Array, at: ReadonlyArray<number>) => {
  const borders = [0, ...at.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return borders.slice(1).map((end, i) => bytes.subarray(borders[i], end))
}

describe("Lines", () => {
  it("hands out a line when its newline has come, and the rest at the end", () => {
    const reader = new Lines()
    assert.deepStrictEqual(reader.push(encode("one\ntw")), ["one"])
    assert.deepStrictEqual(reader.push(encode("o")), [])
    assert.deepStrictEqual(reader.push(encode("\n\nthree")), ["two", ""])
    assert.deepStrictEqual(reader.end(), ["three"])
    assert.deepStrictEqual(reader.end(), [])
  })

  it("takes LF and CRLF for line ends, and a lone CR for data", () => {
    const bytes = encode("a\r\nb\rc\nd\r\r\n\r\ne\r")
    const lines = ["a", "b\rc", "d\r", "", "e"]
    assert.deepStrictEqual(read([bytes]).lines, lines)
    assert.deepStrictEqual(read(onePerByte(bytes)).lines, lines)
  })

  it("joins a character that is cut in two", () => {
    const bytes = encode("grüße 🙂\n日本\n")
    assert.deepStrictEqual(read(onePerByte(bytes)), { lines: ["grüße 🙂", "日本"], overlong: 0, invalid: 0, kept: [] })
  })

  it("replaces invalid UTF-8 and counts it, but not a replacement character that was written", () => {
    const bytes = Uint8Array.from([...encode("a\uFFFD"), 0xff, ...encode("b\n"), 0xe2, 0x82, ...encode("\nc\n")])
    const { invalid, lines } = read([bytes])
    assert.deepStrictEqual(lines, ["a\uFFFD\uFFFDb", "\uFFFD", "c"])
    assert.strictEqual(invalid, 2)
  })

  it("keeps a byte order mark wherever a chunk begins with one", () => {
    const bytes = encode("\uFEFFa\n\uFEFFb\n")
    assert.deepStrictEqual(read([bytes]).lines, ["\uFEFFa", "\uFEFFb"])
    assert.deepStrictEqual(read([bytes.subarray(0, 5), bytes.subarray(5)]).lines, ["\uFEFFa", "\uFEFFb"])
  })

  it("drops a line that is too long, keeps its beginning, and goes on at the next newline", () => {
    const long = `${"x".repeat(5000)}END`
    const bytes = encode(`a\n${long}\nb\n${long}`)
    for (const chunks of [[bytes], onePerByte(bytes), cut(bytes, [1, 2, 3, 700, 5005, 5006])]) {
      assert.deepStrictEqual(read(chunks, 4999), {
        lines: ["a", "b"],
        overlong: 2,
        invalid: 0,
        kept: ["x".repeat(4096), "x".repeat(4096)]
      })
    }
  })

  it("lets a line of exactly the limit through", () => {
    assert.deepStrictEqual(read([encode("12345\n123456\n12345")], 5).lines, ["12345", "12345"])
  })

  it("keeps the beginnings of the last 20 lines that were too long, and no more", () => {
    const lines = Array.from({ length: 50 }, (_, i) => `line ${i}`)
    const { kept, overlong } = read([encode(lines.map((line) => `${line}, and more`).join("\n"))], 7)
    assert.strictEqual(overlong, 50)
    assert.deepStrictEqual(kept, lines.slice(-20))
  })

  it("never holds more than the limit of a line that does not end", () => {
    const reader = new Lines({ maxLine: 1000 })
    for (let i = 0; i < 5000; i++) {
      assert.deepStrictEqual(reader.push(encode("0123456789")), [])
      assert.isAtMost(reader.held, 1000)
    }
    assert.strictEqual(reader.overlong, 1)
    assert.deepStrictEqual(reader.push(encode("\nafter\n")), ["after"])
  })

  it("does not depend on the chunk after it was pushed", () => {
    const reader = new Lines()
    const chunk = encode("first half, ")
    reader.push(chunk)
    chunk.fill(0)
    assert.deepStrictEqual(reader.push(encode("second half\n")), ["first half, second half"])
  })

  it("puts a line of 5 MB together from chunks of 64 kB", () => {
    const line = "0123456789abcdef".repeat(5 * 65536)
    const bytes = encode(`${line}\n`)
    const chunks = cut(
      bytes,
      Array.from({ length: 80 }, (_, i) => i * 65536)
    )
    assert.deepStrictEqual(read(chunks).lines, [line])
  })

  it("reads any bytes in any chunks like a plain reference", () => {
    fc.assert(
      fc.property(troublesome, places, fc.integer({ min: 1, max: 30 }), (bytes, at, maxLine) => {
        const { kept, lines, overlong } = read(cut(bytes, at), maxLine)
        assert.deepStrictEqual({ lines, overlong, kept }, naive(bytes, maxLine))
      }),
      { numRuns: 2000 }
    )
  })

  it("counts the same invalid sequences however the bytes are cut", () => {
    fc.assert(
      fc.property(troublesome, places, (bytes, at) => {
        assert.deepStrictEqual(read(cut(bytes, at)), read([bytes]))
      }),
      { numRuns: 1000 }
    )
  })
})
