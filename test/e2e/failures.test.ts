/** What goes wrong with the API and with the CLI, through the compiled binary and the real CLI. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { processesWith, root } from "../utils/Binary.ts"
import { agent, fake, faultOf, fleet, resultOf } from "../utils/Fleet.ts"

const bash = (command: string) => ({ tool: "Bash", input: { command, description: "d", timeout: 600_000 } })
const runner = (more: Record<string, unknown> = {}) => agent({ permissions: { allow: ["Bash"] }, ...more })

describe("the API", () => {
  it("refuses the credentials: the run ends at once, and says why", async () => {
    await using it = await fleet({ requireKey: "another" })
    const { code, lines, stderr } = await it.once({
      agents: [agent()],
      tasks: [{ id: "t", prompt: fake({ text: "never" }) }]
    })
    assert.strictEqual(code, 1)
    assert.strictEqual(faultOf(lines, "t"), "CredentialsRejected")
    // One refusal was enough: the CLI alone would ask ten more times.
    assert.isAtMost(it.standin.requests().filter(({ path }) => path.endsWith("/messages")).length, 2)
    assert.match(stderr, /agents.* gave up: .*credentials were rejected \(401\)/)
    assert.match(stderr, /hint: .*ANTHROPIC_API_KEY/)
  })

  it("limits the rate: the task waits, is tried again, and no restart is counted", async () => {
    await using it = await fleet()
    // Three answers for the CLI's own tries, one more for the second attempt.
    const prompt = fake({ status: 429, times: 4 }, { text: "at last" })
    const { code, lines } = await it.once({
      supervision: { maxRestarts: 0 },
      agents: [agent()],
      tasks: [{ id: "t", prompt }]
    })
    assert.strictEqual(code, 0)
    assert.include(resultOf(lines, "t"), { status: "succeeded", text: "at last", attempts: 2 })
    const parked = lines.find((line) => line.type === "task.state" && line["to"] === "parked")
    assert.include(JSON.stringify(parked?.["reason"]), '"kind":"RateLimited"')
    assert.isNumber(parked?.["dueAt"])
    assert.strictEqual(lines.filter(({ type }) => type === "session.ready").length, 1)
  })

  it("limits the rate for good: the task fails after its attempts, and the hint says what to do", async () => {
    await using it = await fleet()
    const { code, lines } = await it.once({
      retry: { attempts: 2, delay: "10 millis" },
      agents: [agent()],
      tasks: [{ id: "t", prompt: fake({ status: 429, headers: { "retry-after": "600" } }) }]
    })
    assert.strictEqual(code, 1)
    assert.include(resultOf(lines, "t"), { status: "failed", attempts: 2 })
    assert.strictEqual(faultOf(lines, "t"), "RateLimited")
  })

  it("is overloaded for a while: the task is tried again", async () => {
    await using it = await fleet()
    const { code, lines } = await it.once({
      agents: [agent()],
      tasks: [{ id: "t", prompt: fake({ status: 529, times: 3 }, { text: "better now" }) }]
    })
    assert.strictEqual(code, 0)
    assert.include(resultOf(lines, "t"), { status: "succeeded", text: "better now", attempts: 2 })
    const reasons = lines.flatMap((line) =>
      line.type === "task.state" && line["to"] === "parked" ? [line["reason"]] : []
    )
    assert.deepStrictEqual(
      reasons.map((reason) => (reason as { kind: string }).kind),
      ["Overloaded"]
    )
  })

  it("breaks off in mid-stream: the task is finished all the same", async () => {
    await using it = await fleet()
    const { code, lines } = await it.once({
      agents: [agent()],
      tasks: [
        { id: "once", prompt: fake({ break: true, times: 1, fallback: "ok" }, { text: "whole" }) },
        { id: "often", prompt: fake({ break: true, times: 6 }, { text: "whole at last" }) }
      ]
    })
    assert.strictEqual(code, 0, JSON.stringify(lines.filter(({ type }) => type === "task.result")))
    assert.include(resultOf(lines, "often"), { status: "succeeded", text: "whole at last" })
  })

  it("does not know the model: the run ends, and names it", async () => {
    await using it = await fleet()
    const { code, stderr } = await it.once({
      agents: [agent({ model: "claude-nonesuch" })],
      tasks: [{ prompt: fake({ status: 404, message: "model: claude-nonesuch" }) }]
    })
    assert.strictEqual(code, 1)
    assert.match(stderr, /claude-nonesuch/)
  })
})

describe("the CLI", () => {
  it("is killed in mid-turn: it is restarted, and the task is finished in the resumed conversation, before others begin", async () => {
    await using it = await fleet()
    const prompt = fake(bash("echo began >> log; [ $(wc -l < log) -gt 1 ] || sleep 1009"), { text: "finished" })
    const others = ["u", "v"].map((id) => ({ id, prompt: fake({ text: "other" }) }))
    const running = it.run({ agents: [runner()], tasks: [{ id: "t", prompt }, ...others] }, "--once", "--json")
    const ready = await running.waitFor("session.ready", ({ type }) => type === "session.ready")
    await running.waitFor("the tool", (line) => line.type === "task.progress" && line["doing"] === "tool")
    // Only what has got into the CLI's own transcript can be resumed.
    await untilTranscript(join(it.dir, ".mister-smith/agents/worker/claude/projects"), "echo began")
    await untilFile(join(it.dir, ".mister-smith/agents/worker/workspace/log"))
    process.kill(Number(ready["pid"]), "SIGKILL")
    assert.strictEqual(await running.exit, 0)
    const { lines } = running
    assert.include(resultOf(lines, "t"), { status: "succeeded", text: "finished", attempts: 2 })
    const sessions = lines.filter(({ type }) => type === "session.ready")
    assert.strictEqual(sessions.length, 2)
    assert.strictEqual(sessions[1]?.["resumed"], resultOf(lines, "t")?.["session"])
    // The tool that the dead CLI had left was ended before the next life began.
    const ended = lines.find((line) => line.type === "session.ended" && line["signal"] === "SIGKILL")
    assert.include(JSON.stringify(ended?.["ended"]), '"name":"sleep"')
    assert.isBelow(lines.indexOf(ended as never), lines.indexOf(sessions[1] as never))
    assert.strictEqual(
      readFileSync(join(it.dir, ".mister-smith/agents/worker/workspace/log"), "utf8"),
      "began\nbegan\n"
    )
  })

  it("dies again before it has said which conversation it is in: the one that was resumed is not forgotten", async () => {
    await using it = await fleet()
    const { code, lines } = await it.once({
      claude: { command: join(root, "test/fixtures/fake-claude.sh"), env: { FAKE: "relapses" } },
      agents: [agent()],
      tasks: [{ id: "t", prompt: "x" }]
    })
    assert.strictEqual(code, 0)
    assert.include(resultOf(lines, "t"), { status: "succeeded", attempts: 3 })
    const sessions = lines.filter(({ type }) => type === "session.ready")
    assert.deepStrictEqual(
      sessions.map(({ resumed }) => resumed),
      [undefined, "s", "s"]
    )
  })

  it("is killed again and again: the tree gives up within its intensity, with exit code 1 and a sentence that says why", async () => {
    await using it = await fleet()
    const prompt = fake(bash("kill -9 $PPID; sleep 1010"), { text: "never" })
    const { code, stderr } = await it.once({
      supervision: { maxRestarts: 1, within: "1 minute" },
      retry: { attempts: 10, delay: "10 millis" },
      agents: [runner()],
      tasks: [{ id: "t", prompt }]
    })
    assert.strictEqual(code, 1)
    assert.match(
      stderr,
      /supervisor "agents" gave up: child "worker" failed, and more than 1 restarts? within 1 minute/
    )
    assert.match(stderr, /killed by SIGKILL/)
    assert.deepStrictEqual(processesWith(it.dir), [])
  })

  it("is stopped for a sibling's sake: the task that it was at is finished in its next life, and the one that waits for it too", async () => {
    await using it = await fleet()
    const slow = bash("echo began >> log; [ $(wc -l < log) -gt 1 ] || sleep 1014")
    const running = it.run(
      {
        supervision: { strategy: "one_for_all" },
        agents: [agent({ id: "other" }), runner({ id: "worker" })],
        tasks: [
          { id: "t", agent: "worker", prompt: fake(slow, { text: "finished" }) },
          { id: "u", agent: "worker", prompt: fake({ text: "finished too" }) }
        ]
      },
      "--once",
      "--json"
    )
    const other = await running.waitFor(
      "the other",
      (line) => line.type === "session.ready" && line["agent"] === "other"
    )
    await untilFile(join(it.dir, ".mister-smith/agents/worker/workspace/log"))
    process.kill(Number(other["pid"]), "SIGKILL")
    assert.strictEqual(await running.exit, 0, running.stdout())
    assert.include(resultOf(running.lines, "t"), { status: "succeeded", text: "finished", attempts: 2 })
    assert.include(resultOf(running.lines, "u"), { status: "succeeded", text: "finished too" })
  })

  it("dies and is never to be restarted: its task fails and is not waited for", async () => {
    await using it = await fleet()
    const { code, lines } = await it.once({
      agents: [runner({ restart: { policy: "never" } })],
      tasks: [{ id: "t", prompt: fake(bash("kill -9 $PPID; sleep 1015"), { text: "never" }) }]
    })
    assert.strictEqual(code, 1)
    assert.strictEqual(faultOf(lines, "t"), "NoTaker")
  })

  it("does not know a slash command: that is a failure, though the CLI calls it a success", async () => {
    await using it = await fleet()
    const { code, lines } = await it.once({ agents: [agent()], tasks: [{ id: "t", prompt: "/nonesuch please" }] })
    assert.strictEqual(code, 1)
    assert.strictEqual(faultOf(lines, "t"), "RequestRejected")
  })

  it("is not there: the run ends, and says where it was looked for", async () => {
    await using it = await fleet()
    const { code, stderr } = await it.once({
      claude: { command: "./no-such-claude" },
      agents: [agent()],
      tasks: [{ prompt: "x" }]
    })
    assert.strictEqual(code, 1)
    assert.match(stderr, /no Claude CLI was found.*no-such-claude/)
    assert.match(stderr, /hint: .*claude\.command/)
  })

  it("refuses how it is called: the run ends with its own words and does not try for ever", async () => {
    await using it = await fleet()
    // As root the CLI refuses this mode; otherwise a settings value that it does not take serves.
    const { code, stderr } = await it.once({
      agents: [agent({ permissions: { mode: "bypassPermissions" } })],
      tasks: [{ prompt: fake({ text: "x" }) }]
    })
    if (process.getuid?.() !== 0) return assert.strictEqual(code, 0)
    assert.strictEqual(code, 1)
    assert.match(stderr, /sudo privileges/)
  })

  it("never sees what the runtime was not told to pass on, and its key is in no argument and no output", async () => {
    const secret = "sk-ant-secret-0123456789"
    await using it = await fleet({ env: { ANTHROPIC_API_KEY: secret, DATABASE_PASSWORD: "hunter2" } })
    const running = it.run(
      {
        claude: { env: { GIVEN: { env: "DATABASE_PASSWORD" } } },
        agents: [runner()],
        tasks: [{ id: "t", prompt: fake(bash("env > seen.txt"), { text: "done" }) }]
      },
      "--json"
    )
    await running.waitFor("the result", (line) => line.type === "task.result")
    const cli = processesWith(secret).map(({ command }) => command)
    assert.isAbove(cli.length, 0)
    assert.notInclude(cli.join("\n"), secret)
    running.child.kill("SIGTERM")
    assert.strictEqual(await running.exit, 143)
    const seen = readFileSync(join(it.dir, ".mister-smith/agents/worker/workspace/seen.txt"), "utf8")
    assert.notMatch(seen, /^DATABASE_PASSWORD=/m)
    assert.match(seen, /^GIVEN=hunter2$/m)
    assert.match(seen, /^CLAUDE_CONFIG_DIR=.*\/agents\/worker\/claude$/m)
    assert.notInclude(running.stdout() + running.stderr(), secret)
    assert.notInclude(running.stdout() + running.stderr(), "hunter2")
  })
})

const untilTranscript = async (projects: string, text: string): Promise<void> => {
  for (;;) {
    const files = existsSync(projects) ? readdirSync(projects, { recursive: true, encoding: "utf8" }) : []
    const transcripts = files
      .filter((file) => file.endsWith(".jsonl"))
      .map((file) => readFileSync(join(projects, file), "utf8"))
    if (transcripts.some((transcript) => transcript.includes('"tool_use"') && transcript.includes(text))) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Resolves when the file is there: written by a tool, at a time nobody knows. */
const untilFile = async (path: string): Promise<void> => {
  for (;;) {
    try {
      readFileSync(path)
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
