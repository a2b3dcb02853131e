import { assert, it } from "@effect/vitest"
import { Duration } from "effect"
import { Overloaded, RateLimited, SessionCrashed } from "../../src/claude/ClaudeFailure.ts"
import { delayMillis } from "../../src/task/RetryPolicy.ts"
import { retry } from "../utils/Specs.ts"

const overloaded = new Overloaded({ status: 529, detail: "" })

it("waits longer after each attempt, up to the bound", () => {
  const delays = [1, 2, 3, 10].map((attempt) => delayMillis(retry, attempt, overloaded, 0))
  assert.deepStrictEqual(delays, [5_000, 10_000, 20_000, Duration.toMillis(retry.maxDelay)])
})

it("waits for the end of a limit that names it, and a little longer", () => {
  const limited = new RateLimited({ resetsAt: 1_000, detail: "" })
  assert.isAbove(delayMillis(retry, 1, limited, 400_000), 600_000)
})

it("does not wait where the agent must restart first", () => {
  const crashed = new SessionCrashed({ exitCode: null, signal: "SIGKILL", inTurn: true, stderr: "" })
  assert.strictEqual(delayMillis(retry, 1, crashed, 0), 0)
})
