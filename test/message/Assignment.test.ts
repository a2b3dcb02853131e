/** Work travels whole: what a task may say and how it ended arrive as they were, though this room knows but a part of it. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { type TaskResult as Ended, noUsage } from "../../src/domain/Task.ts"
import { resultOf, TaskAssignment } from "../../src/message/Assignment.ts"
import * as Envelope from "../../src/message/Envelope.ts"
import type { Message } from "../../src/message/Message.ts"
import { TaskSpec } from "../../src/task/TaskSpec.ts"
import { root } from "../utils/Binary.ts"

const travel = (message: Message) =>
  Effect.runSync(
    Effect.flatMap(Envelope.encode({ version: 1, id: "m", ...message }), (bytes) => Envelope.decode(bytes))
  )
const decodeSpec = Schema.decodeUnknownSync(TaskSpec, { onExcessProperty: "error" })
const encodeSpec = Schema.encodeSync(TaskSpec)

describe("a task", () => {
  const docs = readFileSync(join(root, "docs/tasks.md"), "utf8")
  const said = [...docs.matchAll(/```json\n(.*?)```/gs)].flatMap(([, text = ""]) => {
    const json = JSON.parse(text.trimStart().startsWith('"') ? `{${text}}` : text)
    return json.tasks ?? (json.prompt === undefined ? [] : [json])
  })

  it("arrives as the docs of tasks have it", () => {
    assert.isAbove(said.length, 3)
    for (const task of said) {
      const { type = "task", ...rest } = task
      const { body } = travel({
        type: "TaskAssignment",
        body: Schema.decodeUnknownSync(TaskAssignment)({ type, ...rest })
      })
      assert.deepStrictEqual(decodeSpec(body), decodeSpec({ type, ...rest }))
    }
  })

  it("knows no key that a task does not have", () => {
    const here = Object.keys(TaskAssignment.schema.fields)
    assert.includeMembers(Object.keys(TaskSpec.fields), here)
  })

  it.prop("arrives whatever it says", [TaskSpec], ([spec]) => {
    const written = encodeSpec(spec)
    const { body } = travel({ type: "TaskAssignment", body: written as TaskAssignment })
    assert.deepStrictEqual(
      encodeSpec(decodeSpec(body)),
      JSON.parse(JSON.stringify(encodeSpec(decodeSpec(JSON.parse(JSON.stringify(written))))))
    )
  })
})

describe("a result", () => {
  const ended: Ended = {
    task: "t-1",
    status: "succeeded",
    text: "done",
    output: { a: [1, null] },
    fault: undefined,
    agent: "a",
    session: "s",
    attempts: 2,
    denied: ["Bash"],
    usage: { ...noUsage, turns: 3, costUsd: 0.25 },
    tookMillis: 1200,
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
  }

  it("arrives with all that the ledger says of it, and the attempt", () => {
    const { fault: _, ...rest } = ended
    const { body } = travel({ type: "TaskResult", body: resultOf(ended, { attempt: 2, node: "n" }) })
    assert.deepStrictEqual(body as unknown, { ...rest, attempt: 2, node: "n" })
  })

  it("of a failure arrives with the fault", () => {
    const fault = {
      kind: "RateLimited",
      message: "later",
      severity: "medium",
      recovery: "retry",
      hint: "wait"
    } as const
    const failed: Ended = { ...ended, status: "failed", output: undefined, agent: undefined, session: undefined, fault }
    const { body } = travel({ type: "TaskResult", body: resultOf(failed, { attempt: 2 }) })
    assert.deepInclude(body as object, { status: "failed", fault, attempt: 2 })
    assert.notProperty(body, "output")
  })
})
