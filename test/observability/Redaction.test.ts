import { Redacted } from "effect"
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { learn, MARK, redact, redactIn } from "../../src/domain/Redaction.ts"
import { brief } from "../../src/event/Event.ts"

const secrets = fc.string({ unit: "binary", minLength: 8, maxLength: 60 }).filter((text) => text.trim().length >= 8)

describe("redaction", () => {
  it("hides what was learnt, wherever it stands and however it is written", () => {
    fc.assert(
      fc.property(secrets, fc.string(), fc.string(), (secret, before, after) => {
        learn([Redacted.make(secret)])
        const forms = [
          secret,
          JSON.stringify(secret).slice(1, -1),
          encodeURIComponent(secret.toWellFormed()),
          Buffer.from(secret).toString("base64"),
          Buffer.from(secret).toString("base64url"),
          Buffer.from(`user:${secret}`).toString("base64")
        ]
        for (const form of forms) {
          assert.notInclude(redact(before + form + after), form)
          assert.notInclude(JSON.stringify(redactIn({ a: [{ b: before + form + after }] })), JSON.stringify(form))
        }
      }),
      { numRuns: 40 }
    )
  })

  it.each([
    "sk-ant-api03-abc_DEF-123",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "github_pat_11ABCDEFG0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "Bearer abcdefghijklmnop.qrst",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMIIEow and no end"
  ])("hides what looks like a secret: %s", (token) => {
    assert.strictEqual(redact(`it said "${token}`), `it said "${MARK}`)
  })

  it("leaves other words as they are", () => {
    const text = "The bearer of good news: task-ant-colony, a basic authentication, AKIA, eyJ, sk-1, disk-anthill."
    assert.strictEqual(redact(text), text)
  })

  it("finds a key of many lines line by line", () => {
    learn([Redacted.make("first-line-of-it\nsecond-line-of-it")])
    assert.strictEqual(redact("x second-line-of-it y"), `x ${MARK} y`)
  })

  it("leaves no half of a secret where a text is cut", () => {
    learn([Redacted.make("correct-horse-battery")])
    assert.notInclude(brief(`${"x".repeat(190)}correct-horse-battery`), "correct")
  })

  it("does not take longer for what is nearly a secret over and over", () => {
    // Were any shape to look back, this would never end.
    const almost = ["-----BEGIN PRIVATE KEY-----", "eyJaaaaaaaa.", "Bearer ", "sk-", "ghp_"].map((each) =>
      each.repeat(100_000)
    )
    for (const text of almost) assert.isString(redact(text))
  })

  it("keeps names", () => {
    learn([Redacted.make("worker-of-mine")])
    assert.deepStrictEqual(redactIn({ agent: "worker-of-mine", why: "worker-of-mine" }, new Set(["agent"])), {
      agent: "worker-of-mine",
      why: MARK
    })
  })
})
