/**
 * How a turn ended and why a process did: what the CLI said, judged. Pure functions of the evidence.
 *
 * Never by an exit code alone, and never by `subtype: "success"`, which the CLI also writes when the API has failed. A
 * turn is judged by `terminal_reason` (it was ended from outside), the subtypes of limits, `is_error`, the `error` of
 * the last assistant event, and the HTTP status. These rules hold for 2.1.197 and 2.1.329, which differ in whether they
 * give the status of a 529 and in the words of `terminal_reason`.
 *
 * The failures are in Failures.ts and what is to be done about each in FailureTable.ts; this file is the door to both.
 */

import { redact } from "../domain/Redaction.ts"
import type { ProcessExit } from "../process/ProcessTree.ts"
import type { Usage } from "./ClaudeMessage.ts"
import type { ApiRetry, RateLimitInfo } from "./ClaudeNotice.ts"
import type { ModelUsage, PermissionDenial, Result } from "./ClaudeResult.ts"
import * as Failure from "./Failures.ts"

export * from "./Failures.ts"

/** What was heard in the turn beside its result. */
export interface TurnEvidence {
  /** `error` of the turn's last assistant event. */
  readonly assistantError?: string | undefined
  /** The last `rate_limit_event`. */
  readonly rateLimit?: RateLimitInfo | undefined
  /** The last `api_retry`. */
  readonly apiRetry?: ApiRetry | undefined
}

export interface TurnInput extends TurnEvidence {
  readonly result: Result
  /** The turn must bring structured output. */
  readonly wantsOutput: boolean
}

/** A turn that did what it was asked, as far as the CLI can know. */
export interface TurnOk {
  readonly _tag: "TurnOk"
  /** The last words. */
  readonly text: string
  /** The structured output; undefined where there is none. */
  readonly output: unknown
  /** The conversation, which `/clear` changes. */
  readonly sessionId: string
  /** Round trips to the model. */
  readonly turns: number
  /** Of this turn. */
  readonly usage: Usage
  /** The CLI's own estimate in dollars, since the process began: take differences. */
  readonly totalCostUsd: number
  /** By model, since the process began: take differences. */
  readonly modelUsage: Readonly<Record<string, ModelUsage>>
  /** Null in 2.1.197 can mean that the answer broke off in mid-stream and what had come was taken for the whole. */
  readonly stopReason: string | null
  /** Tool calls that the permissions did not allow. */
  readonly denials: ReadonlyArray<PermissionDenial>
  /** The names of those tools, each once. */
  readonly denied: ReadonlyArray<string>
}

export const judgeTurn = (input: TurnInput): TurnOk | Failure.ClaudeFailure => {
  const { result, wantsOutput } = input
  const detail = result.result ?? result.errors?.join("; ") ?? ""
  // Also with `is_error: false`, when a message with priority "now" has cut the turn off.
  if (result.terminal_reason?.startsWith("aborted")) return new Failure.Interrupted({ by: result.terminal_reason })
  switch (result.subtype) {
    case "error_max_turns":
      return new Failure.TurnLimitReached({ turns: result.num_turns, detail })
    case "error_max_budget_usd":
      return new Failure.BudgetExhausted({ costUsd: result.total_cost_usd, detail })
    case "error_max_structured_output_retries":
      return new Failure.OutputInvalid({ problems: result.errors ?? [] })
    case "success":
      break
    default:
      return notFound(detail) ?? new Failure.TurnFailed({ subtype: result.subtype, detail })
  }
  if (result.is_error) return judgeApi(input, detail)
  // A prompt that begins with a slash is a command of the CLI's; one that it does not know is no success.
  if (result.num_turns === 0 && detail.startsWith("Unknown command: ")) {
    return new Failure.RequestRejected({ status: null, detail })
  }
  const output = result.structured_output ?? undefined
  if (wantsOutput && output === undefined) return new Failure.OutputMissing({ text: detail })
  const denials = result.permission_denials ?? []
  return {
    _tag: "TurnOk",
    text: detail,
    output,
    sessionId: result.session_id,
    turns: result.num_turns,
    usage: result.usage,
    totalCostUsd: result.total_cost_usd,
    modelUsage: result.modelUsage,
    stopReason: result.stop_reason ?? null,
    denials,
    denied: [...new Set(denials.map((denial) => denial.tool_name))]
  }
}

