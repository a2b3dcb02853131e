/** Tasks outlive the runtime: the compiled binary is killed, run again, and run again with another config. */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { finish, type Line } from "../utils/Binary.ts"
import { agent, fake, faultOf, fleet, resultOf } from "../utils/Fleet.ts"

const bash = (command: string) => ({ tool: "Bash", input: { command, description: "d", timeout: 600_000 } })
const runner = agent({ permissions: { allow: ["Bash"] } })
const workspace = (dir: string) => join(dir, ".mister-smith", "agents", "worker", "workspace")

const untilFile = async (file: string) => {
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 20))
}
const asked = (requests: ReadonlyArray<{ readonly path: string }>) =>
  requests.filter(({ path }) => path.endsWith("/messages")).length

describe("a task", () => {
  it("is finished once where the runtime is killed in the middle of it, with that attempt counted", async () => {
    await using it = await fleet()
    const config = {
      agents: [runner],
      tasks: [
        { id: "before", prompt: fake(bash("echo before >> log"), { text: "one" }) },
        {
          id: "during",
          prompt: fake(bash("echo during >> log; [ -f flag ] || { touch flag; sleep 1018; }"), { text: "two" })
        },
        { id: "after", prompt: fake(bash("echo after >> log"), { text: "three" }) }
      ]
    }
    const first = it.run(config, "--once", "--json")
    await untilFile(join(workspace(it.dir), "flag"))
    first.child.kill("SIGKILL")
    await first.exit
    assert.include(resultOf(first.lines, "before"), { text: "one", attempts: 1 })
    assert.isUndefined(resultOf(first.lines, "during"))

    const second = await it.once(config)
    assert.strictEqual(second.code, 0, second.stderr)
    assert.include(resultOf(second.lines, "before"), { status: "succeeded", text: "one", attempts: 1, earlier: true })
    assert.include(resultOf(second.lines, "during"), { status: "succeeded", text: "two", attempts: 2 })
    assert.include(resultOf(second.lines, "after"), { status: "succeeded", text: "three", attempts: 1 })
    assert.notProperty(resultOf(second.lines, "during"), "earlier")
    const recovered = second.lines.find((line) => line.type === "task.state" && line["from"] === "running")
    assert.deepInclude(recovered, { task: "during", to: "queued", attempt: 1 })
    const log = readFileSync(join(workspace(it.dir), "log"), "utf8")
      .trim()
      .split("\n")
    assert.deepStrictEqual(log, ["before", "during", "during", "after"])
  })

  it("that was broken off too often is not begun again by a run of the same config, and is when it is replayed", async () => {
    await using it = await fleet()
    const killer = {
      agents: [runner],
      retry: { interruptions: 1, delay: "100 millis" },
      tasks: [{ id: "killer", prompt: fake(bash("echo begun >> log; [ -f enough ] || sleep 1019"), { text: "done" }) }]
    }
    const log = join(workspace(it.dir), "log")
    const begun = () => (existsSync(log) ? readFileSync(log, "utf8").trim().split("\n").length : 0)
    for (const times of [1, 2]) {
      const run = it.run(killer, "--json")
      while (begun() < times) await new Promise((resolve) => setTimeout(resolve, 20))
      run.child.kill("SIGKILL")
      await run.exit
    }
    const third = it.run(killer, "--json")
    const given = await third.waitFor("its end", ({ type }) => type === "task.result")
    assert.include(given, { task: "killer", status: "failed", attempts: 2, earlier: true })
    assert.strictEqual(faultOf(third.lines, "killer"), "BrokenOffTooOften")
    assert.strictEqual(begun(), 2)
    writeFileSync(join(workspace(it.dir), "enough"), "")
    const replay = ["task", "replay", "killer", "--json"]
    while ((await finish(replay, { cwd: it.dir })).code === 3) await new Promise((resolve) => setTimeout(resolve, 20))
    await third.waitFor("its success", (line) => line.type === "task.state" && line["to"] === "succeeded")
    assert.strictEqual(begun(), 3)
  })

  it("is never lost and never finished twice where the runtime is killed again and again at any moment", async () => {
    await using it = await fleet()
    const ids = Array.from({ length: 8 }, (_, n) => `t${n}`)
    const config = {
      agents: [agent({ replicas: 2, permissions: { allow: ["Bash"] } })],
      tasks: ids.map((id) => ({
        id,
        prompt: fake(bash(`sleep 0.2; echo ${id} >> ${it.dir}/log`), { text: `${id} is done` })
      }))
    }
    const finished: Array<unknown> = []
    const told = (lines: ReadonlyArray<Line>) =>
      finished.push(
        ...lines.filter(({ to, type }) => type === "task.state" && to === "succeeded").map(({ task }) => task)
      )
    for (let round = 0; round < 4; round++) {
      const running = it.run(config, "--json")
      await new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * 1_500))
      running.child.kill("SIGKILL")
      await running.exit
      assert.notInclude(running.stderr(), "internal error")
      told(running.lines)
    }
    const last = await it.once(config)
    assert.strictEqual(last.code, 0, last.stderr)
    told(last.lines)
    for (const id of ids) assert.include(resultOf(last.lines, id), { status: "succeeded", text: `${id} is done` })
    // A kill may come between the ledger and the report, so that a report may be missing; there is never a second one.
    assert.lengthOf(finished, new Set(finished).size)
    const work = readFileSync(join(it.dir, "log"), "utf8").trim().split("\n")
    assert.sameMembers([...new Set(work)], ids)
  })

  it("goes on where a run was stopped in order in the middle of it", async () => {
    await using it = await fleet()
    const prompt = fake(bash("[ -f flag ] || { touch flag; sleep 1019; }"), { text: "done" })
    const config = { agents: [runner], tasks: [{ id: "t", prompt }] }
    const first = it.run(config, "--json")
    await untilFile(join(workspace(it.dir), "flag"))
    first.child.kill("SIGTERM")
    assert.strictEqual(await first.exit, 143)
    assert.isUndefined(resultOf(first.lines, "t"))
    const second = await it.once(config)
    assert.include(resultOf(second.lines, "t"), { status: "succeeded", text: "done", attempts: 2 })
  })

  it("that has succeeded is answered with its result in the next run, and costs nothing there", async () => {
    await using it = await fleet()
    const config = {
      agents: [agent()],
      tasks: [{ id: "t", prompt: fake({ text: "forty-two" }) }, { prompt: fake({ text: "two" }) }]
    }
    const first = await it.once(config)
    const before = asked(it.standin.requests())
    const second = await it.once(config)
    assert.strictEqual(second.code, 0)
    assert.strictEqual(asked(it.standin.requests()), before)
    for (const id of ["t", "task-2"]) {
      const { seq: _, at: __, ...result } = resultOf(first.lines, id) ?? { type: "" }
      assert.deepEqual(resultOf(second.lines, id), { ...result, type: "task.result", earlier: true })
    }
    const env = { ANTHROPIC_BASE_URL: it.standin.url, ANTHROPIC_API_KEY: "k", NO_COLOR: "1" }
    const plain = await finish(["run", it.config(config), "--once"], { cwd: it.dir, env })
    assert.match(plain.stdout, /✓ t forty-two \(worker, .*, in an earlier run\)/)
  })

  it("that has failed is done once more in the next run", async () => {
    await using it = await fleet()
    const config = {
      agents: [agent()],
      tasks: [{ id: "t", prompt: fake({ status: 400, message: "no", times: 1 }, { text: "now it works" }) }]
    }
    const first = await it.once(config)
    assert.strictEqual(first.code, 1)
    assert.strictEqual(resultOf(first.lines, "t")?.["status"], "failed")
    const second = await it.once(config)
    assert.strictEqual(second.code, 0, second.stderr)
    assert.include(resultOf(second.lines, "t"), { status: "succeeded", text: "now it works", attempts: 1 })
  })

  it("without an id is another task where its text is another, in place of what is unfinished of the former", async () => {
    await using it = await fleet()
    const of = (text: string, ...before: ReadonlyArray<Record<string, unknown>>) => ({
      agents: [runner],
      tasks: [{ prompt: fake(...before, { text }) }]
    })
    const wrong = of("wrong", bash("touch flag; sleep 1020"))
    const first = it.run(wrong, "--json")
    await untilFile(join(workspace(it.dir), "flag"))
    first.child.kill("SIGTERM")
    await first.exit
    const second = await it.once(of("right"))
    assert.strictEqual(second.code, 0, second.stderr)
    const results = second.lines.filter(({ type }) => type === "task.result")
    assert.lengthOf(results, 1)
    assert.deepInclude(results[0], { status: "succeeded", text: "right" })
    assert.match(String(results[0]?.["task"]), /^task-1-[0-9a-f]{8}$/)
    assert.isTrue(second.lines.some((line) => line["task"] === "task-1" && line["to"] === "cancelled"))
    const third = await it.once(of("right"))
    assert.deepInclude(
      third.lines.find(({ type }) => type === "task.result"),
      { text: "right", earlier: true }
    )
  })

  it("that keeps its id but not its content is refused, with its name and what to do", async () => {
    await using it = await fleet()
    const of = (text: string) => ({ agents: [agent()], tasks: [{ id: "greet", prompt: fake({ text }) }] })
    await it.once(of("hello"))
    const { code, lines, stderr } = await it.once(of("good morning"))
    assert.strictEqual(code, 2)
    assert.match(stderr, /"greet" and other content/)
    assert.match(stderr, /hint: .*another id/)
    assert.notMatch(stderr, /\bat .*\.ts:\d/)
    assert.isUndefined(faultOf(lines, "greet"))
  })
})

describe("a ledger, or what is kept of conversations,", () => {
  it.each(["ledger.db", "state.db"])(
    "that is damaged is refused before any agent starts, with a hint, and left as it is: %s",
    async (name) => {
      await using it = await fleet()
      const config = { agents: [agent()], tasks: [{ id: "t", prompt: fake({ text: "x" }) }] }
      await it.once(config)
      const file = join(it.dir, ".mister-smith", name)
      const garbage = "this is no database ".repeat(1_000)
      writeFileSync(file, garbage)
      const { code, lines, stderr } = await it.once(config)
      assert.strictEqual(code, 1)
      assert.include(stderr, `${name} is damaged`)
      assert.match(stderr, /hint: /)
      assert.notMatch(stderr, /\bat .*\.ts:\d/)
      assert.isFalse(lines.some(({ type }) => type === "session.ready"))
      assert.strictEqual(readFileSync(file, "utf8"), garbage)
    }
  )
})
