/** What waits for an agent's next turn: in order, and within bounds. */
import { assert, describe, it } from "vitest"
import { framed, Inbox, MAX_CHARACTERS, MAX_MESSAGES } from "../../src/agent/Inbox.ts"

describe("an inbox", () => {
  it("gives what it holds once, first to last", () => {
    const inbox = new Inbox()
    for (const text of ["one", "two"]) assert.isTrue(inbox.add(text))
    assert.deepStrictEqual(inbox.take(), ["one", "two"])
    assert.deepStrictEqual(inbox.take(), [])
  })

  it("what comes back goes before what came since", () => {
    const inbox = new Inbox()
    inbox.add("one")
    const taken = inbox.take()
    inbox.add("two")
    inbox.putBack(taken)
    assert.deepStrictEqual(inbox.take(), ["one", "two"])
  })

  it("refuses what is more than it holds, by number and by size, and takes it when there is room again", () => {
    const many = new Inbox()
    for (let n = 0; n < MAX_MESSAGES; n++) assert.isTrue(many.add(String(n)))
    assert.isFalse(many.add("one more"))
    assert.strictEqual(many.size, MAX_MESSAGES)
    many.take()
    assert.isTrue(many.add("one more"))
    const large = new Inbox()
    assert.isTrue(large.add("x".repeat(MAX_CHARACTERS)))
    assert.isFalse(large.add("y"))
  })

  it("no message begins as a command of the CLI does", () => {
    assert.notMatch(framed("/clear"), /^\s*[/!#]/)
  })
})