/** The API has failed, or was never reached. The CLI's word for it goes before the status, which is often only 400. */
const judgeApi = (
  { apiRetry, assistantError, rateLimit, result }: TurnInput,
  detail: string
): Failure.ClaudeFailure => {
  const status = result.api_error_status ?? null
  if (result.terminal_reason === "prompt_too_long") return new Failure.PromptTooLong({ detail })
  if (result.stop_reason === "refusal") return new Failure.RequestRejected({ status, detail })
  switch (assistantError) {
    case "authentication_failed":
    case "oauth_org_not_allowed":
      return new Failure.CredentialsRejected({ status, detail })
    case "billing_error":
      return new Failure.BillingRefused({ detail })
    case "model_not_found":
      return new Failure.ModelUnavailable({ detail })
    case "rate_limit":
      return new Failure.RateLimited({ resetsAt: resetOf(rateLimit), detail })
    case "overloaded":
      return new Failure.Overloaded({ status, detail })
    case "max_output_tokens":
      return new Failure.RequestRejected({ status, detail })
  }
  switch (status) {
    case null:
      // 2.1.197 gives no status for 529 and calls it server_error, like an API that cannot be reached.
      if (/overloaded/i.test(detail) || (apiRetry?.error_status ?? 0) >= 500) {
        return new Failure.Overloaded({ status: apiRetry?.error_status ?? null, detail })
      }
      if (assistantError === "invalid_request") return new Failure.RequestRejected({ status, detail })
      if (assistantError === undefined) return new Failure.TurnFailed({ subtype: result.subtype, detail })
      return new Failure.ApiUnreachable({ detail })
    case 401:
    case 403:
      return new Failure.CredentialsRejected({ status, detail })
    case 402:
      return new Failure.BillingRefused({ detail })
    case 404:
      return new Failure.ModelUnavailable({ detail })
    case 429:
      return new Failure.RateLimited({ resetsAt: resetOf(rateLimit), detail })
    default:
      return status >= 500 || status === 408
        ? new Failure.Overloaded({ status, detail })
        : new Failure.RequestRejected({ status, detail })
  }
}

/** Only of a window that has closed: that another one is filling up says nothing about this refusal. */
const resetOf = (limit: RateLimitInfo | undefined) => (limit?.status === "rejected" ? limit.resetsAt : undefined)

/** Bad credentials show at the first retry; the CLI alone would go on for three minutes. */
export const judgeRetry = (event: ApiRetry): Failure.CredentialsRejected | undefined =>
  event.error_status === 401 || event.error_status === 403 || event.error === "authentication_failed"
    ? new Failure.CredentialsRejected({ status: event.error_status, detail: event.error })
    : undefined

export interface ExitInput {
  readonly code: number | null
  readonly signal: string | null
  /** The limit that ended it, where one did. */
  readonly exceeded?: ProcessExit["exceeded"]
  /** It has printed at least one event. */
  readonly sawJson: boolean
  /** A message was sent and its result has not come. */
  readonly openTurn: boolean
  /** From spawn to exit. */
  readonly uptimeMillis: number
  /** What it printed last on stderr. */
  readonly stderr: string
}

/** A CLI that cannot start says so within a second; twenty that start at once on a busy machine may take twenty. */
const START_WINDOW_MILLIS = 30_000

/** An exit that nobody asked for. Whether it was asked for is known to the caller only: SIGINT also ends with 0. */
export const judgeExit = (exit: ExitInput): Failure.ClaudeFailure => {
  if (exit.exceeded !== undefined) return new Failure.LimitExceeded(exit.exceeded)
  const stderr = redact(exit.stderr)
  const refused = exit.code === 1 && !exit.sawJson && exit.uptimeMillis < START_WINDOW_MILLIS && stderr.trim() !== ""
  return (
    (exit.code === 1 ? notFound(stderr) : undefined) ??
    (refused
      ? new Failure.SessionMisconfigured({ stderr })
      : new Failure.SessionCrashed({ exitCode: exit.code, signal: exit.signal, inTurn: exit.openTurn, stderr }))
  )
}

const notFound = (said: string): Failure.SessionNotFound | undefined => {
  const found = /No conversation found with session ID:? *([\w-]*)/.exec(said)
  return found === null ? undefined : new Failure.SessionNotFound({ session: found[1] || undefined })
}
