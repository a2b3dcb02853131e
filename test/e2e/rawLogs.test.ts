/** `logs AGENT --raw`: the stream of the real CLI, for programs. And what commands say when it goes otherwise. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { binary, finish, start } from "../utils/Binary.ts"
import { agent, fake, fleet } from "../utils/Fleet.ts"

const SECRET = "correct-horse-battery-staple"
const claude = (of: { readonly standin: { readonly url: string } }) => ({
  command: join(import.meta.dirname, "../../node_modules/.bin/claude"),
  env: { TOKEN: SECRET, ANTHROPIC_BASE_URL: of.standin.url }
})
const idle = ({ to, type }: Record<string, unknown>) => type === "agent.state" && to === "idle"
const jsonOf = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>)

/** A command whose reader goes away after the first line. */
const headOf = async (args: ReadonlyArray<string>, cwd: string) => {
  const child = spawn(binary, args, { cwd, stdio: ["ignore", "pipe", "pipe"] })
  const ended = once(child, "close")
  let stderr = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text
  })
  const [first] = await once(child.stdout, "data")
  child.stdout.destroy()
  return { first: String(first), stderr: () => stderr, ended, child }
}

describe("logs --raw", () => {
  it("is the CLI's own lines, without a secret, when the node is gone", async () => {
    await using it = await fleet()
    const task = (id: string) => ({ id, prompt: fake({ text: `${id} is ${SECRET}` }) })
    const config = { claude: claude(it), agents: [agent()], tasks: [task("one"), task("two")] }
    assert.strictEqual((await it.once(config)).code, 0)
    const raw = (...args: ReadonlyArray<string>) => finish(["logs", "worker", "--raw", ...args], { cwd: it.dir })
    const { code, stderr, stdout } = await raw()
    assert.strictEqual(code, 0, stderr)
    assert.match(stderr, /no node is running/)
    const lines = jsonOf(stdout)
    assert.deepInclude(lines[0], { type: "system", subtype: "init" })
    assert.deepStrictEqual(
      // The CLI has a result of its own for forgetting a conversation.
      lines.filter(({ result, type }) => type === "result" && result !== "").map(({ result }) => result),
      ["one is [secret]", "two is [secret]"]
    )
    assert.notInclude(stdout, SECRET)
    assert.notInclude(
      lines.map(({ type }) => type),
      "stream_event"
    )
    const kept = readdirSync(join(it.dir, ".mister-smith/logs/agents"))
    assert.include(kept, "worker.stream.log")
    for (const file of kept) {
      assert.notInclude(readFileSync(join(it.dir, ".mister-smith/logs/agents", file), "utf8"), SECRET)
    }
    assert.strictEqual((await raw("-n", "2")).stdout, `${stdout.trimEnd().split("\n").slice(-2).join("\n")}\n`)
    assert.strictEqual((await raw("--since", "1 hour")).stdout, stdout)
    assert.strictEqual((await raw("--since", "2999-01-01")).stdout, "")
    // The other logs are what they were.
    assert.include((await finish(["logs", "worker"], { cwd: it.dir })).stdout, "task one: succeeded")
  })

  it("goes on with --follow until the node ends, and with nobody left to read it ends well", async () => {
    await using it = await fleet()
    const node = it.run(
      { claude: claude(it), agents: [agent()], tasks: [{ id: "one", prompt: fake({ text: "first" }) }] },
      "--json"
    )
    await node.waitFor("the result", ({ type }) => type === "task.result")
    const follow = start(["logs", "worker", "--raw", "--follow"], { cwd: it.dir })
    await follow.waitFor("the first result", ({ result }) => result === "first")
    const submitted = await finish(["submit", fake({ text: "second" }), "--id", "two", "--wait"], { cwd: it.dir })
    assert.strictEqual(submitted.code, 0, submitted.stderr)
    await follow.waitFor("the second result", ({ result }) => result === "second")
    for (const args of [
      ["logs", "worker", "--raw", "--follow"],
      ["events", "--follow", "--last", "1", "--json"]
    ]) {
      const head = await headOf(args, it.dir)
      const more = await finish(["submit", fake({ text: "more" }), "--wait"], { cwd: it.dir })
      assert.strictEqual(more.code, 0, more.stderr)
      assert.deepStrictEqual(await head.ended, [0, null], args.join(" "))
      assert.strictEqual(head.stderr(), "")
      assert.isObject(jsonOf(head.first.split("\n")[0] ?? "")[0])
    }
    // Its code would say that the task has succeeded.
    const watching = await headOf(["submit", fake({ text: "watched" }), "--follow", "--json"], it.dir)
    assert.deepStrictEqual(await watching.ended, [1, null])
    node.child.kill("SIGTERM")
    await node.exit
    assert.strictEqual(await follow.exit, 0, follow.stderr())
    assert.match(follow.stderr(), /the node has ended/)
    const all = await finish(["logs", "worker", "--raw"], { cwd: it.dir })
    assert.strictEqual(follow.stdout(), all.stdout)
  })

  it("says why there is nothing where no stream is kept", async () => {
    await using it = await fleet()
    const task = { prompt: fake({ text: "x" }) }
    assert.strictEqual((await it.once({ logs: { stream: false }, agents: [agent()], tasks: [task] })).code, 0)
    const { code, stderr, stdout } = await finish(["logs", "worker", "--raw"], { cwd: it.dir })
    assert.deepStrictEqual([code, stdout], [0, ""])
    assert.match(stderr, /nothing is kept of the stream of worker[\s\S]*hint: .*logs\.stream/)
    const check = await finish(["check", it.config({ logs: { file: false, stream: true }, agents: [agent()] })])
    assert.strictEqual(check.code, 2)
    assert.match(check.stderr + check.stdout, /logs\.stream/)
  })
})

describe("what commands say", () => {
  it("is an operator's words", async () => {
    await using it = await fleet()
    const node = it.run({ agents: [agent()], tasks: [{ id: "one", prompt: fake({ text: "x" }) }] }, "--json")
    await node.waitFor("the result", ({ type }) => type === "task.result")
    await node.waitFor("idle", idle)
    const say = async (...args: ReadonlyArray<string>) => {
      const { code, stderr, stdout } = await finish(args, { cwd: it.dir })
      return { code, said: stdout + stderr }
    }
    assert.deepStrictEqual(await say("start", "worker"), {
      code: 2,
      said: '"worker" is running already\nhint: stop it first, or restart it\n'
    })
    assert.deepStrictEqual(await say("submit", fake({ text: "x" }), "--id", "one"), {
      code: 0,
      said: "task one has succeeded\n"
    })
    assert.deepStrictEqual(await say("submit", "--file", "absent"), {
      code: 2,
      said: "absent: there is no such file\n"
    })
    const wrong = await say("events", "--last", "-5")
    assert.match(wrong.said, /Expected 0 to 1000000, found -5/)
    assert.notMatch(wrong.said, /expected:? expected/i)
    const since = await say("logs", "worker", "--since", "yesterday")
    assert.match(since.said, /\. Expected a duration such as/)
  })
})
