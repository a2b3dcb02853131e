import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import fc from "fast-check"
import { decodeLines } from "../../src/claude/ClaudeEvent.ts"
import * as Failure from "../../src/claude/ClaudeFailure.ts"
import type { Result } from "../../src/claude/ClaudeResult.ts"
import { isFault, report } from "../../src/domain/Fault.ts"
import * as Transcript from "./Transcript.ts"

const success = (): Result => {
  const [event] = decodeLines(Transcript.read("oneshot-json").stdout).events
  if (event?.kind !== "result") throw new Error("the recording holds one result")
  return event
}
const result = (changes: Partial<Result>): Result => ({ ...success(), ...changes })
const failed = (changes: Partial<Result>) => result({ is_error: true, result: "what failed", ...changes })
const tagOf = (changes: Partial<Result>, evidence: Failure.TurnEvidence = {}) =>
  Failure.judgeTurn({ result: failed(changes), wantsOutput: false, ...evidence })._tag
const retry = { attempt: 1, max_retries: 2, retry_delay_ms: 500, type: "system", subtype: "api_retry" } as const

const exit = (changes: Partial<Failure.ExitInput>) =>
  Failure.judgeExit({
    code: 1,
    signal: null,
    sawJson: false,
    openTurn: false,
    uptimeMillis: 900,
    stderr: "bad flag\n",
    ...changes
  })

/** One of each. */
const all: ReadonlyArray<Failure.ClaudeFailure> = [
  new Failure.SessionCrashed({ exitCode: 143, signal: null, inTurn: true, stderr: "" }),
  new Failure.SessionMisconfigured({ stderr: "error: unknown option '--foo'\n" }),
  new Failure.SessionNotFound({ session: undefined }),
  new Failure.Stalled({ silentMillis: 120_000, doing: "turn" }),
  new Failure.CredentialsRejected({ status: 401, detail: "Invalid API key" }),
  new Failure.BillingRefused({ detail: "Credit balance is too low" }),
  new Failure.ModelUnavailable({ detail: "no such model" }),
  new Failure.RateLimited({ resetsAt: 1795250000, detail: "You've hit your limit" }),
  new Failure.Overloaded({ status: 529, detail: "Overloaded" }),
  new Failure.ApiUnreachable({ detail: "ECONNREFUSED" }),
  new Failure.PromptTooLong({ detail: "too long" }),
  new Failure.RequestRejected({ status: 400, detail: "bad request" }),
  new Failure.TurnLimitReached({ turns: 3, detail: "maximum" }),
  new Failure.BudgetExhausted({ costUsd: 1, detail: "maximum" }),
  new Failure.Interrupted({ by: "cancel" }),
  new Failure.OutputMissing({ text: "no" }),
  new Failure.OutputInvalid({ problems: ["a: expected string", "b: missing"] }),
  new Failure.TaskTimedOut({ after: Duration.minutes(30) }),
  new Failure.TurnFailed({ subtype: "error_new", detail: "?" })
]

describe("a failure", () => {
  it("says what it is, how bad it is, what cures it and what an operator can do", () => {
    for (const failure of all) {
      assert.isTrue(isFault(failure), failure._tag)
      assert.isAbove(failure.message.length, 10, failure._tag)
      assert.isAbove(failure.hint.length, 10, failure._tag)
      assert.isBoolean(failure.retriesTask, failure._tag)
      assert.strictEqual(report(failure).kind, failure._tag)
    }
    assert.strictEqual(new Set(all.map(({ _tag }) => _tag)).size, 19)
  })

  const those = (test: (failure: Failure.ClaudeFailure) => boolean) => all.filter(test).map(({ _tag }) => _tag)

  it("counts against restart intensity only where the CLI itself is not well", () => {
    assert.deepStrictEqual(
      those((failure) => failure.countsAgainstIntensity),
      ["SessionCrashed", "Stalled"]
    )
  })

  it("is escalated where neither a restart nor a wait can cure it", () => {
    assert.deepStrictEqual(
      those((failure) => failure.recovery === "escalate"),
      ["SessionMisconfigured", "CredentialsRejected", "BillingRefused", "ModelUnavailable"]
    )
  })

  it("does not let a task be tried again that would meet the same answer", () => {
    assert.deepStrictEqual(
      those((failure) => !failure.retriesTask),
      [
        "SessionMisconfigured",
        "CredentialsRejected",
        "BillingRefused",
        "ModelUnavailable",
        "PromptTooLong",
        "RequestRejected",
        "TurnLimitReached",
        "BudgetExhausted",
        "OutputMissing",
        "OutputInvalid",
        "TaskTimedOut"
      ]
    )
  })

  it("keeps its policy out of its data", () => {
    const data = JSON.parse(JSON.stringify(new Failure.Overloaded({ status: 529, detail: "x" })))
    for (const name of ["severity", "recovery", "countsAgainstIntensity", "retriesTask", "hint"])
      assert.notProperty(data, name)
  })

  it("is told in one line", () => {
    const stderr =
      "const a = 1;\nconst b = 2;\nerror: bubblewrap is needed\n    at main (cli.js:1:2)\n    at x (cli.js:3:4)\n"
    assert.strictEqual(
      new Failure.SessionMisconfigured({ stderr }).message,
      "the Claude CLI refused to start: error: bubblewrap is needed"
    )
    assert.strictEqual(
      new Failure.SessionCrashed({ exitCode: null, signal: "SIGKILL", inTurn: true, stderr: "" }).message,
      "the Claude CLI was killed by SIGKILL in the middle of a turn"
    )
  })

  it("names the time of a reset, and never throws over a number that is none", () => {
    assert.strictEqual(
      new Failure.RateLimited({ resetsAt: 1795250000, detail: "x" }).message,
      "rate limited until 2026-11-21T08:33:20.000Z: x"
    )
    fc.assert(
      fc.property(fc.double(), (resetsAt) =>
        assert.isString(new Failure.RateLimited({ resetsAt, detail: "x" }).message)
      )
    )
  })
})

