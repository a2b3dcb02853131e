/** The check of who may import whom finds what it is there to find. */
import { assert, describe, it } from "vitest"
import { breaches } from "../../scripts/imports.ts"

const why = (files: Record<string, string>) => breaches(new Map(Object.entries(files))).map((breach) => breach.why)

describe("the check of imports", () => {
  it("lets a room know what is below it", () => {
    assert.deepStrictEqual(why({ "agent/Agent.ts": 'import { x } from "../claude/ClaudeSession.ts"\n' }), [])
    assert.deepStrictEqual(why({ "task/A.ts": 'import type { F } from "../domain/Fault.ts"\n' }), [])
  })

  it("finds a look upwards, also a dynamic one, one of a type, and one over several lines", () => {
    assert.deepStrictEqual(why({ "claude/A.ts": 'import { x } from "../agent/Agent.ts"\n' }), [
      "claude must not know agent"
    ])
    assert.deepStrictEqual(why({ "process/A.ts": 'const x = await import("../claude/B.ts")\n' }), [
      "process must not know claude"
    ])
    assert.deepStrictEqual(why({ "supervision/A.ts": 'import type {\n  A,\n  B\n} from "../agent/Agent.ts"\n' }), [
      "supervision must not know agent"
    ])
    assert.deepStrictEqual(why({ "agent/A.ts": 'export * from "../config/Config.ts"\n' }), [
      "agent must not know config"
    ])
  })

  it("finds a circle between mechanisms", () => {
    const found = why({ "event/A.ts": 'import "../state/B.ts"\n', "state/B.ts": 'import "../event/A.ts"\n' })
    assert.deepStrictEqual(found, ["rooms import each other in a circle"])
  })

  it("finds a package outside of the one place that may name it", () => {
    assert.lengthOf(why({ "agent/A.ts": 'import { x } from "@effect/platform-node"\n' }), 1)
    assert.lengthOf(why({ "main.ts": 'import { x } from "@effect/platform-node/NodeServices"\n' }), 0)
    assert.lengthOf(why({ "agent/A.ts": 'import { spawn } from "node:child_process"\n' }), 1)
    assert.lengthOf(why({ "task/A.ts": 'import { connect } from "nats"\n' }), 1)
  })

  it("finds a room that is not in the plan", () => {
    assert.lengthOf(why({ "helpers/A.ts": "" }), 1)
  })
})
