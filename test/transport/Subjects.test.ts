/** What may be a subject, and which ones a subscription takes. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import {
  isLiteral,
  MAX_SUBJECT,
  matches,
  wrongPattern,
  wrongQueue,
  wrongSubject
} from "../../src/transport/Subjects.ts"

const word = fc.constantFrom("a", "b", "c")
const subject = fc.array(word, { minLength: 1, maxLength: 5 })
const pattern = fc
  .tuple(fc.array(fc.constantFrom("a", "b", "c", "*"), { maxLength: 4 }), fc.constantFrom(undefined, ">", "a", "*"))
  .map(([words, last]) => (last === undefined ? words : [...words, last]))
  .filter((words) => words.length > 0)

/** The same, said as a regular expression. */
const asRegExp = (words: ReadonlyArray<string>) =>
  new RegExp(`^${words.map((word) => (word === "*" ? "[^.]+" : word === ">" ? ".+" : word)).join("\\.")}$`)

describe("a subject", () => {
  it("is taken by the patterns that it fits, and by no others", () => {
    fc.assert(
      fc.property(pattern, subject, (words, to) => {
        assert.strictEqual(matches(words, to), asRegExp(words).test(to.join(".")))
      })
    )
  })

  it("that passes is one line without spaces, wildcards and empty words, whatever it was made of", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
        if (wrongSubject(text) !== undefined) return
        assert.notMatch(text, /[\s\p{Cc}]/u)
        for (const word of text.split(".")) {
          assert.notStrictEqual(word, "")
          assert.notInclude(["*", ">"], word)
        }
      })
    )
  })

  it("may hold a star in a word, which is no wildcard", () => {
    assert.isUndefined(wrongSubject("a.b*c.>d"))
    assert.isTrue(isLiteral("a.b*c"))
    assert.isFalse(isLiteral("a.*"))
    assert.isUndefined(wrongPattern("a.*.>"))
    assert.isDefined(wrongPattern("a.>.b"))
    assert.isDefined(wrongSubject("a.>"))
    // Asked twice, because what was right is remembered.
    for (let n = 0; n < 2; n++) assert.isUndefined(wrongSubject("x".repeat(MAX_SUBJECT)))
    assert.isDefined(wrongSubject("x".repeat(MAX_SUBJECT + 1)))
    assert.isDefined(wrongQueue("a b"))
    assert.isUndefined(wrongQueue("team-1"))
  })
})
