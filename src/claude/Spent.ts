/** What a CLI has spent since its start, from what it says at the end of a turn. Pure. */
import type { TaskUsage } from "../domain/Task.ts"
import type { ModelUsage, Result } from "./ClaudeResult.ts"

/**
 * It counts money and tokens since its start, and turns anew in each result. One that breaks down in a turn says at its end
 * that it has spent nothing at all: what it has said before stands, or the turn would have earned what those before it cost.
 */
export const spentUpTo = (
  result: Pick<Result, "num_turns" | "total_cost_usd" | "modelUsage">,
  before: TaskUsage
): TaskUsage => {
  const models = Object.values(result.modelUsage)
  const sum = (of: (model: ModelUsage) => number) => models.reduce((total, model) => total + of(model), 0)
  return {
    turns: before.turns + result.num_turns,
    inputTokens: Math.max(
      before.inputTokens,
      sum((model) => model.inputTokens + model.cacheReadInputTokens + model.cacheCreationInputTokens)
    ),
    outputTokens: Math.max(
      before.outputTokens,
      sum((model) => model.outputTokens)
    ),
    costUsd: Math.max(before.costUsd, result.total_cost_usd)
  }
}
