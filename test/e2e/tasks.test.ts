/** The whole walk: the compiled binary drives the real Claude CLI against the stand-in API, one task of each kind. */
import { existsSync, readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { processesWith } from "../utils/Binary.ts"
import { agent, fake, faultOf, fleet, resultOf } from "../utils/Fleet.ts"

const writer = agent({ permissions: { mode: "acceptEdits" } })
const home = (dir: string) => join(dir, ".mister-smith", "agents", "worker")

describe("a task", () => {
  it("is answered with text, its cost and its conversation", async () => {
    await using it = await fleet()
    const { code, lines } = await it.once({
      agents: [agent()],
      tasks: [{ id: "t", prompt: fake({ text: "forty-two" }) }]
    })
    assert.strictEqual(code, 0)
    const result = resultOf(lines, "t")
    assert.include(result, { status: "succeeded", text: "forty-two", agent: "worker", attempts: 1 })
    assert.match(String(result?.["session"]), /^[0-9a-f-]{36}$/)
    assert.match(JSON.stringify(result?.["usage"]), /"costUsd":0\.0*[1-9]/)
  })

  it("uses a tool that writes a file into the agent's workspace", async () => {
    await using it = await fleet()
    const prompt = fake({ tool: "Write", input: { file_path: "hello.txt", content: "hello\n" } }, { text: "written" })
    const { code, lines } = await it.once({ agents: [writer], tasks: [{ id: "t", prompt }] })
    assert.strictEqual(code, 0)
    assert.strictEqual(readFileSync(join(home(it.dir), "workspace", "hello.txt"), "utf8"), "hello\n")
    assert.isTrue(lines.some((line) => line.type === "task.progress" && line["detail"] === "Write"))
  })

  it("succeeds without the tool that its agent's permissions deny, and says which was denied", async () => {
    await using it = await fleet()
    const prompt = fake(
      { tool: "Write", input: { file_path: "no.txt", content: "x" } },
      { text: "I was not allowed to" }
    )
    const { code, lines } = await it.once({ agents: [agent()], tasks: [{ id: "t", prompt }] })
    assert.strictEqual(code, 0)
    assert.deepStrictEqual(resultOf(lines, "t")?.["denied"], ["Write"])
    assert.isFalse(existsSync(join(home(it.dir), "workspace", "no.txt")))
  })

  it("may use what a permission rule allows, and nothing that one denies", async () => {
    await using it = await fleet()
    const bash = (command: string) => ({ tool: "Bash", input: { command, description: "d" } })
    const rules = { allow: ["Bash(touch allowed.txt)", "Bash(touch denied.txt)"], deny: ["Bash(touch denied.txt)"] }
    const { lines } = await it.once({
      agents: [agent({ permissions: rules })],
      tasks: [{ id: "t", prompt: fake(bash("touch allowed.txt"), bash("touch denied.txt"), { text: "done" }) }]
    })
    assert.strictEqual(resultOf(lines, "t")?.["status"], "succeeded")
    assert.isTrue(existsSync(join(home(it.dir), "workspace", "allowed.txt")))
    assert.isFalse(existsSync(join(home(it.dir), "workspace", "denied.txt")))
  })

  it("that is not proven goes back to its agent in the same conversation, and is complete when the proof is there", async () => {
    await using it = await fleet()
    const evidence = [
      { file: "hello.txt", matches: "^hello$" },
      { command: ["grep", "-q", "hello", "hello.txt"] },
      { denied: "none" }
    ]
    // The script goes on where it was only in the conversation that it began in.
    const prompt = fake(
      { text: "all done" },
      { tool: "Write", input: { file_path: "hello.txt", content: "hello\n" } },
      { text: "now it is" }
    )
    const { code, lines } = await it.once({ agents: [writer], tasks: [{ id: "t", prompt, evidence }] })
    assert.strictEqual(code, 0)
    assert.include(resultOf(lines, "t"), { status: "succeeded", text: "now it is", attempts: 1 })
    const unverified = lines.filter((line) => line.type === "task.unverified")
    assert.deepStrictEqual(
      unverified.map((line) => [line["sentBack"], (line["missing"] as ReadonlyArray<unknown>)[0]]),
      [[true, { proof: "file hello.txt matches ^hello$", found: "there is no such file" }]]
    )
  })

  it("in which nothing may be denied can be mended too, and its result names what was denied all the same", async () => {
    await using it = await fleet()
    const prompt = fake(
      { tool: "Write", input: { file_path: "no.txt", content: "x" } },
      { text: "I was not allowed to" },
      { text: "done without it" }
    )
    const { code, lines } = await it.once({
      agents: [agent()],
      tasks: [{ id: "t", prompt, evidence: [{ denied: "none" }] }]
    })
    assert.strictEqual(code, 0)
    assert.deepInclude(resultOf(lines, "t"), { status: "succeeded", text: "done without it", denied: ["Write"] })
    assert.strictEqual(lines.filter((line) => line.type === "task.unverified").length, 1)
  })

  it("whose proof is missing after the second turn too fails with what was found", async () => {
    await using it = await fleet()
    const prompt = fake({ text: "done" }, { text: "done, I say" })
    const { code, lines } = await it.once({
      agents: [writer],
      tasks: [{ id: "t", prompt, evidence: [{ command: ["sh", "-c", "echo no; exit 4"] }] }]
    })
    assert.strictEqual(code, 1)
    assert.strictEqual(faultOf(lines, "t"), "EvidenceMissing")
    assert.include(JSON.stringify(resultOf(lines, "t")?.["fault"]), "it exited with 4")
    assert.strictEqual(lines.filter((line) => line.type === "task.unverified").length, 2)
  })

  it("with a schema brings validated output, on the same agent as one without", async () => {
    await using it = await fleet()
    const schema = {
      type: "object",
      properties: { n: { type: "integer" } },
      required: ["n"],
      additionalProperties: false
    }
    const { code, lines } = await it.once({
      agents: [agent()],
      tasks: [
        { id: "plain", prompt: fake({ text: "text" }) },
        { id: "data", prompt: fake({ structured: { n: 7 } }, { text: "ok" }), schema },
        { id: "again", prompt: fake({ text: "text again" }) }
      ]
    })
    assert.strictEqual(code, 0)
    assert.deepStrictEqual(resultOf(lines, "data")?.["output"], { n: 7 })
    assert.include(resultOf(lines, "plain"), { text: "text" })
    assert.include(resultOf(lines, "again"), { text: "text again" })
  })

  it("with a schema that its answer does not meet is a failure, not a success without output", async () => {
    await using it = await fleet()
    const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] }
    const { code, lines } = await it.once({
      agents: [agent()],
      tasks: [{ id: "t", prompt: fake({ text: "seven" }, { text: "still seven" }), schema }]
    })
    assert.strictEqual(code, 1)
    assert.strictEqual(faultOf(lines, "t"), "OutputMissing")
  })

  it("begins a conversation of its own: it does not see the one before", async () => {
    await using it = await fleet()
    const { lines } = await it.once({
      agents: [agent()],
      tasks: [
        { id: "a", prompt: fake({ text: "one" }) },
        { id: "b", prompt: fake({ text: "two" }) }
      ]
    })
    assert.notStrictEqual(resultOf(lines, "a")?.["session"], resultOf(lines, "b")?.["session"])
    const counts = it.standin
      .requests()
      .filter(({ path }) => path.endsWith("/messages"))
      .map(({ messages }) => messages)
    assert.strictEqual(new Set(counts).size, 1)
  })

  it("is not answered with what the CLI says by itself when a background task of an earlier one has ended", async () => {
    await using it = await fleet()
    const background = { tool: "Bash", input: { command: "sleep 1", description: "d", run_in_background: true } }
    const { lines } = await it.once({
      agents: [agent({ permissions: { allow: ["Bash"] } })],
      tasks: [
        { id: "a", prompt: fake(background, { text: "one" }) },
        // The background task ends meanwhile, and the CLI speaks of it before it hears of the next.
        { id: "b", prompt: fake({ delay: 3000, text: "two" }) },
        { id: "c", prompt: fake({ text: "three" }) }
      ]
    })
    assert.deepStrictEqual(
      ["a", "b", "c"].map((id) => resultOf(lines, id)?.["text"]),
      ["one", "two", "three"]
    )
  })

  it("goes on in the one conversation of an agent that keeps it", async () => {
    await using it = await fleet()
    const { lines } = await it.once({
      agents: [agent({ session: "keep" })],
      tasks: [
        { id: "a", prompt: fake({ text: "one" }) },
        { id: "b", prompt: fake({ text: "two" }) }
      ]
    })
    assert.strictEqual(resultOf(lines, "a")?.["session"], resultOf(lines, "b")?.["session"])
    assert.include(resultOf(lines, "b"), { text: "two" })
  })

  it("goes on in it also where one task has a schema, which needs a CLI of its own, and the next has none", async () => {
    await using it = await fleet()
    const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] }
    const { lines } = await it.once({
      agents: [agent({ session: "keep" })],
      tasks: [
        { id: "a", prompt: fake({ text: "one" }) },
        { id: "b", prompt: fake({ structured: { n: 7 } }, { text: "two" }), schema },
        { id: "c", prompt: fake({ text: "three" }) }
      ]
    })
    assert.deepStrictEqual(resultOf(lines, "b")?.["output"], { n: 7 })
    assert.include(resultOf(lines, "c"), { text: "three" })
    assert.strictEqual(new Set(["a", "b", "c"].map((id) => resultOf(lines, id)?.["session"])).size, 1)
  })

  it("may have a prompt of 200 kB and any letters in it, and an answer of 5 MB", async () => {
    await using it = await fleet()
    const letters = "Grüße, 世界, 🙂, \u202Eabc, \u0000, zero\u200Bwidth\r\n"
    const { code, lines } = await it.once({
      agents: [agent()],
      tasks: [
        { id: "long", prompt: `${"lorem ipsum ".repeat(17_000)} ${fake({ text: "read it all" })}` },
        { id: "letters", prompt: `${letters} ${fake({ text: letters })}` },
        { id: "large", prompt: fake({ text_size: 5_000_000 }) }
      ]
    })
    assert.strictEqual(code, 0)
    assert.include(resultOf(lines, "long"), { text: "read it all" })
    assert.strictEqual(resultOf(lines, "letters")?.["text"], letters)
    assert.strictEqual(String(resultOf(lines, "large")?.["text"]).length, 5_000_000)
    assert.isTrue(it.standin.requests().some(({ bytes }) => bytes > 200_000))
  })

  it("fails when it takes longer than it may, and the agent takes the next", async () => {
    await using it = await fleet()
    const slow = { tool: "Bash", input: { command: "sleep 1007", description: "d", timeout: 600_000 } }
    const { code, lines } = await it.once({
      agents: [agent({ permissions: { allow: ["Bash"] }, limits: { taskTime: "2 seconds" } })],
      tasks: [
        { id: "slow", prompt: fake(slow, { text: "never" }) },
        { id: "next", prompt: fake({ text: "on time" }) }
      ]
    })
    assert.strictEqual(code, 1)
    assert.strictEqual(faultOf(lines, "slow"), "TaskTimedOut")
    assert.include(resultOf(lines, "next"), { status: "succeeded", text: "on time" })
    assert.strictEqual(lines.filter(({ type }) => type === "session.ready").length, 1)
  })

  it("fails when it takes more turns than it may", async () => {
    await using it = await fleet()
    const echo = { tool: "Bash", input: { command: "echo", description: "d" } }
    const { lines } = await it.once({
      agents: [agent({ permissions: { allow: ["Bash"] }, limits: { turns: 2 } })],
      tasks: [
        { id: "long", prompt: fake(echo, echo, echo, echo, { text: "never" }) },
        { id: "next", prompt: fake({ text: "short" }) }
      ]
    })
    assert.strictEqual(faultOf(lines, "long"), "TurnLimitReached")
    assert.include(resultOf(lines, "next"), { status: "succeeded" })
  })

  it("is told the agent's system prompts", async () => {
    await using it = await fleet()
    await it.once({
      agents: [agent({ appendSystemPrompt: "Speak like a PIRATE." })],
      tasks: [{ prompt: fake({ text: "arr" }) }]
    })
    assert.isTrue(it.standin.requests().some(({ system }) => system.includes("PIRATE")))
  })
})

