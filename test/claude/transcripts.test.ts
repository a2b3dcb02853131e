/** What the real CLI printed, version 2.1.197 and 2.1.329: every line is understood and every turn judged. */
import { assert, describe, it } from "@effect/vitest"
import { ClaudeDecoder, type ClaudeEvent } from "../../src/claude/ClaudeEvent.ts"
import {
  type ClaudeFailure,
  judgeExit,
  judgeRetry,
  judgeTurn,
  type TurnEvidence,
  type TurnOk
} from "../../src/claude/ClaudeFailure.ts"
import * as Transcript from "./Transcript.ts"

/** Tag and the facts that matter. */
type Expected = readonly [tag: (TurnOk | ClaudeFailure)["_tag"], facts?: Readonly<Record<string, unknown>>]

interface Row {
  /** One for each result, in order. */
  readonly turns: ReadonlyArray<Expected>
  /** Where the process is known to have ended: how, and what that means. */
  readonly exit?: { readonly code: number | null; readonly signal: string | null; readonly means: Expected }
  /** What the first `api_retry` means by itself. */
  readonly retry?: Expected
  readonly wantsOutput?: true
  /** Lines passed over on purpose. */
  readonly passedOver?: number
}

const ok: Expected = ["TurnOk"]
const denied = (...tools: ReadonlyArray<string>): Expected => ["TurnOk", { denied: tools }]
const interrupted = (by: string): Expected => ["Interrupted", { by }]
const overloaded = (status: number): Row => ({ turns: [["Overloaded", { status }]] })
const unreachable: Row = { turns: [["ApiUnreachable"]] }
const limited: Row = { turns: [["RateLimited", { resetsAt: undefined }]] }
const rejected = (status: number | null): Row => ({ turns: [["RequestRejected", { status }]] })
const credentials = (status: number | null): Expected => ["CredentialsRejected", { status }]
const killed = (turns: ReadonlyArray<Expected>, inTurn = true): Row => ({
  turns,
  exit: { code: null, signal: "SIGKILL", means: ["SessionCrashed", { signal: "SIGKILL", exitCode: null, inTurn }] }
})
/** SIGTERM is handled by the CLI: an exit code and no signal. */
const terminated = (turns: ReadonlyArray<Expected>, inTurn = true): Row => ({
  turns,
  exit: { code: 143, signal: null, means: ["SessionCrashed", { signal: null, exitCode: 143, inTurn }] }
})
const fine = (turns = 1): Row => ({ turns: Array.from({ length: turns }, () => ok) })
/** The recording stops in mid-turn and nothing is known of the exit. */
const unfinished: Row = { turns: [] }

const table: Readonly<Record<string, Row>> = {
  "control-can_use_tool": {
    turns: [
      ok,
      denied("Bash"),
      interrupted("aborted_tools"),
      denied("Bash"),
      denied("Bash"),
      interrupted("aborted_tools")
    ]
  },
  "control-end_session": fine(),
  "control-hook-callbacks": fine(),
  "control-interrupt-bash": { turns: [interrupted("aborted_tools"), ok] },
  "control-interrupt-streaming": { turns: [interrupted("aborted_streaming"), ok, ok] },
  "control-probes": fine(0),
  "control-sdk-mcp": fine(),
  "control-sdk-mcp-initialize-only": fine(),
  "fail-400": rejected(400),
  "fail-401-329": { turns: [credentials(401)], retry: credentials(401) },
  "fail-401-retried-10x": { turns: [credentials(401)], retry: credentials(401) },
  "fail-403": { turns: [credentials(403)] },
  "fail-404-model": { turns: [["ModelUnavailable"]] },
  "fail-413": rejected(413),
  "fail-429": limited,
  "fail-429-retry-after-2": limited,
  "fail-429-retry-after-600": limited,
  "fail-500": overloaded(500),
  "fail-500-max-retries-2": overloaded(500),
  "fail-500-x-should-retry-false": overloaded(500),
  "fail-529": overloaded(529),
  "fail-529-329": overloaded(529),
  "fail-api-timeout": unreachable,
  "fail-connection-refused": unreachable,
  "fail-connection-reset": unreachable,
  "fail-credit-balance": { turns: [["BillingRefused", { detail: "Credit balance is too low" }]] },
  "fail-no-credentials": { turns: [credentials(null)] },
  "fail-not-sse": unreachable,
  "fail-oauth-401": { turns: [credentials(401)], retry: credentials(401) },
  "fail-prompt-too-long": { turns: [["PromptTooLong"]] },
  "fail-reset-mid-stream": unreachable,
  "fail-sse-overloaded": overloaded(529),
  "fallback-model-529": unfinished,
  "include-hook-events": fine(),
  "json-schema": { turns: [["TurnOk", { output: { name: "bob" }, text: '{"name":"bob"}' }]], wantsOutput: true },
  "json-schema-model-never-complies": { turns: [["OutputMissing"]], wantsOutput: true },
  "kill9-mid-bash": killed([ok]),
  "kill9-mid-bash-resumed": fine(),
  "kill9-mid-stream": killed([ok]),
  "kill9-mid-stream-resumed": fine(),
  "longlived-turns-replay": fine(7),
  "max-budget": { turns: [["BudgetExhausted", { costUsd: 0.039595 }]] },
  "max-turns": { turns: [["TurnLimitReached", { turns: 3 }]] },
  "mcp-server-failed": fine(),
  "message-folded-into-running-turn": fine(),
  "oneshot-bash-partial": fine(),
  "oneshot-bash-tool": fine(),
  "oneshot-json": { turns: [["TurnOk", { text: "hello there", turns: 1, totalCostUsd: 0.00853, output: undefined }]] },
  "oneshot-permission-denied": { turns: [denied("Bash")] },
  "oneshot-text": fine(),
  "oneshot-write-acceptEdits": fine(),
  "oneshot-write-denied": { turns: [denied("Write")] },
  "priority-now": { turns: [interrupted("aborted_streaming"), ok] },
  "queued-messages-coalesce": fine(3),
  "rate-limit-event-rejected": { turns: [["RateLimited", { resetsAt: 1795250000 }]] },
  "rate-limit-event-warning": fine(),
  "recover-500-twice": fine(),
  "recover-reset-mid-stream-nonstreaming-fallback": fine(),
  "resume-interrupted-turn-env": fine(),
  "resume-interrupted-turn-env-329": fine(),
  "resume-interrupted-turn-env-bash": fine(),
  "resume-unknown-session": {
    turns: [["SessionNotFound", { session: "11111111-1111-4111-8111-111111111111" }]],
    exit: { code: 1, signal: null, means: ["SessionNotFound", { session: "11111111-1111-4111-8111-111111111111" }] }
  },
  "session-state-events": fine(),
  // Not stdout but the CLI's own file: its messages, and twelve lines of its book-keeping.
  "session-transcript-file": { turns: [], passedOver: 12 },
  // It exits with 0, which is not success.
  "signal-sigint-mid-bash": { turns: [interrupted("aborted_tools")] },
  "signal-sigint-mid-stream": { turns: [interrupted("aborted_streaming")] },
  "signal-sigkill-mid-bash": killed([]),
  "signal-sigterm-background-bash": terminated([ok, ok], false),
  "signal-sigterm-mid-bash": terminated([]),
  "signal-sigterm-mid-bash-329": terminated([]),
  "signal-sigterm-mid-stream": terminated([]),
  // The fourth asks for a command that the CLI does not have: it says "success", and it is none.
  "slash-clear-new-session-id": { turns: [["TurnOk"], ["TurnOk"], ["TurnOk"], ["RequestRejected"], ["TurnOk"]] },
  "stall-mid-stream-300s": fine(),
  "stall-no-headers-300s": unfinished,
  "stdin-bad-json": {
    turns: [],
    exit: { code: 1, signal: null, means: ["SessionMisconfigured"] }
  },
  "stdin-close-background-bash": fine(),
  "stdin-close-background-bash-329": fine(),
  "stdin-close-mid-stream": fine(),
  "stdin-close-pending-permission": { turns: [denied("Bash")] },
  "stop-max-tokens": fine(),
  "stop-refusal": rejected(null),
  "truncated-body": { turns: [["TurnOk", { stopReason: null }]] }
}

