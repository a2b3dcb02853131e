/**
 * Whatever is given as a config, the answer is a Config or mistakes with places; all of the mistakes, however they come
 * together; and no secret is in any of it.
 */

import { inspect } from "node:util"
import { Validator } from "@cfworker/json-schema"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Formatter } from "effect"
import * as fc from "fast-check"
import { Files } from "../../src/config/Files.ts"
import { jsonSchema } from "../../src/config/JsonSchema.ts"
import { fromUnknown, load } from "../../src/config/Load.ts"

type Env = Record<string, string>

const decode = (value: unknown, env: Env = {}) =>
  Effect.runSyncExit(fromUnknown(value, { file: "config.json", baseDir: "/nowhere", env }))

/** The same where the file `there` holds a secret. */
const decodeWithFile = (value: unknown, env: Env, secret: string) =>
  Effect.runSyncExit(
    fromUnknown(value, { file: "config.json", baseDir: "/", env }).pipe(
      Effect.provideService(Files, {
        stat: () => Effect.succeed({ kind: "directory" }),
        read: (path) =>
          path === "/there" ? Effect.succeed(new TextEncoder().encode(secret)) : Effect.fail("there is no such file")
      })
    )
  )

/** A file with this content. */
const loaded = (content: Uint8Array, env: Env = {}) =>
  Effect.runPromiseExit(
    load("config.json", env).pipe(
      Effect.provideService(Files, {
        stat: () => Effect.fail("there is no such file"),
        read: () => Effect.succeed(content)
      })
    )
  )

const big = {
  name: "fleet",
  dataDir: "data",
  claude: { model: "opus", startTimeout: "10 seconds", maxLine: "1 MiB", env: { A: "x" } },
  supervision: { strategy: "rest_for_one", maxRestarts: 1, within: "1 minute", escalation: [{ do: "notify" }] },
  retry: { attempts: 2, delay: "1 second", factor: 1.5, maxDelay: "2 seconds" },
  agents: [
    {
      id: "a",
      replicas: 2,
      taskTypes: ["code"],
      capabilities: ["x"],
      permissions: { mode: "plan", allow: ["Bash"], deny: [] }
    },
    {
      id: "b",
      limits: { turns: 3, taskTime: "1 hour", silence: "20 minutes" },
      restart: { policy: "never" },
      session: "keep"
    }
  ],
  tasks: [{ id: "t", type: "code", prompt: "p", agent: "a", schema: { type: "object" } }, { prompt: "q" }]
}

type Answer = Exit.Exit<unknown, Error>

const mistakesIn = (exit: Answer) => {
  if (Exit.isSuccess(exit)) return undefined
  const error = Cause.findErrorOption(exit.cause)
  if (error._tag === "None") throw new Error(`a defect: ${Cause.pretty(exit.cause)}`)
  return error.value
}

