import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { program } from "./example.ts"

const here = new URL(".", import.meta.url)
const page = readFileSync(new URL("../../docs/supervision.md", here), "utf8")

describe("the page on supervision", () => {
  it("shows the example as it is", () => {
    assert.include(page, readFileSync(new URL("example.ts", here), "utf8"))
  })

  it("names a test that exists in each row of its table", () => {
    const tests = readdirSync(here)
      .filter((file) => file.endsWith(".test.ts"))
      .map((file) => readFileSync(new URL(file, here), "utf8"))
      .join("\n")
      // A name may be made of the strategy and a sentence.
      .replaceAll(/\$\{[a-z]+\}/g, "one_for_one")
    const table = page.slice(page.indexOf("| | Erlang/OTP"), page.indexOf("## What may be set"))
    const rows = table.trim().split("\n").slice(2)
    assert.isAbove(rows.length, 40)
    const missing = rows
      .map((row) => row.split(" | ").at(-1)?.replace(/ \|$/, "") ?? "")
      .filter((name) => !tests.includes(name.replace("one_for_all_other", "one_for_one_other")))
    assert.deepStrictEqual(missing, [])
  })

  it.effect("has an example that does what it says", () =>
    Effect.gen(function* () {
      const running = yield* Effect.forkScoped(program(7))
      yield* TestClock.adjust("7 seconds")
      assert.deepStrictEqual(yield* Fiber.join(running), [
        "store opened",
        "reader started",
        "tick",
        "tick",
        "store closed",
        "store: ConnectionLost: the connection is gone, for the 1. time; it and those after it are restarted in 1 second",
        "reader stopped",
        "tick",
        "store opened",
        "reader started",
        "tick",
        "tick",
        "store closed",
        "reader stopped",
        'data: SupervisorGaveUp: supervisor "example/data" gave up: child "store" failed, and more than 1 restarts within 1 minute are not allowed; the last failure was ConnectionLost: the connection is gone, for the 2. time; it is restarted at once',
        "store opened",
        "reader started",
        "tick",
        '"example/data" has run for 1 second; it has been restarted once, last because of SupervisorGaveUp: supervisor "example/data" gave up: child "store" failed, and more than 1 restarts within 1 minute are not allowed; the last failure was ConnectionLost: the connection is gone, for the 2. time.'
      ])
    })
  )
})
