/** The same source under Deno, with the real CLI. */
import { join } from "node:path"
import { assert, it } from "vitest"
import { processesWith, root } from "../utils/Binary.ts"
import { agent, fake, fleet, resultOf } from "../utils/Fleet.ts"

const deno = join(root, "node_modules", ".bin", "deno")

it("runs a fleet under Deno as under Bun", async () => {
  await using it = await fleet({
    command: [deno, "run", "-A", join(root, "src/main.ts")],
    env: { DENO_NO_UPDATE_CHECK: "1" }
  })
  const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] }
  const bash = { tool: "Bash", input: { command: "setsid sleep 1031 >/dev/null 2>&1 & echo hi", description: "d" } }
  const { code, lines, stderr } = await it.once({
    agents: [agent({ permissions: { allow: ["Bash"] } })],
    tasks: [
      { id: "tool", prompt: fake(bash, { text: "done under Deno" }) },
      { id: "data", prompt: fake({ structured: { n: 5 } }), schema }
    ]
  })
  assert.strictEqual(code, 0, stderr)
  assert.include(resultOf(lines, "tool"), { status: "succeeded", text: "done under Deno" })
  assert.deepStrictEqual(resultOf(lines, "data")?.["output"], { n: 5 })
  assert.deepStrictEqual(processesWith(it.dir), [])
})

it("tells mistakes in a config under Deno too", async () => {
  await using it = await fleet({ command: [deno, "run", "-A", join(root, "src/main.ts")] })
  const { code, stderr } = await it.once({ agents: [{ id: "a", replcas: 2 }] })
  assert.strictEqual(code, 2)
  assert.match(stderr, /agents\[0\]\.replcas .*did you mean "replicas"/)
})
