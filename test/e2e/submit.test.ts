/** What `submit` can say of a task, and how `task` and `tasks` tell it again. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { finish } from "../utils/Binary.ts"
import { agent, type Fleet, fake, fleet } from "../utils/Fleet.ts"

const TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

/** A node that serves, and the commands on it. */
const serving = async (it: Fleet) => {
  const running = it.run({ agents: [agent({ permissions: { allow: ["Bash"] } })] }, "--json")
  await running.waitFor("an agent that is up", ({ to, type }) => type === "agent.state" && to === "idle")
  while (!existsSync(join(it.dir, ".mister-smith", "admin.sock")))
    await new Promise((resolve) => setTimeout(resolve, 20))
  return (...args: ReadonlyArray<string>) => finish(args, { cwd: it.dir })
}

const json = ({ stdout }: { readonly stdout: string }) => JSON.parse(stdout) as Record<string, unknown>

describe("submit", () => {
  it("says all of a task by flags, and each is told again by task and tasks", async () => {
    await using it = await fleet()
    const tell = await serving(it)
    writeFileSync(join(it.dir, "in.txt"), "text")
    writeFileSync(join(it.dir, "evidence.json"), JSON.stringify([{ git: "clean" }]))
    assert.strictEqual((await tell("submit", "wait", "--id", "first", "--not-before", "1 hour")).code, 0)
    const flags = [
      ["--id", "t", "--priority=-3", "--not-before", "2 hours", "--after", "first", "--after", "first:run"],
      ["--label", "team=web", "--label", "stage=a=b", "--input", "in.txt", "--evidence", "evidence.json"],
      ["--prove", "npm test && true", "--budget-usd", "2.5", "--budget-turns", "9", "--traceparent", TRACE]
    ].flat()
    const submitted = await tell("submit", "do it", ...flags, "--json")
    assert.strictEqual(submitted.code, 0, submitted.stderr)
    rmSync(join(it.dir, "in.txt"))
    const told = json(await tell("task", "t", "--json"))
    assert.deepInclude(told, {
      prompt: "do it",
      state: "parked",
      priority: -3,
      notBefore: "2 hours",
      after: ["first", { task: "first", onFailure: "run" }],
      labels: { team: "web", stage: "a=b" },
      files: [join(it.dir, "in.txt")],
      evidence: [{ git: "clean" }, { command: ["sh", "-c", "npm test && true"] }],
      budget: { costUsd: 2.5, turns: 9 },
      traceparent: TRACE
    })
    const people = (await tell("task", "t")).stdout
    for (const said of [
      "-3",
      "2 hours",
      "first (however it ends)",
      "team=web stage=a=b",
      "in.txt",
      "git clean",
      "$2.5, 9 turns",
      TRACE
    ])
      assert.include(people, said)
    const list = (await tell("tasks")).stdout
    for (const said of ["PRIORITY", "WAITS FOR", "LABELS", "DUE", "team=web"]) assert.include(list, said)
    const found = await tell("tasks", "--label", "team=web", "--label", "stage=a=b", "--json")
    assert.deepInclude(json(found), {
      id: "t",
      priority: -3,
      waitsFor: ["first"],
      labels: { team: "web", stage: "a=b" }
    })
    assert.include((await tell("tasks", "--label", "team=db")).stdout, "there are no such tasks")
  })

  it("takes a whole task from a file, of which a flag replaces what it says", async () => {
    await using it = await fleet()
    const tell = await serving(it)
    mkdirSync(join(it.dir, "sub"))
    writeFileSync(join(it.dir, "sub", "in.txt"), "text")
    const task = {
      id: "whole",
      prompt: fake({ text: "from the file" }),
      files: [{ path: "in.txt", name: "x" }],
      labels: { a: "1", b: "2" },
      budget: { turns: 5, tokens: 100_000_000 }
    }
    writeFileSync(join(it.dir, "sub", "task.json"), JSON.stringify(task))
    const answer = await tell(
      "submit",
      "--task",
      join("sub", "task.json"),
      "--label",
      "b=3",
      "--budget-turns",
      "7",
      "--wait"
    )
    assert.strictEqual(answer.stdout, "from the file\n", answer.stderr)
    const told = json(await tell("task", "whole", "--json"))
    assert.deepInclude(told, { labels: { a: "1", b: "3" }, budget: { turns: 7, tokens: 100_000_000 } })
    assert.deepInclude(told, { files: [{ path: join(it.dir, "sub", "in.txt"), name: "x" }] })
    const proven = await tell(
      "submit",
      fake({ text: "hm" }, { text: "no" }),
      "--prove",
      "test 1 = 2 || exit 3",
      "--wait"
    )
    assert.strictEqual(proven.code, 1)
    assert.include(proven.stderr, "it exited with 3")
  })

  it("answers what is no task with 2 and what is wrong with it", async () => {
    await using it = await fleet()
    const tell = await serving(it)
    writeFileSync(join(it.dir, "list.json"), "[]")
    writeFileSync(join(it.dir, "odd.json"), JSON.stringify({ prompt: "p", priorty: 1 }))
    for (const [args, said] of [
      [["p", "--input", "gone.txt"], "gone.txt: there is no such file"],
      [["p", "--label", "nothing"], "KEY=VALUE"],
      [["p", "--priority", "11"], "-10 to 10"],
      [["p", "--after", "nobody"], "waits for what is not there"],
      [["p", "--traceparent", "x"], "traceparent"],
      [["p", "--budget-turns", "0"], "from 1 on"],
      [["--task", "list.json"], "expected a JSON object"],
      [["--task", "odd.json"], "priorty"]
    ] as const) {
      const { code, stderr } = await tell("submit", ...args)
      assert.strictEqual(code, 2, `${args.join(" ")}\n${stderr}`)
      assert.include(stderr, said)
    }
    assert.strictEqual((await tell("tasks")).stdout, "there are no tasks\n")
  })
})
