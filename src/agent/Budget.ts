/**
 * What the work on a task may cost. Once it is reached, nothing more is begun: no attempt, no turn, and no further model
 * call within a turn. An answer that is complete counts, also where it went beyond.
 */
import { Deferred, Effect, Schema } from "effect"
import type { TurnTally } from "../claude/TurnTally.ts"
import { addUsage, type TaskUsage } from "../domain/Task.ts"
import type { BudgetOf } from "./AgentError.ts"
import { BudgetSpent } from "./AgentError.ts"

const Count = Schema.Int.pipe(
  Schema.check(Schema.isGreaterThanOrEqualTo(1, { message: "expected a whole number from 1 on" }))
)

export const Budget = Schema.Struct({
  costUsd: Schema.optionalKey(
    Schema.Finite.pipe(Schema.check(Schema.isGreaterThan(0, { message: "expected more than 0 dollars" })))
  ).annotateKey({ description: "Dollars, by the CLI's own estimate, which it gives when a turn has ended" }),
  turns: Schema.optionalKey(Count).annotateKey({ description: "Round trips to the model" }),
  tokens: Schema.optionalKey(Count).annotateKey({
    description: "Tokens read, from the cache too, and written"
  })
}).pipe(
  Schema.check(
    Schema.makeFilter((budget) => Object.values(budget).some((limit) => limit !== undefined), {
      message: "expected at least one of costUsd, turns, tokens",
      toJsonSchema: () => ({ minProperties: 1 })
    })
  )
)
export type Budget = typeof Budget.Type

const used: Readonly<Record<BudgetOf, (usage: TaskUsage) => number>> = {
  costUsd: ({ costUsd }) => costUsd,
  turns: ({ turns }) => turns,
  tokens: ({ inputTokens, outputTokens }) => inputTokens + outputTokens
}

/** The first of them that is reached. */
export const reached = (task: string, budget: Budget | undefined, usage: TaskUsage): BudgetSpent | undefined => {
  for (const of of ["costUsd", "turns", "tokens"] as const) {
    const limit = budget?.[of]
    if (limit !== undefined && used[of](usage) >= limit)
      return new BudgetSpent({ task, of, limit, spent: used[of](usage) })
  }
  return undefined
}

/** Interrupts a turn that goes on when the budget is reached. `before` is what was used when it began. */
export const within =
  (task: string, budget: Budget | undefined, tally: TurnTally, before: TaskUsage) =>
  <A, E, R>(turn: Effect.Effect<A, E, R>): Effect.Effect<A, E | BudgetSpent, R> =>
    Effect.suspend(() => {
      const beforehand = reached(task, budget, before)
      if (beforehand !== undefined) return Effect.fail(beforehand)
      if (budget === undefined) return turn
      const spent = Deferred.makeUnsafe<never, BudgetSpent>()
      tally.onMore = (inTurn) => {
        const fault = reached(task, budget, addUsage(before, inTurn))
        if (fault !== undefined) Deferred.doneUnsafe(spent, Effect.fail(fault))
      }
      return Effect.ensuring(
        Effect.raceFirst(turn, Deferred.await(spent)),
        Effect.sync(() => {
          tally.onMore = undefined
        })
      )
    })
