import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import * as fc from "fast-check"
import {
  ByteSizeFromString,
  byteSizeBetween,
  DurationFromString,
  PositiveDurationFromString,
  rewritten
} from "../../src/domain/Quantity.ts"

const duration = Schema.decodeUnknownSync(DurationFromString)
const size = Schema.decodeUnknownSync(ByteSizeFromString)

describe("a duration", () => {
  it("is what people write", () => {
    const millis = {
      "30 seconds": 30_000,
      "5 minutes": 300_000,
      "250 ms": 250,
      "1.5 hours": 5_400_000,
      "90s": 90_000,
      "1h": 3_600_000
    }
    for (const [text, expected] of Object.entries(millis))
      assert.strictEqual(Duration.toMillis(duration(text)), expected)
  })

  it("needs its unit, and is finite and not negative", () => {
    for (const wrong of [30, "30", "-1 second", "Infinity", "soon", "", "1 fortnight", null]) {
      assert.throws(() => duration(wrong), /a duration such as "30 seconds"/)
    }
  })

  it("is written back so that it is read as the same", () => {
    const encode = Schema.encodeSync(DurationFromString)
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000_000 }), (millis) => {
        assert.strictEqual(Duration.toMillis(duration(encode(Duration.millis(millis)))), millis)
      })
    )
    assert.strictEqual(encode(Duration.seconds(90)), "90 seconds")
  })

  it("without end has no text", () => {
    const encode = Schema.encodeSync(DurationFromString)
    assert.throws(() => encode(Duration.infinity), /a duration such as "30 seconds"/)
  })

  it("that must be longer than nothing is", () => {
    const positive = Schema.decodeUnknownSync(PositiveDurationFromString)
    assert.strictEqual(Duration.toMillis(positive("1 ms")), 1)
    for (const wrong of ["0 seconds", "0.0h"]) assert.throws(() => positive(wrong), /longer than nothing/)
  })

  it("and a size are refused as text, so that no mistake hides behind another", () => {
    for (const schema of [DurationFromString, PositiveDurationFromString, ByteSizeFromString])
      assert.throws(() => Schema.decodeUnknownSync(Schema.toEncoded(schema))("5 fortnights"))
  })

  it("is whatever the parser makes of it, or a mistake, for any text", () => {
    const text = fc.oneof(
      fc.string(),
      fc.tuple(fc.double({ noNaN: true }), fc.string()).map(([n, unit]) => `${n} ${unit}`)
    )
    const option = Schema.decodeUnknownOption(DurationFromString)
    fc.assert(
      fc.property(text, (text) => {
        const read = option(text)
        if (read._tag === "Some") assert.isTrue(Duration.isFinite(read.value) && Duration.toMillis(read.value) >= 0)
      })
    )
  })
})

describe("a size", () => {
  it("is what people write", () => {
    assert.deepStrictEqual(
      ["2 GiB", "512 MiB", "1 MB", "64kB"].map((text) => size(text)),
      [2 ** 31, 2 ** 29, 1e6, 64_000]
    )
  })

  it("has bounds where it is said so", () => {
    const between = Schema.decodeUnknownSync(byteSizeBetween("64 KiB", "1 GiB"))
    assert.deepStrictEqual(
      ["64 KiB", "1 GiB"].map((text) => between(text)),
      [65_536, 2 ** 30]
    )
    for (const wrong of ["65535 B", "2 GiB"]) assert.throws(() => between(wrong), /from "64 KiB" to "1 GiB"/)
  })

  it("needs its unit", () => {
    for (const wrong of [5, "5", "-1 MB", "much", "1 mb"]) assert.throws(() => size(wrong), /a size such as "512 MiB"/)
  })

  it("is written back so that it is read as the same", () => {
    const encode = Schema.encodeSync(ByteSizeFromString)
    fc.assert(fc.property(fc.nat(), (bytes) => assert.strictEqual(size(encode(bytes)), bytes)))
  })
})

describe("what is nearly a quantity", () => {
  const said = (schema: Schema.Decoder<unknown>, value: unknown) => {
    try {
      Schema.decodeUnknownSync(schema)(value)
      return "fine"
    } catch (error) {
      return rewritten(String(error), value)
    }
  }

  it("is shown as it should be written", () => {
    assert.strictEqual(said(DurationFromString, 30), "30 seconds")
    assert.strictEqual(said(DurationFromString, "1"), "1 second")
    assert.strictEqual(said(ByteSizeFromString, 32), "32 MiB")
    assert.strictEqual(said(ByteSizeFromString, 33_554_432), "32 MiB")
    assert.strictEqual(said(ByteSizeFromString, "1 mb"), "1 MB")
    assert.strictEqual(said(ByteSizeFromString, "2G"), "2 GiB")
  })

  it("is left alone where nobody can know", () => {
    for (const value of [-1, 0, "soon", null, ["30"], {}, "5 fortnights"]) {
      assert.isUndefined(said(DurationFromString, value))
      assert.isUndefined(said(ByteSizeFromString, value))
    }
  })

  it("can be read when it is so written", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1 }), fc.constantFrom(DurationFromString, ByteSizeFromString), (value, schema) =>
        assert.strictEqual(said(schema, said(schema, value)), "fine")
      )
    )
  })
})