describe("a fleet", () => {
  it("starts no more CLIs at once than the machine has cores", async () => {
    await using it = await fleet()
    const running = it.run({ agents: [agent({ replicas: 5 })] }, "--json")
    for (const n of [1, 2, 3, 4, 5]) {
      await running.waitFor("an agent", (line) => line.type === "session.ready" && line["agent"] === `worker-${n}`)
    }
    const starts = running.lines
      .filter(({ type }) => type === "session.ready")
      .map((line) => ({ from: Number(line["at"]) - Number(line["tookMillis"]), to: Number(line["at"]) }))
    for (const { from } of starts) {
      assert.isAtMost(starts.filter((other) => other.from <= from && from < other.to).length, availableParallelism())
    }
  })

  it("leaves no background shell to the next task, which pays for nobody's but its own model calls", async () => {
    await using it = await fleet()
    const shell = { tool: "Bash", input: { command: "sleep 1031", run_in_background: true, description: "d" } }
    const running = it.run(
      {
        agents: [agent({ permissions: { allow: ["Bash"] } })],
        tasks: [
          { id: "a", prompt: fake(shell, { text: "left it running" }) },
          { id: "b", prompt: fake({ text: "one" }) },
          { id: "c", prompt: fake({ text: "two" }) }
        ]
      },
      "--json"
    )
    await running.waitFor("the last result", (line) => line.type === "task.result" && line["task"] === "c")
    assert.deepStrictEqual(
      processesWith(it.dir).filter(({ command }) => command.includes("sleep 1031")),
      []
    )
    assert.strictEqual(it.standin.requests().filter(({ path }) => path.startsWith("/v1/messages")).length, 4)
    running.child.kill("SIGTERM")
    await running.exit
  })
})
