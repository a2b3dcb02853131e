/** What a task can say, through the compiled binary and the real Claude CLI. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { agent, fake, faultOf, fleet, resultOf } from "../utils/Fleet.ts"

const worker = agent({ permissions: { mode: "acceptEdits" } })
const bash = (command: string) => ({ tool: "Bash", input: { command, description: "d" } })
const home = (dir: string) => join(dir, ".mister-smith", "agents", "worker")

describe("a task that comes with files", () => {
  it("has them in its workspace while it is worked on, and nobody has them afterwards", async () => {
    // Played only where the prompt says where they are.
    const steps = [bash("cp .inputs/t/protocol copied.txt"), { text: "done" }]
    await using it = await fleet({ rules: [{ match: "- .inputs/t/protocol", steps }] })
    writeFileSync(join(it.dir, "minutes.txt"), "we met\n")
    const { code, lines } = await it.once({
      agents: [agent({ permissions: { allow: ["Bash(cp:*)"] } })],
      tasks: [
        {
          id: "t",
          prompt: "Copy the minutes.",
          files: [{ path: "minutes.txt", name: "protocol" }],
          evidence: [{ command: ["grep", "-q", "we met", ".inputs/t/protocol"] }]
        }
      ]
    })
    assert.strictEqual(code, 0, JSON.stringify(resultOf(lines, "t")))
    const workspace = join(home(it.dir), "workspace")
    assert.deepStrictEqual(readdirSync(workspace), ["copied.txt"])
    assert.strictEqual(readFileSync(join(workspace, "copied.txt"), "utf8"), "we met\n")
    const inputs = join(it.dir, ".mister-smith", "inputs")
    assert.deepStrictEqual(existsSync(inputs) ? readdirSync(inputs) : [], [])
  })

  it("is refused with the file's name where one is not there", async () => {
    await using it = await fleet()
    const { code, stderr } = await it.once({ agents: [worker], tasks: [{ id: "t", prompt: "p", files: ["gone.txt"] }] })
    assert.strictEqual(code, 2)
    assert.include(stderr, join(it.dir, "gone.txt"))
    assert.include(stderr, "there is no such file")
  })
})

describe("a task with a budget", () => {
  it("is interrupted before the model call that would be too many, and not tried again", async () => {
    await using it = await fleet()
    const steps = Array.from({ length: 9 }, (_, index) => bash(`echo ${index}`))
    const { code, lines } = await it.once({
      agents: [agent({ permissions: { allow: ["Bash(echo:*)"] } })],
      tasks: [{ id: "t", prompt: fake(...steps, { text: "done" }), budget: { turns: 3 } }]
    })
    assert.strictEqual(code, 1)
    assert.strictEqual(faultOf(lines, "t"), "BudgetSpent")
    assert.include(JSON.stringify(resultOf(lines, "t")?.["fault"]), "3 of 3 turns")
    assert.strictEqual(resultOf(lines, "t")?.["attempts"], 1)
  })

  it("whose tokens are used up is interrupted, and its agent takes the next task", async () => {
    await using it = await fleet()
    const { lines } = await it.once({
      agents: [agent({ permissions: { allow: ["Bash(echo:*)"] } })],
      tasks: [
        { id: "t", prompt: fake(bash("echo 1"), bash("echo 2"), { text: "done" }), budget: { tokens: 10 } },
        {
          id: "u",
          prompt: fake(bash("echo 1"), { text: "done" }),
          budget: { tokens: 10_000_000, turns: 2, costUsd: 100 }
        }
      ]
    })
    assert.strictEqual(faultOf(lines, "t"), "BudgetSpent")
    assert.include(resultOf(lines, "u"), { status: "succeeded", text: "done" })
  })

  it("in dollars is not sent back for missing evidence where they are spent", async () => {
    await using it = await fleet()
    const { lines } = await it.once({
      agents: [worker],
      tasks: [
        {
          id: "t",
          prompt: fake({ text: "done" }, { text: "done, I say" }),
          evidence: [{ file: "nothing" }],
          budget: { costUsd: 0.000_000_1 }
        }
      ]
    })
    assert.strictEqual(faultOf(lines, "t"), "BudgetSpent")
    assert.strictEqual(lines.filter((line) => line.type === "task.unverified").length, 1)
  })
})
