/** An agent that works is interrupted, told something, or given another model: the compiled binary and the real CLI. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { finish } from "../utils/Binary.ts"
import { agent, type Fleet, fake, fleet } from "../utils/Fleet.ts"

const ENDS: ReadonlySet<unknown> = new Set(["succeeded", "failed", "cancelled", "dead"])

const serving = async (it: Fleet, config: Record<string, unknown> = {}) => {
  const node = it.run({ agents: [agent({ permissions: { allow: ["Bash"] } })], ...config }, "--json")
  await node.waitFor("an idle agent", ({ to, type }) => type === "agent.state" && to === "idle")
  const tell = (...args: ReadonlyArray<string>) => finish(args, { cwd: it.dir })
  const submit = async (id: string, ...steps: ReadonlyArray<Record<string, unknown>>) => {
    const { code, stderr } = await tell("submit", fake(...steps), "--id", id)
    assert.strictEqual(code, 0, stderr)
  }
  /** Its agent does something for it. */
  const doing = (task: string, what: string) =>
    node.waitFor(
      `${task}: ${what}`,
      (line) => line.type === "task.progress" && line["task"] === task && line["doing"] === what
    )
  /** How it has ended. */
  const result = async (task: string) => {
    await node.waitFor(
      `the end of ${task}`,
      (line) => line.type === "task.state" && line["task"] === task && ENDS.has(line["to"])
    )
    return (await tell("task", task, "--json")).lines[0]?.["result"] as {
      readonly status?: string
      readonly text?: string
    }
  }
  return { node, tell, submit, doing, result }
}

/** A shell that a turn waits for until the file is there. */
const until = (file: string) => ({
  tool: "Bash",
  input: { command: `until [ -e ${file} ]; do sleep 0.05; done`, timeout: 60_000 }
})

const open = (it: Fleet, file: string) => writeFileSync(join(it.dir, ".mister-smith/agents/worker/workspace", file), "")

