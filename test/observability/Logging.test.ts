import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Cause, Effect, Logger, Schema } from "effect"
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { EventBus } from "../../src/event/EventBus.ts"
import { inModule } from "../../src/observability/Log.ts"
import * as Logging from "../../src/observability/Logging.ts"
import { toJson, toLogfmt } from "../../src/observability/LogLine.ts"
import { LogSettings, lowest, MODULES, passes } from "../../src/observability/LogSettings.ts"
import { root, tempDir } from "../utils/Binary.ts"
import { ProcessExited } from "./fault.ts"

const settings = (input: typeof LogSettings.Encoded = {}) => Schema.decodeSync(LogSettings)(input)

/** Does this with logs in a directory, and answers with what the files hold. */
const logged = async (
  input: typeof LogSettings.Encoded,
  act: Effect.Effect<void, never, EventBus>,
  others: ReadonlyArray<Logger.Logger<unknown, void>> = []
) => {
  using dir = tempDir()
  await Effect.runPromise(
    act.pipe(
      Effect.provide(Logging.layer({ ...settings(input), dataDir: dir.path, agents: ["worker"] })),
      Effect.provide(EventBus.layer),
      Effect.provide(Logger.layer(others))
    )
  )
  const read = (name: string) => {
    const path = join(dir.path, "logs", name)
    return existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : []
  }
  return { runtime: read("runtime.log"), worker: read("agents/worker.log") }
}

const parse = (lines: ReadonlyArray<string>) => lines.map((line) => JSON.parse(line) as Record<string, unknown>)

describe("logging", () => {
  it("writes a line with time, level, module, whom it is about, and the cause by its kind", async () => {
    const { runtime } = await logged(
      {},
      inModule("task")(Effect.logWarning("it failed", Cause.fail(new ProcessExited({ code: 3 })))).pipe(
        Effect.annotateLogs({ agent: "worker", task: "t", attempt: 2 })
      )
    )
    const [line] = parse(runtime)
    assert.deepInclude(line, { level: "warn", module: "task", agent: "worker", task: "t", message: "it failed" })
    assert.deepInclude(line?.["cause"], { kind: "ProcessExited", severity: "high", message: "exited with 3" })
    assert.match(String(line?.["time"]), /^\d{4}-.*Z$/)
  })

  it("has a level for each module, for every logger; what no module wants is not even made", async () => {
    const heard: Array<unknown> = []
    let made = 0
    const each = Effect.forEach(["supervision", "task", "claude"] as const, (module) =>
      inModule(module)(
        Effect.andThen(
          Effect.logDebug({ toJSON: () => `d-${module}-${++made}` }),
          Effect.andThen(Effect.logTrace({ toJSON: () => made++ }), Effect.logInfo(`i-${module}`))
        )
      )
    )
    const { runtime } = await logged(
      { level: "info", modules: { supervision: "debug", claude: "off" } },
      Effect.asVoid(each),
      [Logger.make(({ message }) => void heard.push(JSON.stringify(message)))]
    )
    assert.deepStrictEqual(
      parse(runtime).map(({ message }) => message),
      ['"d-supervision-2"', "i-supervision", "i-task"]
    )
    assert.deepStrictEqual(heard, ['["d-supervision-1"]', '["i-supervision"]', '["i-task"]'])
    assert.strictEqual(made, 2)
  })

  it("keeps what concerns an agent in a file of its own, to the last event before the end", async () => {
    const { runtime, worker } = await logged(
      {},
      Effect.gen(function* () {
        const bus = yield* EventBus
        yield* bus.publish({ type: "task.progress", task: "t", agent: "worker", doing: "text", detail: "hello" })
        for (let attempt = 1; attempt <= 3000; attempt++) {
          yield* bus.publish({
            type: "api.retry",
            agent: "worker",
            attempt,
            status: 529,
            delayMillis: 1,
            error: "busy"
          })
          if (attempt % 1000 === 0) yield* Effect.sleep(1)
        }
      })
    )
    const attempts = parse(worker).map((line) => line["attempt"])
    assert.lengthOf(attempts, 3001)
    assert.strictEqual(attempts.at(-1), 3000)
    // What an agent says in between is for its own file.
    assert.notInclude(runtime.join("\n"), "hello")
    assert.deepInclude(parse(runtime).at(-1), { module: "claude", message: "api.retry", agent: "worker" })
  })

  it("writes no files where none are wanted", async () => {
    const { runtime, worker } = await logged({ file: false }, Effect.logError("no"))
    assert.deepStrictEqual([...runtime, ...worker], [])
  })

  it("knows every room that there is", () => {
    const rooms = readdirSync(join(root, "src"), { withFileTypes: true }).flatMap((each) =>
      each.isDirectory() && each.name !== "domain" ? [each.name] : []
    )
    assert.includeMembers([...MODULES], rooms)
  })

  it("lets pass what is at least the level of its module", () => {
    const of = settings({ level: "warn", modules: { task: "trace", claude: "off" } })
    assert.strictEqual(lowest(of), "Trace")
    assert.strictEqual(lowest(settings({ level: "off" })), "None")
    const levels = ["Trace", "Debug", "Info", "Warn", "Error", "Fatal"] as const
    const passing = (module: string | undefined) => levels.filter((level) => passes(of, module, level))
    assert.deepStrictEqual(passing("task"), [...levels])
    assert.deepStrictEqual(passing("claude"), [])
    assert.deepStrictEqual(passing(undefined), ["Warn", "Error", "Fatal"])
    assert.deepStrictEqual(passing("constructor"), ["Warn", "Error", "Fatal"])
  })

  it("never writes more than one line for a line, and none that is too long", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.anything()), fc.string(), fc.nat(40_000), (fields, text, repeat) => {
        const line = { time: "2026-01-01T00:00:00.000Z", ...fields, message: text.repeat(repeat).slice(0, 100_000) }
        for (const written of [safely(() => toJson(line)), safely(() => toLogfmt(line))]) {
          assert.notMatch(written, /[\n\r]/)
          assert.isAtMost(Buffer.byteLength(written), 64 * 1024)
        }
      })
    )
  })
})

/** Some values have no JSON. */
const safely = (act: () => string): string => {
  try {
    return act()
  } catch (error) {
    assert.instanceOf(error, TypeError)
    return ""
  }
}
