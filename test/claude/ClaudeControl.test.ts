import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as Control from "../../src/claude/ClaudeControl.ts"
import { type ClaudeEvent, decodeLines } from "../../src/claude/ClaudeEvent.ts"
import * as Transcript from "./Transcript.ts"

/** What recorded hosts sent, by request id or in order. */
const sent = (file: string) => Transcript.read(file).stdin as ReadonlyArray<Record<string, unknown>>
const events = (file: string): ReadonlyArray<ClaudeEvent> => decodeLines(Transcript.read(file).stdout).events
const parse = (line: string): unknown => {
  assert.strictEqual(line.indexOf("\n"), line.length - 1)
  return JSON.parse(line)
}

describe("what is sent to the CLI", () => {
  it("is what recorded hosts have sent", () => {
    const probes = sent("control-probes")
    const probe = (id: string) => probes.find((message) => message["request_id"] === id)
    const requests: ReadonlyArray<readonly [string, Control.Request]> = [
      ["req_2", { subtype: "set_permission_mode", mode: "acceptEdits" }],
      ["req_6", { subtype: "set_model", model: "claude-sonnet-4-6" }],
      ["req_8", { subtype: "set_model" }],
      ["req_9", { subtype: "set_max_thinking_tokens", max_thinking_tokens: 1000 }],
      ["req_10", { subtype: "mcp_status" }],
      ["req_11", { subtype: "get_context_usage" }],
      ["req_15", { subtype: "get_binary_version" }],
      ["req_24", { subtype: "stop_task", task_id: "nope" }],
      ["req_26", { subtype: "cancel_async_message", message_uuid: "11111111-1111-4111-8111-111111111111" }],
      ["req_32", { subtype: "interrupt" }]
    ]
    for (const [id, request] of requests) assert.deepStrictEqual(parse(Control.encodeRequest(id, request)), probe(id))

    const [message, end] = sent("control-end_session")
    assert.deepStrictEqual(parse(Control.encodeRequest("req_1", { subtype: "end_session" })), end)
    assert.deepStrictEqual(parse(Control.encodeMessage("x")), message)
    const [initialize] = sent("control-sdk-mcp")
    assert.deepStrictEqual(
      parse(Control.encodeRequest("req_1", { subtype: "initialize", sdkMcpServers: ["host"] })),
      initialize
    )
  })

  it("answers permission requests as recorded hosts did", () => {
    const answers = sent("control-can_use_tool").filter(({ type }) => type === "control_response")
    const asked = events("control-can_use_tool").flatMap((event) => (event.kind === "control_request" ? [event] : []))
    const [first, second, third, fourth] = asked
    assert.isTrue(first?.request.subtype === "can_use_tool")
    if (first?.request.subtype !== "can_use_tool") return
    assert.deepStrictEqual(
      parse(Control.encodeAnswer(first.request_id, Control.allow(first.request.input))),
      answers[0]
    )
    assert.deepStrictEqual(
      parse(Control.encodeAnswer(second?.request_id ?? "", Control.deny("nope from host"))),
      answers[1]
    )
    assert.deepStrictEqual(
      parse(Control.encodeAnswer(third?.request_id ?? "", Control.deny("stop now", true))),
      answers[2]
    )
    assert.deepStrictEqual(parse(Control.encodeRefusal(fourth?.request_id ?? "", "host exploded")), answers[3])
  })

  it("carries what a session is to be begun with", () => {
    const request = {
      subtype: "initialize",
      systemPrompt: "be brief",
      appendSystemPrompt: "very",
      jsonSchema: { type: "object" }
    } as const
    assert.deepStrictEqual(parse(Control.encodeRequest("1", request)), {
      type: "control_request",
      request_id: "1",
      request
    })
  })

  it("leaves out what is not given", () => {
    const line = Control.encodeRequest("1", { subtype: "initialize", systemPrompt: undefined })
    assert.deepStrictEqual(parse(line), {
      type: "control_request",
      request_id: "1",
      request: { subtype: "initialize" }
    })
    assert.notInclude(Control.encodeMessage("x"), "uuid")
    assert.include(Control.encodeMessage("x", "an-id"), '"uuid":"an-id"')
  })

  it("is one line, whatever the text holds, and the text comes back from it", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: fc.constantFrom("\n", "\r", "\u2028", '"', "\\", "é", "🙂") })
    )
    fc.assert(
      fc.property(text, (prompt) => {
        const message = parse(Control.encodeMessage(prompt)) as { readonly message: { readonly content: string } }
        assert.strictEqual(message.message.content, prompt)
      })
    )
  })
})

describe("what the CLI answers", () => {
  const answerTo = (file: string, id: string): Control.Answer => {
    const found = events(file).find((event) => event.kind === "control_response" && event.response.request_id === id)
    if (found?.kind !== "control_response") throw new Error(`no answer to ${id}`)
    return found.response
  }

  it("to initialize holds the account and the pid", () => {
    assert.deepInclude(Control.initializedOf(answerTo("control-probes", "req_1")), {
      output_style: "default",
      account: { tokenSource: "none", apiKeySource: "ANTHROPIC_API_KEY", apiProvider: "firstParty" }
    })
    assert.isNumber(Control.initializedOf(answerTo("control-probes", "req_1"))?.pid)
  })

  it("to get_binary_version holds the version", () => {
    assert.strictEqual(Control.versionOf(answerTo("control-probes", "req_15")), "2.1.197")
  })

  it("may be an error, and then holds neither", () => {
    const answer = answerTo("control-probes", "req_33")
    assert.deepStrictEqual(answer as unknown, {
      subtype: "error",
      request_id: "req_33",
      error: "Unsupported control request subtype: totally_bogus"
    })
    assert.isUndefined(Control.versionOf(answer))
    assert.isUndefined(Control.initializedOf(answer))
  })

  it("may hold anything without harm", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (response) => {
        Control.versionOf({ subtype: "success", request_id: "1", response })
        Control.initializedOf({ subtype: "success", request_id: "1", response })
      })
    )
  })
})
