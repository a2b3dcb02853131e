/** What a task has cost, as the difference of two results of one CLI. */
import { assert, it } from "@effect/vitest"
import { spentUpTo } from "../../src/claude/Spent.ts"
import { noUsage, usageSince } from "../../src/domain/Task.ts"

const model = (tokens: number) => ({
  inputTokens: tokens,
  outputTokens: tokens,
  cacheReadInputTokens: 0,
  cacheCreationInputTokens: 0
})
const result = (total_cost_usd: number, tokens?: number) =>
  ({
    num_turns: 1,
    total_cost_usd,
    modelUsage: tokens === undefined ? {} : { some: model(tokens) }
  }) as unknown as Parameters<typeof spentUpTo>[0]

it("a turn costs what the CLI has counted since the one before", () => {
  const first = spentUpTo(result(0.25, 100), noUsage)
  assert.deepStrictEqual(usageSince(first, spentUpTo(result(0.75, 300), first)), {
    turns: 1,
    inputTokens: 200,
    outputTokens: 200,
    costUsd: 0.5
  })
})

it("a turn in which the CLI broke down and counted nothing costs nothing, and the one after it no more than it did", () => {
  const first = spentUpTo(result(0.25, 100), noUsage)
  const broken = spentUpTo(result(0), first)
  assert.deepStrictEqual(usageSince(first, broken), { turns: 1, inputTokens: 0, outputTokens: 0, costUsd: 0 })
  assert.strictEqual(usageSince(broken, spentUpTo(result(0.75, 300), broken)).costUsd, 0.5)
})