describe("judgeTurn", () => {
  it("takes a success for one only where the CLI says that nothing failed", () => {
    assert.strictEqual(Failure.judgeTurn({ result: success(), wantsOutput: false })._tag, "TurnOk")
    assert.strictEqual(tagOf({ api_error_status: 500 }), "Overloaded")
  })

  it("hands on text, session, cost and what was denied, each tool once", () => {
    const denial = (tool_use_id: string, tool_name: string) => ({ tool_name, tool_use_id, tool_input: {} })
    const denials = [denial("1", "Bash"), denial("2", "Write"), denial("3", "Bash")]
    const turn = Failure.judgeTurn({ result: result({ permission_denials: denials }), wantsOutput: false })
    assert.isTrue(turn._tag === "TurnOk")
    if (turn._tag !== "TurnOk") return
    assert.strictEqual(turn.text, "hello there")
    assert.strictEqual(turn.sessionId, "21adb4c7-62b7-4b31-9a7f-7cfd34397c9e")
    assert.strictEqual(turn.turns, 1)
    assert.strictEqual(turn.totalCostUsd, 0.00853)
    assert.strictEqual(turn.usage.input_tokens, 1656)
    assert.strictEqual(turn.modelUsage["claude-opus-4-8[1m]"]?.costUSD, 0.00853)
    assert.deepStrictEqual(turn.denied, ["Bash", "Write"])
    assert.deepStrictEqual(turn.denials, denials)
  })

  it("wants structured output only where it was asked for", () => {
    const judge = (output: unknown, wantsOutput: boolean) =>
      Failure.judgeTurn({ result: result({ structured_output: output }), wantsOutput })._tag
    assert.strictEqual(judge({ a: 1 }, true), "TurnOk")
    assert.strictEqual(judge(false, true), "TurnOk")
    assert.strictEqual(judge(null, true), "OutputMissing")
    assert.strictEqual(judge(null, false), "TurnOk")
  })

  it("calls a turn that was cut off interrupted, also where the CLI calls it a success", () => {
    const cut = Failure.judgeTurn({ result: result({ terminal_reason: "aborted_streaming" }), wantsOutput: false })
    assert.strictEqual(cut._tag, "Interrupted")
  })

  it.each([
    ["authentication_failed", 400, "CredentialsRejected"],
    ["oauth_org_not_allowed", 403, "CredentialsRejected"],
    ["billing_error", 400, "BillingRefused"],
    ["model_not_found", 400, "ModelUnavailable"],
    ["rate_limit", 400, "RateLimited"],
    ["overloaded", null, "Overloaded"],
    ["server_error", 500, "Overloaded"],
    ["server_error", null, "ApiUnreachable"],
    ["unknown", null, "ApiUnreachable"],
    ["unknown", 400, "RequestRejected"],
    ["invalid_request", null, "RequestRejected"],
    ["invalid_request", 413, "RequestRejected"],
    ["max_output_tokens", null, "RequestRejected"],
    ["a_word_of_a_newer_version", 429, "RateLimited"],
    [undefined, 401, "CredentialsRejected"],
    [undefined, 402, "BillingRefused"],
    [undefined, 403, "CredentialsRejected"],
    [undefined, 404, "ModelUnavailable"],
    [undefined, 408, "Overloaded"],
    [undefined, 422, "RequestRejected"],
    [undefined, 429, "RateLimited"],
    [undefined, 503, "Overloaded"],
    [undefined, 529, "Overloaded"],
    [undefined, null, "TurnFailed"]
  ] as const)("judges the word %s with status %s to be %s", (assistantError, api_error_status, tag) => {
    assert.strictEqual(tagOf({ api_error_status }, { assistantError }), tag)
  })

  it("knows an overload that comes without its status, by the retries before it", () => {
    const evidence = { assistantError: "server_error", apiRetry: { ...retry, error_status: 529, error: "overloaded" } }
    assert.strictEqual(tagOf({ api_error_status: null }, evidence), "Overloaded")
    assert.strictEqual(
      tagOf({ api_error_status: null, result: "Repeated 529 Overloaded errors" }, { assistantError: "server_error" }),
      "Overloaded"
    )
  })

  it("takes the time of a reset only from a limit that has been hit", () => {
    const reset = (status: string) => {
      const rateLimit = { status, resetsAt: 1795250000 }
      const failure = Failure.judgeTurn({ result: failed({ api_error_status: 429 }), rateLimit, wantsOutput: false })
      return failure._tag === "RateLimited" ? failure.resetsAt : failure._tag
    }
    assert.strictEqual(reset("rejected"), 1795250000)
    assert.strictEqual(reset("allowed_warning"), undefined)
  })

  it("judges limits by their subtypes, and an unknown subtype never a success", () => {
    const errors = ["Reached maximum"]
    const judge = (subtype: string, is_error: boolean) =>
      Failure.judgeTurn({ result: result({ subtype, is_error, errors }), wantsOutput: false })._tag
    assert.strictEqual(judge("error_max_turns", true), "TurnLimitReached")
    assert.strictEqual(judge("error_max_budget_usd", true), "BudgetExhausted")
    assert.strictEqual(judge("error_max_structured_output_retries", true), "OutputInvalid")
    assert.strictEqual(judge("error_during_execution", true), "TurnFailed")
    assert.strictEqual(judge("error_of_a_newer_version", true), "TurnFailed")
    assert.strictEqual(judge("error_of_a_newer_version", false), "TurnFailed")
  })
})

