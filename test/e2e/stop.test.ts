/** How a run ends, and that nothing is left of it: looked up in /proc by what only this test's processes have in their environment. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { childrenOf, processesWith, root } from "../utils/Binary.ts"
import { agent, fake, fleet, resultOf } from "../utils/Fleet.ts"

const bash = (command: string, more = {}) => ({
  tool: "Bash",
  input: { command, description: "d", timeout: 600_000, ...more }
})

/** A fleet with one agent in mid-tool: a background shell, an MCP server and what the tool starts are all alive. */
const busy = async (process_: Record<string, unknown> = {}) => {
  const it = await fleet()
  const workspace = join(it.dir, "workspace")
  mkdirSync(join(workspace, ".claude"), { recursive: true })
  const server = { command: process.execPath, args: [join(root, "test/fixtures/mcp-server.mjs")] }
  writeFileSync(join(workspace, ".mcp.json"), JSON.stringify({ mcpServers: { stubborn: server } }))
  writeFileSync(join(workspace, ".claude/settings.json"), JSON.stringify({ enableAllProjectMcpServers: true }))
  const prompt = fake(
    bash("sleep 1021", { run_in_background: true }),
    bash("setsid sleep 1022 & nohup sleep 1023 >/dev/null 2>&1 & sleep 1024"),
    { text: "never" }
  )
  const running = it.run(
    {
      process: process_,
      agents: [agent({ workspace: "workspace", permissions: { allow: ["Bash"] } })],
      tasks: [{ id: "t", prompt }]
    },
    "--json"
  )
  const names = ["sleep 1021", "sleep 1022", "sleep 1023", "sleep 1024", "mcp-server.mjs"]
  for (;;) {
    const alive = processesWith(it.dir).map(({ command }) => command)
    if (names.every((name) => alive.some((command) => command.endsWith(name)))) break
    if (running.child.exitCode !== null) throw new Error(`ended early\n${running.stdout()}\n${running.stderr()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return { it, running }
}

/** What is left after a while that no machine should need. */
const untilGone = async (dir: string) => {
  for (let look = 0; look < 400 && processesWith(dir).length > 0; look++)
    await new Promise((resolve) => setTimeout(resolve, 25))
  return processesWith(dir)
}

describe("a run", () => {
  it("stops in order on SIGTERM in mid-tool, and leaves no process: not the tool's, not a background shell, not an MCP server", async () => {
    const { it, running } = await busy()
    await using _ = it
    running.child.kill("SIGTERM")
    assert.strictEqual(await running.exit, 143)
    assert.deepStrictEqual(processesWith(it.dir), [])
    const ended = running.lines.find(({ type }) => type === "session.ended")
    assert.isDefined(ended)
    assert.strictEqual(running.lines.at(-1)?.type, "runtime.stopped")
    assert.strictEqual(running.stderr(), "")
  })

  it("ends everything at once on a second signal", async () => {
    const { it, running } = await busy()
    await using _ = it
    running.child.kill("SIGINT")
    running.child.kill("SIGINT")
    assert.strictEqual(await running.exit, 130)
    assert.deepStrictEqual(processesWith(it.dir), [])
  })

  for (const [how, settings] of [
    ["", {}],
    [" without a cgroup", { cgroup: "off" }]
  ] as const) {
    it(`leaves nothing when it is itself killed by SIGKILL${how}`, async () => {
      const { it, running } = await busy(settings)
      await using _ = it
      running.child.kill("SIGKILL")
      assert.strictEqual(await running.exit, "SIGKILL")
      assert.deepStrictEqual(await untilGone(it.dir), [])
    })
  }

  it("ends at its next start what was left when its guardian was killed with it, and says so", async () => {
    const { it, running } = await busy({ cgroup: "off" })
    await using _ = it
    const [guardian] = childrenOf(running.child.pid).filter(({ name }) => name === "tree-guardian")
    assert.isDefined(guardian)
    // So that it cannot be replaced in between.
    running.child.kill("SIGSTOP")
    process.kill(guardian.pid, "SIGKILL")
    running.child.kill("SIGKILL")
    await running.exit
    const again = await it.once({
      process: { cgroup: "off" },
      agents: [agent()],
      tasks: [{ id: "u", prompt: fake({ text: "done" }) }]
    })
    const swept = again.lines.findIndex(({ type }) => type === "runtime.swept")
    assert.isAbove(swept, -1)
    const ended = again.lines[swept]?.["ended"] as ReadonlyArray<{ readonly name: string }>
    assert.isAtLeast(ended.filter(({ name }) => name === "sleep").length, 4)
    assert.isBelow(
      swept,
      again.lines.findIndex(({ type }) => type === "session.ready")
    )
    assert.strictEqual(again.code, 0)
    assert.deepStrictEqual(processesWith(it.dir), [])
  })

  it("is refused on the data directory of another one, which goes on", async () => {
    await using it = await fleet()
    const config = { agents: [agent()], tasks: [{ id: "t", prompt: fake({ text: "done" }) }] }
    const running = it.run(config, "--json")
    await running.waitFor("the result", ({ type }) => type === "task.result")
    const second = await it.once(config)
    assert.strictEqual(second.code, 1)
    assert.include(second.stderr, `is in use by another runtime (pid ${running.child.pid})`)
    assert.include(second.stderr, "stop the other one")
    assert.isNull(running.child.exitCode)
    // One with a data directory of its own is another matter, and its sweep harms nobody.
    const other = await it.once({ ...config, dataDir: "other" })
    assert.strictEqual(other.code, 0)
    assert.isUndefined(running.lines.find(({ type }) => type === "session.ended"))
    running.child.kill("SIGTERM")
    assert.strictEqual(await running.exit, 143)
  })

  it("goes on serving when its tasks are finished, until SIGINT", async () => {
    await using it = await fleet()
    const running = it.run({ agents: [agent()], tasks: [{ id: "t", prompt: fake({ text: "done" }) }] }, "--json")
    await running.waitFor("the result", ({ type }) => type === "task.result")
    assert.isNull(running.child.exitCode)
    running.child.kill("SIGINT")
    assert.strictEqual(await running.exit, 130)
    assert.deepStrictEqual(processesWith(it.dir), [])
  })

  it("that is not to go on ends with 0 when every task succeeded, and leaves nothing either", async () => {
    await using it = await fleet()
    const left = bash("setsid sleep 1025 >/dev/null 2>&1 &")
    const { code, lines } = await it.once({
      agents: [agent({ replicas: 2, permissions: { allow: ["Bash"] } })],
      tasks: [1, 2, 3, 4].map((n) => ({ id: `t${n}`, prompt: fake(left, { text: "done" }) }))
    })
    assert.strictEqual(code, 0)
    for (const n of [1, 2, 3, 4]) assert.include(resultOf(lines, `t${n}`), { status: "succeeded" })
    assert.deepStrictEqual(processesWith(it.dir), [])
  })

  it("stops when the reader of its output goes away", async () => {
    await using it = await fleet()
    const running = it.run({ agents: [agent({ replicas: 2 })], tasks: [] }, "--json")
    const ready = await running.waitFor("an agent", ({ type }) => type === "session.ready")
    running.child.stdout?.destroy()
    // The next thing that is to be told finds nobody.
    process.kill(Number(ready["pid"]), "SIGKILL")
    assert.strictEqual(await running.exit, 1)
    assert.deepStrictEqual(processesWith(it.dir), [])
  })
})
