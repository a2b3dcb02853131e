/** Who gets which task, through the compiled binary: spokes by type, a plugin in TypeScript, and why a task waits. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { finish, root } from "../utils/Binary.ts"
import { agent, fake, fleet, resultOf } from "../utils/Fleet.ts"

const answer = fake({ text: "done" })
const deno = join(root, "node_modules", ".bin", "deno")

describe("routing", () => {
  it("gives each type of task to its spoke, and the rest to the default", async () => {
    await using it = await fleet()
    const { code, lines, stderr } = await it.once({
      routing: { strategy: "hub_and_spoke" },
      agents: ["analyst", "agent", "coder", "researcher"].map((id) => agent({ id })),
      tasks: [
        { id: "r", type: "research", prompt: answer },
        { id: "c1", type: "code", prompt: answer },
        { id: "c2", type: "code", prompt: answer },
        { id: "a", type: "analysis", prompt: answer },
        { id: "x", type: "other", prompt: answer },
        { id: "named", type: "code", agent: "analyst", prompt: answer }
      ]
    })
    assert.strictEqual(code, 0, stderr)
    assert.deepStrictEqual(
      ["r", "c1", "c2", "a", "x", "named"].map((id) => resultOf(lines, id)?.["agent"]),
      ["researcher", "coder", "coder", "analyst", "agent", "analyst"]
    )
  })

  /** The last of all agents, but for a type for which it throws. */
  const plugin = `
    import type { RoutingPlugin } from "mister-smith"
    const route: RoutingPlugin = (task, agents): string | undefined => {
      if (task.type === "bad") throw new Error("I do not know " + task.type)
      return agents.find(({ id }) => id === "two")?.id
    }
    export default route
  `
  const config = {
    routing: { strategy: "plugin", plugin: "route.ts" },
    agents: [agent({ id: "one" }), agent({ id: "two" })]
  }

  for (const [runtime, command] of [
    ["the compiled binary", undefined],
    ["Deno", [deno, "run", "-A", join(root, "src/main.ts")]]
  ] as const) {
    it(`asks a plugin in TypeScript, and goes on without it where it throws, under ${runtime}`, async () => {
      await using it = await fleet(command === undefined ? {} : { command, env: { DENO_NO_UPDATE_CHECK: "1" } })
      writeFileSync(join(it.dir, "route.ts"), plugin)
      const { lines, waitFor } = it.run(config, "--json")
      // What is not idle is not offered.
      for (const id of ["one", "two"])
        await waitFor(
          `${id} is idle`,
          (line) => line.type === "agent.state" && line["agent"] === id && line["to"] === "idle"
        )
      const perform = async (type: string) => {
        const where = ["--config", join(it.dir, "config.json"), "--json", "--wait"]
        const { lines: answers, stderr } = await finish(["submit", answer, "--type", type, ...where], { cwd: it.dir })
        assert.include(answers[0], { type: "task.result", status: "succeeded" }, stderr)
        return answers[0]
      }
      assert.strictEqual((await perform("good"))?.["agent"], "two")
      const bad = await perform("bad")
      await perform("bad")
      const told = lines.filter(({ type }) => type === "routing.fallback")
      assert.lengthOf(told, 1)
      assert.include(told[0], { strategy: "plugin", task: bad?.["task"], why: "threw", detail: "I do not know bad" })
    })
  }

  it("does not start with a plugin that cannot be asked, and says why", async () => {
    await using it = await fleet()
    writeFileSync(join(it.dir, "route.ts"), "export const route = 1")
    const { code, lines, stderr } = await it.once(config)
    assert.notStrictEqual(code, 0)
    assert.match(stderr, /route\.ts must have a function as its default export, found none/)
    assert.isUndefined(lines.find(({ type }) => type === "session.ready"))
    const missing = it.config({ ...config, routing: { strategy: "plugin", plugin: "rout.ts" } })
    const checked = await finish(["check", missing])
    assert.strictEqual(checked.code, 2)
    assert.match(checked.stdout + checked.stderr, /routing\.plugin .*expected a file that exists, found "rout\.ts"/)
  })

  it("lets nobody have what he is not able to do, and says for whom a task waits", async () => {
    await using it = await fleet()
    const settings = {
      agents: [agent({ id: "able", capabilities: ["rust"] }), agent({ id: "other" })],
      tasks: [{ id: "long", capabilities: ["rust"], prompt: fake({ delay: 600_000 }) }]
    }
    const running = it.run(settings, "--json")
    await running.waitFor("its start", (line) => line.type === "task.state" && line["to"] === "running")
    const ask = (...args: ReadonlyArray<string>) =>
      finish([...args, "--config", join(it.dir, "config.json")], { cwd: it.dir })
    await running.waitFor("a second agent", (line) => line.type === "session.ready" && line["agent"] === "other")
    assert.strictEqual((await ask("submit", "x", "--id", "next", "--requires", "rust")).code, 0)
    const why = await ask("explain", "next")
    assert.strictEqual(
      why.stdout.trim(),
      'task "next" is queued, and waits for an agent that takes tasks of type "task" and can do "rust": able performs "long".'
    )
    const json = await ask("explain", "long", "--task", "--json")
    assert.match(String(json.lines[0]?.["why"] ?? json.stdout), /is performed by able, attempt 1/)
    const nobody = await ask("submit", "x", "--id", "none", "--requires", "rust, gpu", "--wait")
    assert.strictEqual(nobody.code, 1)
    assert.match(nobody.stderr, /missing is "gpu"/)
    const unknown = await ask("explain", "nothing-like-it")
    assert.strictEqual(unknown.code, 2)
    assert.match(unknown.stderr, /its agents are able, other/)
  })
})
