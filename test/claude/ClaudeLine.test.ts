import { Redacted } from "effect"
import { assert, describe, it } from "vitest"
import { keptLine, MAX_KEPT_LINE } from "../../src/claude/ClaudeLine.ts"
import { learn, MARK } from "../../src/domain/Redaction.ts"

const kept = (value: unknown) => keptLine(JSON.stringify(value))

describe("a line of the stream that is kept", () => {
  it("is the line as it came", () => {
    const line = '{"type":"system","subtype":"init","tools":["Read"],"n":1.5,"none":null}'
    assert.strictEqual(keptLine(line), line)
  })

  it("is none where it repeats what follows, is no conversation, or no JSON", () => {
    for (const type of ["stream_event", "control_request", "control_response"]) {
      assert.isUndefined(kept({ type, event: {} }))
      assert.isUndefined(kept({ event: {}, type }))
    }
    for (const text of ["", "oops", "[1]", "null", '{"type":']) assert.isUndefined(keptLine(text))
  })

  it("stays JSON without its secrets, also behind an escape", () => {
    learn([Redacted.make('quo"ted-secret-1')])
    const line = kept({ type: "result", result: 'a quo"ted-secret-1', also: "\nsk-ant-abc-123456" }) ?? ""
    assert.deepStrictEqual(JSON.parse(line), { type: "result", result: `a ${MARK}`, also: `\n${MARK}` })
  })

  it("is cut where it is too long, says so, and stays JSON", () => {
    const long = { type: "user", message: { content: [{ type: "tool_result", content: "ä".repeat(100_000) }] } }
    const line = kept(long) ?? ""
    assert.isAtMost(Buffer.byteLength(line), MAX_KEPT_LINE)
    const value = JSON.parse(line) as { cut: number; message: { content: ReadonlyArray<{ content: string }> } }
    assert.strictEqual(value.cut, Buffer.byteLength(JSON.stringify(long)))
    assert.match(value.message.content[0]?.content ?? "", /^ä+…$/)
    const many = kept({ type: "user", uuid: "u", all: Array.from({ length: 100_000 }, (_, n) => n) }) ?? ""
    assert.hasAllKeys(JSON.parse(many), ["type", "uuid", "cut"])
    const huge = kept({ type: "result", subtype: "success", result: "x".repeat(5_000_000) }) ?? ""
    assert.hasAllKeys(JSON.parse(huge), ["type", "subtype", "cut"])
  })
})