const isAnswer = (exit: Answer) => {
  const error = mistakesIn(exit)
  if (error === undefined || ("_tag" in error && error._tag === "ConfigUnreadable")) return
  assert.propertyVal(error, "_tag", "ConfigInvalid")
  const lines = error.message.split("\n").slice(1)
  assert.isAbove(lines.length, 0)
  for (const line of lines) {
    assert.match(line, /^ {2}\S.*: \S/)
    assert.notMatch(line, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    assert.isBelow(line.length, 1000)
  }
}

/** Every place of a value. */
const places = (value: unknown, path: ReadonlyArray<string> = []): ReadonlyArray<ReadonlyArray<string>> =>
  typeof value === "object" && value !== null
    ? [path, ...Object.entries(value).flatMap(([key, child]) => places(child, [...path, key]))]
    : [path]

type Change = "delete" | "rename" | "replace"

const mutate = (path: ReadonlyArray<string>, change: Change, by: unknown, whole: unknown = big): unknown => {
  const copy = structuredClone(whole)
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

const change = fc.tuple(
  fc.constantFrom(...places(big)),
  fc.constantFrom<Change>("delete", "rename", "replace"),
  fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(
      "1 second",
      "0 s",
      "1 GiB",
      "5",
      "",
      "a",
      "\0",
      "x".repeat(5000),
      "1\n\nhour",
      "\u009b\u202e",
      0,
      1,
      -1,
      1e9,
      [],
      {}
    )
  )
)

/** Something wrong in one place, which does not touch what any other of them is about. */
const slips: ReadonlyArray<readonly [at: string, path: ReadonlyArray<string>, value: unknown]> = [
  ["name", ["name"], 5],
  ["dataDir", ["dataDir"], ""],
  ["claude.model", ["claude", "model"], 5],
  ["claude.startTimeout", ["claude", "startTimeout"], "0 s"],
  ["claude.maxLine", ["claude", "maxLine"], "1 bit"],
  ["claude.extra", ["claude", "extra"], 1],
  ["claude.env.A", ["claude", "env", "A"], 5],
  ["claude.env.B.env", ["claude", "env", "B"], { env: "NOPE" }],
  ["supervision.strategy", ["supervision", "strategy"], "all"],
  ["supervision.maxRestarts", ["supervision", "maxRestarts"], -1],
  ["supervision.within", ["supervision", "within"], "1 fortnight"],
  ["supervision.escalation[0].do", ["supervision", "escalation", "0", "do"], "shout"],
  ["retry.attempts", ["retry", "attempts"], 1.5],
  ["retry.maxDelay", ["retry", "maxDelay"], "1 ms"],
  ["retry.factor", ["retry", "factor"], "2"],
  ["agents[0].taskTypes[0]", ["agents", "0", "taskTypes", "0"], "Code"],
  ["agents[0].permissions.mode", ["agents", "0", "permissions", "mode"], "no"],
  ["agents[0].permissions.allow[0]", ["agents", "0", "permissions", "allow", "0"], ""],
  ["agents[1].id", ["agents", "1", "id"], "a-1"],
  ["agents[1].limits.turns", ["agents", "1", "limits", "turns"], 0],
  ["agents[1].limits.taskTime", ["agents", "1", "limits", "taskTime"], "1 fortnight"],
  ["agents[1].restart.policy", ["agents", "1", "restart", "policy"], "always!"],
  ["agents[1].restart.maxDelay", ["agents", "1", "restart", "maxDelay"], 5],
  ["agents[1].workspace", ["agents", "1", "workspace"], "nowhere"],
  ["tasks[0].agent", ["tasks", "0", "agent"], "zzz"],
  ["tasks[0].schema", ["tasks", "0", "schema"], { type: "array" }],
  ["tasks[1].id", ["tasks", "1", "id"], "t"],
  ["tasks[1].prompt", ["tasks", "1", "prompt"], ""]
]

describe("any config", () => {
  it("of any JSON gets an answer", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => isAnswer(decode(value))),
      { numRuns: 500 }
    )
  })

  it("that was changed at any places gets an answer", () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        // A later change may find its place gone.
        const changed = changes.reduce<unknown>((value, [path, how, by]) => {
          try {
            return mutate(path, how, by, value)
          } catch {
            return value
          }
        }, big)
        isAnswer(decode(changed))
      }),
      { numRuns: 1000 }
    )
  })

  it("with any overrides gets an answer", () => {
    const word = fc.constantFrom(
      "AGENTS", "0", "1", "9", "MODEL", "CLAUDE", "ENV", "NAME", "TASKS", "SCHEMA", "ID", "SUPERVISION", "ESCALATION", "DO", "X", "", "__proto__"
    ) // biome-ignore format: one list
    const name = fc.array(word, { maxLength: 5 }).map((segments) => `MISTER_SMITH__${segments.join("__")}`)
    fc.assert(
      fc.property(fc.dictionary(name, fc.oneof(fc.string(), fc.json()), { maxKeys: 4 }), (env) =>
        isAnswer(decode(big, { ...env }))
      ),
      { numRuns: 500 }
    )
  })

  it("of any bytes gets an answer, a file of JSON with a slip of the keyboard too", async () => {
    const text = JSON.stringify(big, undefined, 1)
    const slip = fc
      .tuple(
        fc.nat(text.length),
        fc.nat(3),
        fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom('"', "{", "[", "\\", "\n", "/*"))
      )
      .map(([at, gone, typed]) => text.slice(0, at) + typed + text.slice(at + gone))
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 50 }),
      slip.map((each) => new TextEncoder().encode(each))
    )
    await fc.assert(
      fc.asyncProperty(bytes, async (content) => isAnswer(await loaded(content))),
      { numRuns: 500 }
    )
  })

  it("is told all of its mistakes, whichever come together", () => {
    fc.assert(
      fc.property(fc.subarray([...slips], { minLength: 1 }), (some) => {
        const value = some.reduce<unknown>((value, [, path, by]) => mutate(path, "replace", by, value), big)
        const told = mistakesIn(decode(value))?.message ?? ""
        for (const [at] of some) assert.include(told, `\n  ${at}: `)
        assert.lengthOf(told.split("\n"), some.length + 1, told)
      }),
      { numRuns: 500 }
    )
  })

  it("that is good is good for an editor too", () => {
    const validator = new Validator(jsonSchema(), "7")
    fc.assert(
      fc.property(change, ([path, how, by]) => {
        const value = mutate(path, how, by)
        if (Exit.isFailure(decode(value))) return
        const { errors, valid } = validator.validate(value)
        assert.isTrue(valid, JSON.stringify(errors))
      }),
      { numRuns: 1000 }
    )
  })

  it("never tells a secret, in whatever shape it is", () => {
    const secret = fc.constantFrom("s3cr3t-", "ghp_", "sk-ant-").chain((begin) => fc.uuid().map((uuid) => begin + uuid))
    const shape = fc.constantFrom<(secret: string) => unknown>(
      (secret) => ({ env: { NAME: secret } }),
      (secret) => ({ env: { NAME: { env: "SECRET" }, OTHER: `${secret}\0` } }),
      () => ({ env: { NAME: { file: "there" }, OTHER: { env: "SECRET" } } }),
      (secret) => ({ env: { NAME: { env: secret } } }),
      (secret) => ({ env: { NAME: { file: secret } } }),
      (secret) => ({ env: { NAME: { env: secret, file: secret } } }),
      (secret) => ({ env: { NAME: [secret] } }),
      (secret) => ({ env: { NAME: { evn: secret } } }),
      (secret) => ({ env: { [`NAME=${secret}`]: "" } }),
      (secret) => ({ env: [secret] }),
      (secret) => ({ env: secret }),
      (secret) => [{ env: { NAME: secret } }],
      (secret) => secret
    )
    const around = fc.constantFrom<(claude: unknown) => unknown>(
      (claude) => ({ ...big, claude }),
      (claude) => ({ ...big, claude, nmae: 1, agents: [{ id: "A" }] }),
      (claude) => ({ ...big, cluade: claude }),
      (claude) => ({ ...big, agents: { claude } }),
      (claude) => [{ ...big, claude }],
      (claude) => claude
    )
    fc.assert(
      fc.property(secret, shape, around, fc.boolean(), (value, shape, around, overridden) => {
        const claude = shape(value)
        const exit = overridden
          ? decodeWithFile(
              big,
              {
                SECRET: value,
                MISTER_SMITH__CLAUDE: JSON.stringify(claude).slice(0, -1),
                MISTER_SMITH__CLAUDE__ENV__X: value
              },
              value
            )
          : decodeWithFile(around(claude), { SECRET: value }, value)
        const answer = Exit.isSuccess(exit) ? exit.value : exit.cause
        const words = Exit.isSuccess(exit) ? "" : Cause.pretty(exit.cause)
        for (const told of [
          words,
          String(answer),
          JSON.stringify(answer),
          inspect(answer, { depth: 20, showHidden: true }),
          Formatter.format(answer)
        ])
          assert.notInclude(told, value)
      }),
      { numRuns: 500 }
    )
  })
})
