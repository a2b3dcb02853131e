/**
 * Takes what an agent's CLI prints on stderr, for the agent's own log file. Whoever runs CLIs tells it and waits for
 * nothing; where no files are kept it goes nowhere.
 */
import { Context } from "effect"

export interface AgentLog {
  /** A whole line, in which nothing is secret any more. */
  stderr(agent: string, session: string | undefined, line: string): void
}

export const AgentLog = Context.Reference<AgentLog>("mister-smith/observability/AgentLog", {
  defaultValue: () => ({ stderr: () => {} })
})