const judgeAll = (events: ReadonlyArray<ClaudeEvent>, wantsOutput: boolean) => {
  const turns: Array<TurnOk | ClaudeFailure> = []
  const retries: Array<ClaudeFailure | undefined> = []
  let evidence: TurnEvidence = {}
  for (const event of events) {
    switch (event.kind) {
      case "assistant":
        evidence = { ...evidence, assistantError: event.error }
        break
      case "rate_limit_event":
        evidence = { ...evidence, rateLimit: event.rate_limit_info }
        break
      case "system/api_retry":
        evidence = { ...evidence, apiRetry: event }
        retries.push(judgeRetry(event))
        break
      case "result":
        turns.push(judgeTurn({ result: event, ...evidence, wantsOutput }))
        evidence = {}
        break
    }
  }
  return { turns, retries }
}

const same = (actual: TurnOk | ClaudeFailure | undefined, [tag, facts = {}]: Expected) => {
  assert.strictEqual(actual?._tag, tag)
  for (const [name, value] of Object.entries(facts)) {
    assert.deepStrictEqual((actual as unknown as Record<string, unknown>)[name], value, `${tag}.${name}`)
  }
}

describe("recorded transcripts", () => {
  it("are all in the table", () => assert.deepStrictEqual(Object.keys(table).sort(), [...Transcript.files]))

  it.each(Transcript.files)("%s is understood to the last line and judged as the contract says", (file) => {
    const row = table[file] as Row
    const { stderr, stdout } = Transcript.read(file)
    const decoder = new ClaudeDecoder()
    const events = [...decoder.push(Transcript.bytesOf(stdout)), ...decoder.end()]
    const { broken, invalid, lines, overlong, unknown } = decoder.unreadable
    assert.deepStrictEqual(
      { broken, invalid, lines, overlong, unknown },
      { broken: 0, invalid: 0, lines: [], overlong: 0, unknown: 0 }
    )
    assert.strictEqual(decoder.passedOver, row.passedOver ?? 0)
    assert.strictEqual(events.length + decoder.passedOver, stdout.length)

    const { retries, turns } = judgeAll(events, row.wantsOutput ?? false)
    assert.strictEqual(turns.length, row.turns.length)
    turns.forEach((turn, i) => {
      same(turn, row.turns[i] as Expected)
    })
    assert.strictEqual(
      retries.findIndex((retry) => retry !== undefined),
      row.retry === undefined ? -1 : 0
    )
    if (row.retry !== undefined) same(retries[0], row.retry)
    if (row.exit !== undefined) {
      const { code, means, signal } = row.exit
      const openTurn = means[1]?.["inTurn"] === true
      const input = { code, signal, stderr, openTurn, sawJson: stdout.length > 0, uptimeMillis: 1000 }
      same(judgeExit(input), means)
    }
  })
})
