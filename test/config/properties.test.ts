/** Whatever is given as a config, the answer is a Config or mistakes with places; and no secret is in any of it. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import * as fc from "fast-check"
import { fromUnknown } from "../../src/config/Load.ts"

const decode = (value: unknown, env: Record<string, string> = {}) =>
  Effect.runSyncExit(fromUnknown(value, { file: "config.json", baseDir: "/nowhere", env }))

const big = {
  name: "fleet",
  dataDir: "data",
  claude: { model: "opus", startTimeout: "10 seconds", maxLine: "1 MiB", env: { A: "x" } },
  supervision: { strategy: "rest_for_one", maxRestarts: 1, within: "1 minute" },
  retry: { attempts: 2, delay: "1 second", factor: 1.5, maxDelay: "2 seconds" },
  agents: [
    {
      id: "a",
      replicas: 2,
      taskTypes: ["code"],
      capabilities: ["x"],
      permissions: { mode: "plan", allow: ["Bash"], deny: [] }
    },
    { id: "b", limits: { turns: 3, taskTime: "1 hour" }, restart: { policy: "never" }, session: "keep" }
  ],
  tasks: [{ id: "t", type: "code", prompt: "p", agent: "a", schema: { type: "object" } }, { prompt: "q" }]
}

const isAnswer = (exit: ReturnType<typeof decode>) => {
  if (Exit.isSuccess(exit)) return
  const error = Cause.findErrorOption(exit.cause)
  if (error._tag === "None") throw new Error(`a defect: ${Cause.pretty(exit.cause)}`)
  assert.strictEqual(error.value._tag, "ConfigInvalid")
  assert.isAbove(error.value.mistakes.length, 0)
  for (const { at, expected } of error.value.mistakes) {
    assert.isAbove(at.length, 0)
    assert.isAbove(expected.length, 0)
  }
}

/** Every place of a value. */
const places = (value: unknown, path: ReadonlyArray<string> = []): ReadonlyArray<ReadonlyArray<string>> =>
  typeof value === "object" && value !== null
    ? [path, ...Object.entries(value).flatMap(([key, child]) => places(child, [...path, key]))]
    : [path]

type Change = "delete" | "rename" | "replace"

const mutate = (path: ReadonlyArray<string>, change: Change, by: unknown): unknown => {
  const copy = structuredClone(big) as unknown
  const key = path.at(-1)
  if (key === undefined) return by
  let at = copy as Record<string, unknown>
  for (const step of path.slice(0, -1)) at = at[step] as Record<string, unknown>
  const value = at[key]
  if (change === "replace") at[key] = by
  else delete at[key]
  if (change === "rename") at[`${key}x`] = value
  return copy
}

describe("any config", () => {
  it("of any JSON gets an answer", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => isAnswer(decode(value))),
      { numRuns: 500 }
    )
  })

  it("that was changed at any place gets an answer", () => {
    const change = fc.tuple(
      fc.constantFrom(...places(big)),
      fc.constantFrom<Change>("delete", "rename", "replace"),
      fc.jsonValue()
    )
    fc.assert(
      fc.property(change, ([path, how, by]) => isAnswer(decode(mutate(path, how, by)))),
      { numRuns: 1000 }
    )
  })

  it("with any override gets an answer", () => {
    const name = fc.array(fc.constantFrom("AGENTS", "0", "1", "MODEL", "CLAUDE", "ENV", "NAME", "TASKS", "X", ""), {
      maxLength: 5
    })
    fc.assert(
      fc.property(name, fc.oneof(fc.string(), fc.json()), (segments, value) =>
        isAnswer(decode(big, { [`MISTER_SMITH__${segments.join("__")}`]: value }))
      ),
      { numRuns: 500 }
    )
  })

  it("never tells a secret", () => {
    const secret = fc.uuid()
    fc.assert(
      fc.property(secret, fc.boolean(), fc.boolean(), (value, broken, referred) => {
        const env = { NAME: referred ? { env: "SECRET" } : value }
        const exit = decode(
          { ...big, claude: { env }, ...(broken ? { nmae: 1, agents: [{ id: value.toUpperCase() }] } : {}) },
          { SECRET: value }
        )
        const told = Exit.isSuccess(exit)
          ? `${JSON.stringify(exit.value)} ${String(exit.value)}`
          : Cause.pretty(exit.cause)
        assert.notInclude(told, value)
      }),
      { numRuns: 200 }
    )
  })
})
