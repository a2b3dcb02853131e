import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import * as fc from "fast-check"
import { ByteSizeFromString, DurationFromString } from "../../src/domain/Quantity.ts"

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
})

describe("a size", () => {
  it("is what people write", () => {
    assert.deepStrictEqual(
      ["2 GiB", "512 MiB", "1 MB", "64kB"].map((text) => size(text)),
      [2 ** 31, 2 ** 29, 1e6, 64_000]
    )
  })

  it("needs its unit", () => {
    for (const wrong of [5, "5", "-1 MB", "much", "1 mb"]) assert.throws(() => size(wrong), /a size such as "512 MiB"/)
  })

  it("is written back so that it is read as the same", () => {
    const encode = Schema.encodeSync(ByteSizeFromString)
    fc.assert(fc.property(fc.nat(), (bytes) => assert.strictEqual(size(encode(bytes)), bytes)))
  })
})
