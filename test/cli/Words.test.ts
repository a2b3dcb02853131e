/** What people are shown of what agents say. */
import { assert, describe, it } from "vitest"
import { describe as describeEvent, paint, resultLine } from "../../src/cli/Words.ts"
import { done } from "../utils/Results.ts"

/** Names the window, clears the screen, goes back to the start of the line, and the same as C1 controls. */
const hostile = "a\u001b]0;owned\u0007b\u001b[2Jc\rd\u009b2Je"
const plain = paint(false)

const result = done("t", { text: hostile, agent: "w", tookMillis: 0 })

describe("what people are shown", () => {
  it("holds no control character of an agent's: not in an answer, a failure or an event", () => {
    const fault = { kind: "x", message: hostile, severity: "low", recovery: "ignore", hint: hostile } as const
    const lines = [
      resultLine(result, plain),
      resultLine({ ...result, output: { [hostile]: hostile } }, plain),
      resultLine({ ...result, status: "failed", fault }, plain),
      describeEvent(
        { type: "task.progress", task: "t", agent: "w", doing: "text", detail: hostile, seq: 1, at: 0 },
        plain
      ) ?? ""
    ]
    for (const line of lines) {
      assert.match(line, /a.+b.+c.+d.+e/s)
      assert.notMatch(line, /[^\P{Cc}\n]/u)
    }
  })

  it("keeps letters of every script, and the colours that are ours", () => {
    assert.include(resultLine({ ...result, text: "naïve 語 🙂" }, plain), "naïve 語 🙂")
    assert.include(resultLine(result, paint(true)), "\u001b[32m")
  })
})
