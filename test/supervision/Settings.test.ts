import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import * as RestartPolicy from "../../src/supervision/RestartPolicy.ts"
import { SupervisionSettings } from "../../src/supervision/SupervisionSettings.ts"

describe("settings", () => {
  it("have good defaults", () => {
    const settings = Schema.decodeUnknownSync(SupervisionSettings)({})
    assert.strictEqual(settings.strategy, "one_for_one")
    assert.strictEqual(settings.maxRestarts, 3)
    assert.strictEqual(Duration.toMillis(settings.within), 60_000)
  })

  it("refuse what cannot be", () => {
    const decode = Schema.decodeUnknownSync(SupervisionSettings)
    for (const bad of [{ maxRestarts: -1 }, { maxRestarts: 0.5 }, { within: "soon" }, { strategy: "all" }]) {
      assert.throws(() => decode(bad))
    }
  })

  it("map each restart policy onto a type and a backoff", () => {
    const decode = Schema.decodeUnknownSync(RestartPolicy.RestartPolicy)
    const map = (policy: unknown) => RestartPolicy.toChild(decode(policy))
    assert.deepStrictEqual(map({ policy: "never", initialDelay: "1 second" }), { restart: "temporary" })
    assert.deepStrictEqual(map({ policy: "always" }), { restart: "permanent" })
    assert.deepStrictEqual(map({ policy: "on_failure" }), { restart: "transient" })
    assert.deepStrictEqual(map({ policy: "unless_stopped" }), { restart: "permanent" })
    const { backoff, restart } = map({})
    assert.strictEqual(restart, "permanent")
    assert.deepInclude(backoff, { initialDelay: "1 second", factor: 2, jitter: "full" })
    assert.strictEqual(Duration.toMillis(backoff?.maxDelay ?? 0), 60_000)
    assert.strictEqual(Duration.toMillis(backoff?.resetAfter ?? 0), 300_000)
    const waiting = map({ policy: "on_failure", initialDelay: "5 seconds" })
    assert.strictEqual(waiting.restart, "transient")
    assert.strictEqual(Duration.toMillis(waiting.backoff?.initialDelay ?? 0), 5_000)
  })
})
