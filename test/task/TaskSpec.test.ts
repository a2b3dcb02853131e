import { assert, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { TaskSpec } from "../../src/task/TaskSpec.ts"

const read = (more: object) => Result.isSuccess(Schema.decodeUnknownResult(TaskSpec)({ prompt: "p", ...more }))

it("takes whole priorities from -10 to 10", () => {
  for (const priority of [-10, 0, 10]) assert.isTrue(read({ priority }), String(priority))
  for (const priority of [-11, 11, 0.5, "1", Number.NaN]) assert.isFalse(read({ priority }), String(priority))
})

it("takes a time with its zone or a duration, and nothing that would have to be guessed", () => {
  for (const notBefore of [
    "2030-01-31T08:00:00Z",
    "2030-01-31T08:00+02:00",
    "2 hours",
    "30 s",
    "2030-01-31T08:00:00.5Z"
  ])
    assert.isTrue(read({ notBefore }), notBefore)
  for (const notBefore of ["2030-01-31T08:00:00", "2030-01-31", "2030-13-31T08:00:00Z", "tomorrow", "5", "-1 hour", ""])
    assert.isFalse(read({ notBefore }), notBefore)
})
