import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { root } from "../utils/Binary.ts"

describe("docs/events.md", () => {
  it("has every type of event there is", () => {
    const text = readFileSync(join(root, "docs/events.md"), "utf8")
    const types = [...readFileSync(join(root, "src/event/Event.ts"), "utf8").matchAll(/readonly type: "([a-z_.]+)"/g)]
    assert.isAbove(types.length, 10)
    assert.deepStrictEqual(
      types.map(([, type]) => type).filter((type) => !text.includes(`| \`${type}\` |`)),
      []
    )
  })
})
