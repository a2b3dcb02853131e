/**
 * Takes what an agent's CLI prints, for the agent's own log files. Whoever runs CLIs tells it and waits for
 * nothing; where no files are kept it goes nowhere.
 */
import { Context } from "effect"

export interface AgentLog {
  /** A whole line, in which nothing is secret any more. */
  stderr(agent: string, session: string | undefined, line: string): void
  /** A whole line of its stream-json, in which nothing is secret any more. Undefined where nobody keeps them. */
  readonly stream?: ((agent: string, line: string) => void) | undefined
}

export const AgentLog = Context.Reference<AgentLog>("mister-smith/observability/AgentLog", {
  defaultValue: () => ({ stderr: () => {} })
})