describe("judgeRetry", () => {
  it("sees bad credentials at the first retry, and lets everything else go on", () => {
    const judge = (error_status: number | null, error: string) =>
      Failure.judgeRetry({ ...retry, error_status, error })?._tag
    assert.strictEqual(judge(401, "authentication_failed"), "CredentialsRejected")
    assert.strictEqual(judge(403, "authentication_failed"), "CredentialsRejected")
    assert.strictEqual(judge(403, "unknown"), "CredentialsRejected")
    assert.isUndefined(judge(429, "rate_limit"))
    assert.isUndefined(judge(529, "overloaded"))
    assert.isUndefined(judge(500, "server_error"))
    assert.isUndefined(judge(null, "unknown"))
  })
})

describe("judgeExit", () => {
  it("takes exit 1 at once, without JSON and with words, for a wrong configuration", () => {
    assert.strictEqual(exit({})._tag, "SessionMisconfigured")
  })

  it("takes every other exit for a crash, whatever its code", () => {
    const crashes: ReadonlyArray<Partial<Failure.ExitInput>> = [
      { code: 0 },
      { code: 143 },
      { code: 137 },
      { code: null, signal: "SIGKILL" },
      { sawJson: true },
      { uptimeMillis: 60_000 },
      { stderr: " \n" }
    ]
    for (const changes of crashes) assert.strictEqual(exit(changes)._tag, "SessionCrashed", JSON.stringify(changes))
  })

  it("knows a session that is not there", () => {
    const failure = exit({ sawJson: true, stderr: "No conversation found with session ID: 0a1b\n" })
    assert.isTrue(failure._tag === "SessionNotFound" && failure.session === "0a1b")
  })

  it("lets no key through that the CLI has printed", () => {
    const failure = exit({ code: 139, stderr: 'ANTHROPIC_API_KEY: "sk-ant-api03-abc_DEF-123"' })
    assert.isTrue(failure._tag === "SessionCrashed" && failure.stderr === 'ANTHROPIC_API_KEY: "[secret]"')
  })
})
