/** Links that tests cut: whether they are cut, and whether the machine is as it was. */
import { spawnSync } from "node:child_process"
import { networkInterfaces } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { root } from "../utils/Binary.ts"
import { network, noNetns, ownNetwork } from "../utils/Netns.ts"

if (noNetns !== undefined) console.warn(`skipped, links cannot be cut here: ${noNetns}`)

describe.skipIf(noNetns !== undefined)("a network of a test's own", () => {
  it("has places whose links are cut and mended, and leaves nothing in the machine's network", () => {
    const before = Object.keys(networkInterfaces())
    const { command, env } = ownNetwork([process.execPath, join(root, "test/fixtures/linked.ts")])
    const [program = "", ...args] = command
    const { status, stderr, stdout } = spawnSync(program, args, { env: { ...process.env, ...env }, encoding: "utf8" })
    assert.strictEqual(status, 0, stderr)
    assert.deepStrictEqual(JSON.parse(stdout), ["here", "silence", "here", "silence", "here"])
    assert.deepStrictEqual(Object.keys(networkInterfaces()), before)
  }, 120_000)

  it("is not made in the machine's own network", () => {
    assert.throws(() => network(), /the machine's own network/)
  })
})
