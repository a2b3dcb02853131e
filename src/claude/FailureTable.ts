/**
 * What is to be done about each failure of the CLI: one table. The failures themselves are in Failures.ts; which of them
 * it was is decided in ClaudeFailure.ts; the table is followed in agent/ and task/.
 *
 *   severity   how much it matters to an operator
 *   recovery   what cures it, see domain/Fault.ts
 *   counts     against restart intensity: only what shows that the CLI itself is not well
 *   again      may another attempt at the same task cure it?
 *   hint       what an operator can do
 */
import { type Fault, follow as followPolicy, type Recovery, type Severity } from "../domain/Fault.ts"

interface Row {
  readonly severity: Severity
  readonly recovery: Recovery
  readonly counts: boolean
  readonly again: boolean
  readonly hint: string
}

const row = (severity: Severity, recovery: Recovery, { counts = false, again = false }, hint: string): Row => {
  return { severity, recovery, counts, again, hint }
}
const yes = { again: true }
const no = { again: false }

// biome-ignore format: a table
export const table = {
  // the process
  SessionCrashed:       row("high",     "restart",  { counts: true, again: true }, "see what it printed last on stderr; exit 137 or SIGKILL can mean that memory ran out"),
  SessionMisconfigured: row("critical", "escalate", no,  "the CLI refused its flags, settings or environment; its own words are in the message"),
  SessionNotFound:      row("medium",   "restart",  yes, "begin anew without it; a session is only found from the directory in which it was begun"),
  LimitExceeded:        row("high",     "restart",  { counts: true, again: true }, "raise the agent's limit, or make its tasks smaller"),
  Stalled:              row("high",     "restart",  { counts: true, again: true }, "see whether the API or a proxy holds connections open without answering"),
  // the account and the API
  CredentialsRejected:  row("critical", "escalate", no,  "set a valid ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN"),
  BillingRefused:       row("critical", "escalate", no,  "add credit to the account, or use the credentials of another"),
  ModelUnavailable:     row("high",     "escalate", no,  "correct the model's name, or choose one that this account may use"),
  RateLimited:          row("medium",   "retry",    yes, "wait until the limit resets; run fewer agents on this account, or use another"),
  Overloaded:           row("medium",   "retry",    yes, "nothing to do: the API is busy or in trouble and this is tried again"),
  ApiUnreachable:       row("high",     "retry",    yes, "check the network, the proxy and ANTHROPIC_BASE_URL"),
  // the task
  PromptTooLong:        row("medium",   "restart",  no,  "shorten the prompt or what it refers to; the conversation is begun anew"),
  RequestRejected:      row("medium",   "ignore",   no,  "the API will not take this request; change the prompt, the files it refers to or the model"),
  TurnLimitReached:     row("medium",   "ignore",   no,  "raise the agent's limit of turns, or make the task smaller"),
  BudgetExhausted:      row("medium",   "ignore",   no,  "raise the budget, or make the task smaller"),
  Interrupted:          row("low",      "ignore",   yes, "whoever interrupted it knows why"),
  OutputMissing:        row("medium",   "ignore",    no,  "say in the prompt what the structured answer is to hold"),
  OutputInvalid:        row("medium",   "ignore",    no,  "see whether the task's schema can be satisfied; simpler schemas are met more often"),
  TaskTimedOut:         row("medium",   "ignore",   no,  "raise the agent's task time, or make the task smaller"),
  TurnFailed:           row("medium",   "retry",    yes, "the CLI's own words are in the message; it may be newer than this program")
} satisfies Record<string, Row>

export interface ClaudeFault extends Fault {
  readonly retriesTask: boolean
  readonly hint: string
}

/** Gives a class its row. */
export const follow = (failure: { readonly prototype: ClaudeFault }, { again, counts, ...row }: Row): void =>
  followPolicy(failure, { ...row, countsAgainstIntensity: counts, retriesTask: again })
