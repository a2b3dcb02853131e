import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { checkOutput } from "../../src/agent/StructuredOutput.ts"
import type { TurnOk } from "../../src/claude/ClaudeFailure.ts"

const turn = (output: unknown): TurnOk => ({
  _tag: "TurnOk",
  text: "",
  output,
  sessionId: "s",
  turns: 1,
  usage: { input_tokens: 0, output_tokens: 0 },
  totalCostUsd: 0,
  modelUsage: {},
  stopReason: null,
  denials: [],
  denied: []
})
const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"], additionalProperties: false }

describe("an answer", () => {
  it.effect("that the schema asks for is passed on, and any is without a schema", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* checkOutput(turn({ n: 1 }), schema)).output, { n: 1 })
      assert.deepStrictEqual((yield* checkOutput(turn("x"), undefined)).output, "x")
    })
  )

  it.effect("that the schema does not ask for is invalid, and it is said where", () =>
    Effect.gen(function* () {
      for (const output of [{ n: "one" }, {}, { n: 1, m: 2 }, "n", null]) {
        const error = yield* Effect.flip(checkOutput(turn(output), schema))
        assert.strictEqual(error._tag, "OutputInvalid")
        assert.isAbove(error.problems.length, 0)
      }
    })
  )

  it.effect("to a schema that is wrong itself is invalid, not a defect", () =>
    Effect.gen(function* () {
      for (const wrong of [{ type: "object", properties: { n: { pattern: "(" } } }, { $ref: "#/nowhere" }]) {
        const error = yield* Effect.flip(checkOutput(turn({ n: "x" }), wrong))
        assert.include(error.message, "the schema itself is wrong")
      }
    })
  )
})
