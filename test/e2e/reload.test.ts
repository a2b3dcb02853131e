/** A running node follows its config file: the compiled binary, told so by the same binary or by a signal. */
import { spawn } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { binary, finish, type Line, processesWith, type Running } from "../utils/Binary.ts"
import { agent, type Fleet, fake, fleet } from "../utils/Fleet.ts"

const bash = (command: string) => ({ tool: "Bash", input: { command, description: "d", timeout: 600_000 } })
const allowed = { permissions: { allow: ["Bash"] } }
const named = (id: string, more: Record<string, unknown> = {}) => agent({ id, ...allowed, ...more })

/** Until it holds; fails when the node has ended without. */
const until = async (running: Running, what: string, holds: () => boolean) => {
  let ended = false
  void running.exit.then(() => {
    ended = true
  })
  while (!holds()) {
    if (ended) throw new Error(`ended before ${what}\n${running.stdout()}\n${running.stderr()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const isAlive = (pid: number) => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

const isReady = (id: string) => (line: Line) => line.type === "session.ready" && line["agent"] === id

/** A node that serves, with these agents up, and the commands on it. */
const serving = async (it: Fleet, config: Record<string, unknown>, ids: ReadonlyArray<string>) => {
  const running = it.run(config, "--json")
  await until(running, "its socket", () => existsSync(join(it.dir, ".mister-smith", "admin.sock")))
  for (const id of ids) await running.waitFor(`${id} is ready`, isReady(id))
  return { running, tell: (...args: ReadonlyArray<string>) => finish(args, { cwd: it.dir }) }
}

const agents = async (tell: (...args: ReadonlyArray<string>) => ReturnType<typeof finish>) =>
  (await tell("ps", "--json")).lines.flatMap((line) => (line["kind"] === "worker" ? [String(line["id"])] : []))

const count = (lines: ReadonlyArray<Line>, id: string) => lines.filter(isReady(id)).length
const stepsIn = (lines: ReadonlyArray<Line>) =>
  lines.flatMap((line) => (line.type === "reload.step" ? [`${line["agent"]} ${line["step"]} ${line["is"]}`] : []))
/** How often this model was asked. */
const asked = (it: Fleet, model: string) => it.standin.requests().filter((request) => request.model === model).length

describe("reload", () => {
  it("adds, changes and removes what differs, in the config's order, and leaves the others alone", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it, { agents: [named("a"), named("b"), named("c")] }, ["a", "b", "c"])
    it.config({ agents: [named("d"), named("c", { model: "other" }), named("a")], retry: { attempts: 7 } })

    const plan = await tell("reload", "--plan", "--json")
    assert.strictEqual(plan.code, 0, plan.stderr)
    assert.lengthOf(plan.lines, 1)
    assert.deepStrictEqual(plan.lines[0]?.["agents"], [
      { agent: "d", do: "add", keys: [], renews: true },
      { agent: "c", do: "change", keys: ["model"], renews: true },
      { agent: "a", do: "keep", keys: [], renews: false },
      { agent: "b", do: "remove", keys: [], renews: false }
    ])
    assert.strictEqual(count(running.lines, "d"), 0)

    const { code, stderr, stdout } = await tell("reload")
    assert.strictEqual(code, 0, stderr)
    assert.match(stdout, /d +added\n/)
    assert.match(stdout, /c +changed, new CLI +model\n/)
    assert.match(stdout, /b +removed\n/)
    assert.match(stdout, /retry\.attempts +changed +at once\n/)
    assert.match(stdout, /a +unchanged\n/)
    assert.match(stderr, /reload done/)
    assert.deepStrictEqual(stepsIn(running.lines), [
      "d add begun",
      "d add done",
      "c change begun",
      "c change done",
      "b remove begun",
      "b remove done"
    ])
    assert.deepStrictEqual(await agents(tell), ["d", "c", "a"])
    assert.strictEqual(count(running.lines, "a"), 1)
    assert.strictEqual(count(running.lines, "c"), 2)
    for (const id of ["d", "c", "a"]) {
      const { code, stderr, stdout } = await tell("submit", fake({ text: `from ${id}` }), "--agent", id, "--wait")
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stdout, `from ${id}\n`)
    }
    assert.strictEqual(asked(it, "other"), 1)
    const gone = await tell("submit", fake({ text: "x" }), "--agent", "b", "--wait")
    assert.strictEqual(gone.code, 1)
    // The same file again changes nothing.
    const again = await tell("reload", "--json")
    assert.strictEqual(again.code, 0)
    assert.strictEqual(count(running.lines, "c"), 2)
  })

  it("has a busy agent finish its task first, and gives it nothing more before", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it, { agents: [named("a")] }, ["a"])
    const go = join(it.dir, "go")
    const wait = `touch ${it.dir}/begun; until [ -f ${go} ]; do sleep 0.1; done`
    await tell("submit", fake(bash(wait), { text: "one" }), "--id", "one")
    await until(running, "the task", () => existsSync(join(it.dir, "begun")))
    await tell("submit", fake({ text: "two" }), "--id", "two")
    it.config({ agents: [named("a", { model: "other" })] })
    const reload = tell("reload", "--json")
    await running.waitFor("it waits", (line) => line.type === "reload.step" && line["is"] === "waiting")
    const other = await tell("reload")
    assert.strictEqual(other.code, 1)
    assert.match(other.stderr, /a reload is under way already/)
    writeFileSync(go, "")
    const { code, lines, stderr } = await reload
    assert.strictEqual(code, 0, stderr)
    assert.deepStrictEqual(stepsIn(lines), ["a change waiting", "a change begun", "a change done"])
    assert.strictEqual(lines.at(-1)?.type, "reload.done")
    const one = await tell("task", "one", "--json")
    assert.deepInclude(one.lines[0], { state: "succeeded", attempt: 1 })
    assert.strictEqual((await tell("submit", fake({ text: "two" }), "--id", "two", "--wait")).stdout, "two\n")
    // The first had two answers, the second one.
    assert.strictEqual(asked(it, "other"), 1)
  })

  it("--now stops a busy agent, whose task goes on in its new life", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it, { agents: [named("a")] }, ["a"])
    const once = `echo x >> ${it.dir}/log; [ -f ${it.dir}/flag ] || { touch ${it.dir}/flag; sleep 1021; }`
    await tell("submit", fake(bash(once), { text: "done" }), "--id", "t")
    await until(running, "the task", () => existsSync(join(it.dir, "flag")))
    it.config({ agents: [named("a", { model: "other" })] })
    const { code, stderr } = await tell("reload", "--now")
    assert.strictEqual(code, 0, stderr)
    const ended = await tell("task", "t", "--json")
    assert.notInclude(["failed", "cancelled", "dead"], ended.lines[0]?.["state"])
    const again = await tell("submit", fake(bash(once), { text: "done" }), "--id", "t", "--wait")
    assert.strictEqual(again.stdout, "done\n", again.stderr)
    assert.isAbove(asked(it, "other"), 0)
  })

  it("a config with mistakes changes nothing, and every mistake is told with its place", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it, { agents: [named("a")] }, ["a"])
    it.config({ agents: [named("a", { replicas: 0 }), named("b", { modle: "x" })], retry: { attempts: 0 } })
    const people = await tell("reload")
    assert.strictEqual(people.code, 2)
    for (const place of [/agents\[0\]\.replicas \(line \d+\)/, /agents\[1\]/, /retry\.attempts/]) {
      assert.match(people.stderr, place)
    }
    const { code, lines } = await tell("reload", "--json")
    assert.strictEqual(code, 2)
    assert.lengthOf(lines[0]?.["mistakes"] as ReadonlyArray<unknown>, 3)
    writeFileSync(join(it.dir, "config.json"), '{"agents": [')
    assert.strictEqual((await tell("reload")).code, 2)
    assert.deepStrictEqual(await agents(tell), ["a"])
    assert.strictEqual(count(running.lines, "a"), 1)
    assert.strictEqual((await tell("submit", fake({ text: "x" }), "--wait")).stdout, "x\n")
  })

  it("is undone where an agent does not come up, and says why", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it, { agents: [named("a"), named("b")] }, ["a", "b"])
    const broken = join(it.dir, "broken.sh")
    writeFileSync(broken, "#!/bin/sh\nexit 7\n", { mode: 0o755 })
    const config = JSON.parse(
      readFileSync(it.config({ agents: [named("new"), named("b", { model: "other" })] }), "utf8")
    )
    config.claude.command = broken
    it.config(config)
    const first = await tell("reload", "--json")
    assert.strictEqual(first.code, 1, first.stdout)
    assert.include(first.lines.at(-1), { type: "reload.rolled_back", cause: "new" })
    assert.deepStrictEqual(await agents(tell), ["a", "b"])

    config.agents.shift()
    it.config(config)
    const { code, lines, stderr } = await tell("reload", "--json")
    assert.strictEqual(code, 1, stderr)
    assert.include(lines.at(-1), { type: "reload.rolled_back", cause: "b" })
    assert.deepStrictEqual(lines.at(-1)?.["undone"], ["b"])
    assert.match(stderr, /the reload was undone, because of b: /)
    assert.deepStrictEqual(await agents(tell), ["a", "b"])
    await until(running, "b is back", () => count(running.lines, "b") === 2)

    for (const id of ["a", "b"]) {
      const { stdout } = await tell("submit", fake({ text: `from ${id}` }), "--agent", id, "--wait")
      assert.strictEqual(stdout, `from ${id}\n`)
    }
    assert.strictEqual(asked(it, "other"), 0)
    assert.isNull(running.child.exitCode)
  })

  it("brings back what had changed before the one that did not come up", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it, { agents: [named("a"), named("b")] }, ["a", "b"])
    // A home that is a file: this agent can have no place to work.
    writeFileSync(join(it.dir, ".mister-smith", "agents", "bad"), "")
    const tasks = [{ id: "never", prompt: "x" }]
    it.config({ agents: [named("a", { model: "other" }), named("good"), named("bad")], tasks })
    const { code, lines, stderr } = await tell("reload", "--json")
    assert.strictEqual(code, 1, stderr)
    assert.include(lines.at(-1), { type: "reload.rolled_back", cause: "bad" })
    assert.deepStrictEqual(lines.at(-1)?.["undone"], ["bad", "good", "a"])
    assert.deepStrictEqual(await agents(tell), ["a", "b"])
    const { stdout } = await tell("submit", fake({ text: "from a" }), "--agent", "a", "--wait")
    assert.strictEqual(stdout, "from a\n")
    assert.strictEqual(asked(it, "other"), 0)
    assert.strictEqual((await tell("task", "never")).code, 2)
    assert.strictEqual(count(running.lines, "b"), 1)
    assert.isNull(running.child.exitCode)
  })

  it("SIGHUP does the same, submits the new tasks, and a bad file is only told", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(
      it,
      { agents: [named("a")], tasks: [{ id: "old", prompt: fake({ text: "old" }) }] },
      ["a"]
    )
    await running.waitFor("the old task", (line) => line.type === "task.result" && line["task"] === "old")
    writeFileSync(join(it.dir, "config.json"), "nonsense")
    running.child.kill("SIGHUP")
    await running.waitFor("it is refused", (line) => line.type === "reload.refused")
    it.config({
      agents: [named("a"), named("b", { taskTypes: ["b"] })],
      tasks: [
        { id: "old", prompt: fake({ text: "old" }) },
        { id: "new", type: "b", prompt: fake({ text: "new" }) }
      ]
    })
    running.child.kill("SIGHUP")
    const done = await running.waitFor("it is done", (line) => line.type === "reload.done")
    assert.property(done, "tookMillis")
    assert.deepStrictEqual(await agents(tell), ["a", "b"])
    const { stdout } = await tell("submit", fake({ text: "new" }), "--type", "b", "--id", "new", "--wait")
    assert.strictEqual(stdout, "new\n")
    // The old one is not done once more.
    assert.lengthOf(
      it.standin.requests().filter(({ path }) => path.endsWith("/messages")),
      2
    )
  })

  it("SIGHUP stops a node in order whose terminal has gone, and reloads one whose terminal is there", async () => {
    await using it = await fleet()
    const config = it.config({ agents: [named("a")] })
    const out = join(it.dir, "out")
    const said = () => (existsSync(out) ? readFileSync(out, "utf8") : "")
    const program = `exec ${binary} run ${config} --json > ${out} 2>&1`
    // script(1) gives it a terminal, which is gone when script is.
    const terminal = spawn("script", ["-qec", program, "/dev/null"], {
      cwd: it.dir,
      env: { PATH: process.env["PATH"], HOME: it.dir, SHELL: "/bin/sh" },
      stdio: ["pipe", "ignore", "ignore"]
    })
    const gone = new Promise((resolve) => terminal.once("close", resolve))
    const shown = async (what: string) => {
      while (!said().includes(what)) {
        assert.isNull(terminal.exitCode, said())
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    await shown('"session.ready"')
    while (!existsSync(join(it.dir, ".mister-smith", "admin.sock")))
      await new Promise((resolve) => setTimeout(resolve, 20))
    const { lines } = await finish(["ps", "--json"], { cwd: it.dir })
    const { pid } = (lines[0]?.["node"] ?? {}) as { readonly pid: number }
    it.config({ agents: [named("a"), named("b")] })
    process.kill(pid, "SIGHUP")
    await shown('"reload.done"')
    terminal.kill("SIGKILL")
    await gone
    while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 20))
    assert.include(said(), '"runtime.stopped"')
    assert.deepStrictEqual(processesWith(join(it.dir, ".mister-smith")), [])
  })

  it("keeps an agent down that was stopped on purpose, with its new settings", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it, { agents: [named("a"), named("b")] }, ["a", "b"])
    assert.strictEqual((await tell("stop", "a")).code, 0)
    it.config({ agents: [named("a", { model: "other" }), named("b")] })
    const { code, stderr } = await tell("reload")
    assert.strictEqual(code, 0, stderr)
    assert.strictEqual(count(running.lines, "a"), 1)
    assert.strictEqual((await tell("start", "a")).code, 0)
    assert.strictEqual((await tell("submit", fake({ text: "up" }), "--agent", "a", "--wait")).stdout, "up\n")
    assert.isAbove(asked(it, "other"), 0)
  })

  it("says what needs a restart of the node, and does the rest", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it, { agents: [named("a")] }, ["a"])
    it.config({
      agents: [named("a", { taskTypes: ["x"], limits: { taskTime: "1 minute" } })],
      supervision: { maxRestarts: 9 },
      process: { measureEvery: "1 second" }
    })
    const { code, stdout } = await tell("reload")
    assert.strictEqual(code, 0)
    assert.match(stdout, /a +changed in place +taskTypes, limits\.taskTime\n/)
    assert.match(stdout, /supervision\.maxRestarts +not changed +needs a restart of the node\n/)
    assert.match(stdout, /process\.measureEvery +not changed +needs a restart of the node\n/)
    assert.strictEqual(count(running.lines, "a"), 1)
    assert.strictEqual((await tell("submit", fake({ text: "x" }), "--type", "x", "--wait")).stdout, "x\n")
    assert.match((await tell("reload", "--plan")).stdout, /supervision\.maxRestarts +not changed/)
  })

  it("killed in the middle at any moment, the next run is that of the new file and nothing is left of what is gone", async () => {
    for (let round = 0; round < 4; round++) {
      await using it = await fleet()
      const old = { agents: [named("a"), named("gone"), named("b")] }
      const next = { agents: [named("b", { model: "other" }), named("new"), named("a", { model: "other" })] }
      const { running, tell } = await serving(it, old, ["a", "gone", "b"])
      it.config(next)
      const reload = tell("reload")
      await running.waitFor("it begins", (line) => line.type === "reload.planned")
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 4000))
      running.child.kill("SIGKILL")
      await running.exit
      assert.include([0, 3], (await reload).code)

      const second = await serving(it, next, ["b", "new", "a"])
      assert.deepStrictEqual(await agents(second.tell), ["b", "new", "a"])
      for (const id of ["b", "new", "a"]) {
        const { stdout, stderr } = await second.tell("submit", fake({ text: id }), "--agent", id, "--wait")
        assert.strictEqual(stdout, `${id}\n`, stderr)
      }
      assert.deepStrictEqual(processesWith(join(it.dir, ".mister-smith", "agents", "gone", "claude")), [])
      second.running.child.kill("SIGTERM")
      assert.strictEqual(await second.running.exit, 143)
    }
  })

  it("ends with 3 where no node runs", async () => {
    await using it = await fleet()
    const { code, stderr } = await finish(["reload"], { cwd: it.dir })
    assert.strictEqual(code, 3)
    assert.match(stderr, /no running node/)
  })
})