/** A model call is under way. */
const requested = async (it: Fleet) => {
  while (it.standin.requests().length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
}

/** What the model was asked last, as far as it holds this. */
const heardBy = (it: Fleet, text: string) => it.standin.requests().filter(({ said }) => said.includes(text))

describe("interrupt", () => {
  it("breaks off the turn and its tools; the task goes on in the same conversation, and no try of it is lost", async () => {
    await using it = await fleet()
    const { doing, node, result, submit, tell } = await serving(it, { retry: { attempts: 1, delay: "100 millis" } })
    await submit("t", until("never"), { text: "done after all" })
    await doing("t", "tool")
    const { code, lines, stderr } = await tell("interrupt", "worker", "--json")
    assert.strictEqual(code, 0, stderr)
    assert.deepInclude(lines[0], { agent: "worker", interrupted: true })
    const parked = await node.waitFor("the pause", (line) => line.type === "task.state" && line["to"] === "parked")
    assert.deepInclude(parked["reason"] as object, {
      kind: "Interrupted",
      message: "the turn was interrupted (an operator)"
    })
    const ended = await result("t")
    assert.deepInclude(ended, { status: "succeeded", text: "done after all" })
    assert.isNotEmpty(heardBy(it, "You were interrupted while you worked on the task above"))
    // Its CLI lives on: it has not been started again.
    assert.lengthOf(
      node.lines.filter(({ type }) => type === "session.ready"),
      1
    )
  })

  it("is refused where nothing is done, and where no such agent is", async () => {
    await using it = await fleet()
    const { tell } = await serving(it)
    const idle = await tell("interrupt", "worker")
    assert.strictEqual(idle.code, 1)
    assert.include(idle.stderr, "in no turn that could be interrupted: it is idle")
    const nobody = await tell("interrupt", "nobody")
    assert.strictEqual(nobody.code, 2)
    assert.include(nobody.stderr, 'there is no agent named "nobody"')
  })
})

describe("tell", () => {
  it("is heard in the turn that runs, with the next step of the model", async () => {
    await using it = await fleet()
    const { doing, result, submit, tell } = await serving(it)
    await submit("t", until("go"), { text: "done" })
    await doing("t", "tool")
    const said = await tell("tell", "worker", "/clear the build is green again", "--json")
    assert.deepInclude(said.lines[0], { agent: "worker", told: true, heard: "turn" }, said.stderr)
    open(it, "go")
    assert.deepInclude(await result("t"), { status: "succeeded", text: "done" })
    const heard = heardBy(it, "/clear the build is green again")
    // The same conversation has the task and the message.
    assert.isTrue(heard.some(({ said }) => said.includes("until [ -e go ]")))
  })

  it("what comes too late for a turn is answered in one of its own, before the task is over", async () => {
    await using it = await fleet()
    const { node, result, submit, tell } = await serving(it)
    await submit("t", { deltas: 60, every: 50 }, { text: "answered" })
    await node.waitFor("a turn", (line) => line.type === "task.state" && line["to"] === "running")
    await requested(it)
    const said = await tell("tell", "worker", "one thing more", "--json")
    assert.deepInclude(said.lines[0], { heard: "turn" }, said.stderr)
    assert.deepInclude(await result("t"), { status: "succeeded", text: "answered" })
    assert.isNotEmpty(heardBy(it, "one thing more"))
  })

  it("an idle agent makes no model call for it, and hears it with its next task", async () => {
    await using it = await fleet()
    const { result, submit, tell } = await serving(it)
    const { code, stdout } = await tell("tell", "worker", "mind the gap")
    assert.strictEqual(code, 0)
    assert.strictEqual(stdout, "worker hears it with its next turn\n")
    assert.isEmpty(it.standin.requests())
    await submit("t", { text: "done" })
    assert.deepInclude(await result("t"), { text: "done" })
    const [first] = heardBy(it, "mind the gap")
    assert.include(first?.said, "Do it.")
    await submit("t2", { text: "done too" })
    await result("t2")
    // Once: the conversation of the second task is another one.
    assert.isFalse(heardBy(it, "done too").some(({ said }) => said.includes("mind the gap")))
  })

  it("what an interrupted turn has not taken up is heard when the task goes on", async () => {
    await using it = await fleet()
    const { node, result, submit, tell } = await serving(it)
    await submit("t", { deltas: 600, every: 50 }, { text: "another way" })
    await node.waitFor("a turn", (line) => line.type === "task.state" && line["to"] === "running")
    await requested(it)
    await tell("tell", "worker", "do it another way")
    const { code, stderr } = await tell("interrupt", "worker")
    assert.strictEqual(code, 0, stderr)
    assert.deepInclude(await result("t"), { status: "succeeded", text: "another way" })
    const heard = heardBy(it, "do it another way")
    assert.isNotEmpty(heard)
    // Not twice.
    for (const { said } of heard) assert.lengthOf(said.split("do it another way"), 2)
  })

  it("a paused agent hears it when it goes on, before its task is over", async () => {
    await using it = await fleet()
    const { doing, result, submit, tell } = await serving(it)
    await submit("t", until("go"), { text: "done" }, { text: "heard" })
    await doing("t", "tool")
    assert.strictEqual((await tell("pause", "worker")).code, 0)
    const said = await tell("tell", "worker", "while you sleep", "--json")
    assert.deepInclude(said.lines[0], { heard: "inbox" }, said.stderr)
    open(it, "go")
    assert.strictEqual((await tell("resume", "worker")).code, 0)
    assert.deepInclude(await result("t"), { status: "succeeded", text: "heard" })
    assert.isNotEmpty(heardBy(it, "while you sleep"))
  })

  it("a message that is empty is refused", async () => {
    await using it = await fleet()
    const { tell } = await serving(it)
    assert.notStrictEqual((await tell("tell", "worker", "")).code, 0)
  })
})

describe("model", () => {
  it("holds from the next turn on, and the next life begins with the config's", async () => {
    await using it = await fleet()
    const { result, submit, tell } = await serving(it, {
      agents: [agent({ model: "claude-of-the-config", permissions: { allow: ["Bash"] } })]
    })
    await submit("t1", { text: "one" })
    await result("t1")
    const { code, lines, stderr } = await tell("model", "worker", "claude-of-the-day", "--json")
    assert.strictEqual(code, 0, stderr)
    assert.deepInclude(lines[0], { agent: "worker", model: "claude-of-the-day" })
    await submit("t2", { text: "two" })
    await result("t2")
    assert.strictEqual((await tell("restart", "worker")).code, 0)
    await submit("t3", { text: "three" })
    await result("t3")
    const models = it.standin.requests().map(({ model }) => model)
    assert.deepStrictEqual(models, ["claude-of-the-config", "claude-of-the-day", "claude-of-the-config"])
  })

  it("one that there is not costs the task a try, and never the agent: it has the config's again", async () => {
    await using it = await fleet()
    const { node, result, submit, tell } = await serving(it, { agents: [agent({ model: "claude-of-the-config" })] })
    assert.strictEqual((await tell("model", "worker", "claude-typo")).code, 0)
    // The CLI asks once more without a stream.
    await submit("t", { status: 404, message: "model: claude-typo", times: 2 }, { text: "as ever" })
    assert.deepInclude(await result("t"), { status: "succeeded", text: "as ever" })
    const parked = await node.waitFor("the try", (line) => line.type === "task.state" && line["to"] === "parked")
    assert.deepInclude(parked["reason"] as object, { kind: "ModelRefused" })
    assert.strictEqual(it.standin.requests().at(-1)?.model, "claude-of-the-config")
    assert.isFalse(node.lines.some(({ to, type }) => type === "agent.state" && to === "error"))
  })
})
