/** A running node, asked and told things by the same binary. */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { dirname, join } from "node:path"
import { assert, describe, it } from "vitest"
import { binary, finish, type Line, type Running, type RunOptions, root, start, tempDir } from "../utils/Binary.ts"
import { agent, type Fleet, fake, fleet } from "../utils/Fleet.ts"

const COMMANDS = [
  ["submit", "p"],
  ["tasks"],
  ["task", "t"],
  ["ps"],
  ["ps", "--fleet"],
  ["nodes"],
  ["events"],
  ["stop", "worker"],
  ["start", "worker"],
  ["restart", "worker"],
  ["logs", "worker"],
  ["drain"],
  ["reload"],
  ["pause", "worker"],
  ["resume", "worker"],
  ["interrupt", "worker"],
  ["tell", "worker", "something"],
  ["model", "worker", "claude"],
  ["limit", "worker", "--cpus", "1"],
  ["explain", "worker"]
] as const

const socketOf = (dir: string) => join(dir, ".mister-smith", "admin.sock")

/** Until it is there; fails when the node has ended without. */
const listening = async (running: Running, socket: string) => {
  let ended = false
  void running.exit.then(() => {
    ended = true
  })
  while (!existsSync(socket)) {
    if (ended) throw new Error(`ended before it listened\n${running.stdout()}\n${running.stderr()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A node that serves, and the commands on it. */
const serving = async (it: Fleet, config: Record<string, unknown> = {}) => {
  const running = it.run({ agents: [agent({ permissions: { allow: ["Bash"] } })], ...config }, "--json")
  await listening(running, socketOf(it.dir))
  return { running, tell: (...args: ReadonlyArray<string>) => finish(args, { cwd: it.dir }) }
}

const texts = (lines: ReadonlyArray<Line>, key: string) => lines.map((line) => line[key])

describe("submit", () => {
  it("--wait prints the answer alone on stdout, and ends with 0", async () => {
    await using it = await fleet()
    const { tell } = await serving(it)
    const { code, stderr, stdout } = await tell("submit", fake({ text: "forty\ntwo" }), "--wait")
    assert.strictEqual(stdout, "forty\ntwo\n", stderr)
    assert.strictEqual(code, 0)
    assert.match(stderr, /✓ .*worker/)
    const json = await tell("submit", fake({ text: "six" }), "--wait", "--json", "--id", "t6", "--agent", "worker")
    assert.strictEqual(json.code, 0)
    assert.lengthOf(json.lines, 1)
    const more = await tell("submit", fake({ text: "seven" }), "--wait", "--json", "--session", "t6")
    assert.strictEqual(more.code, 0, more.stderr)
    assert.deepStrictEqual(texts(more.lines, "session"), texts(json.lines, "session"))
    assert.include(json.lines[0], { type: "task.result", task: "t6", status: "succeeded", text: "six" })
    assert.notProperty(json.lines[0], "output")
  })

  it("--wait ends with 1 where the task fails, and says why", async () => {
    await using it = await fleet()
    const { tell } = await serving(it)
    const schema = join(it.dir, "schema.json")
    writeFileSync(schema, '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}')
    const good = await tell("submit", fake({ structured: { n: 7 } }), "--schema", schema, "--wait")
    assert.strictEqual(good.stdout, '{"n":7}\n', good.stderr)
    const bad = await tell("submit", fake({ text: "seven" }, { text: "seven" }), "--schema", schema, "--wait")
    assert.strictEqual(bad.code, 1)
    assert.strictEqual(bad.stdout, "")
    assert.match(bad.stderr, /✗/)
  })

  it("--follow tells on the way what is done", async () => {
    await using it = await fleet()
    const { tell } = await serving(it)
    const prompt = fake({ tool: "Bash", input: { command: "echo hi", description: "d" } }, { text: "done" })
    const { code, lines, stderr } = await tell("submit", prompt, "--follow", "--json", "--id", "t")
    assert.strictEqual(code, 0, stderr)
    assert.isTrue(lines.some((line) => line.type === "task.progress" && line["detail"] === "Bash"))
    assert.include(lines.at(-1), { type: "task.result", text: "done" })
    assert.isTrue(lines.every((line) => line["task"] === "t"))
    const people = await tell("submit", prompt, "--follow")
    assert.strictEqual(people.stdout, "done\n")
    assert.match(people.stderr, /uses Bash/)
    // The same again is not done again, and there is nothing to follow.
    const again = await tell("submit", prompt, "--follow", "--id", "t")
    assert.strictEqual(again.code, 0)
    assert.strictEqual(again.stdout, "done\n")
  })

  it("--wait ends with 3 where the node is stopped before the task has ended", async () => {
    await using it = await fleet()
    const { running } = await serving(it)
    const waiter = start(["submit", fake({ delay: 60_000, text: "never" }), "--id", "t", "--wait"], { cwd: it.dir })
    await running.waitFor("the task", (line) => line.type === "task.state" && line["to"] === "running")
    running.child.kill("SIGTERM")
    assert.strictEqual(await waiter.exit, 3)
    assert.strictEqual(waiter.stdout(), "")
    assert.match(waiter.stderr(), /stopped before task "t" had ended[\s\S]*hint: .*mister-smith task t/)
    assert.strictEqual(await running.exit, 143)
  })

  it("takes its prompt from a file or a pipe, and refuses two of them", async () => {
    await using it = await fleet()
    const { tell } = await serving(it)
    const file = join(it.dir, "prompt.txt")
    writeFileSync(file, fake({ text: "from a file" }))
    assert.strictEqual((await tell("submit", "--file", file, "--wait")).stdout, "from a file\n")
    const piped = spawnSync(binary, ["submit", "--id", "piped"], { cwd: it.dir, input: fake({ text: "from a pipe" }) })
    assert.match(String(piped.stdout), /task piped is queued/)
    assert.include((await tell("submit", fake({ text: "from a pipe" }), "--id", "piped", "--wait")).stdout, "a pipe")
    const both = await tell("submit", "p", "--file", file)
    assert.strictEqual(both.code, 2)
    const absent = await tell("submit", "--file", join(it.dir, "absent"))
    assert.strictEqual(absent.code, 2)
    assert.match(absent.stderr, /absent/)
  })

  it("answers what is no task, or another of the same name, with 2 and a hint", async () => {
    await using it = await fleet()
    const { tell } = await serving(it)
    const wrong = await tell("submit", "p", "--id", "a b", "--agent", "NOBODY")
    assert.strictEqual(wrong.code, 2)
    assert.match(wrong.stderr, /this is not a task: id: expected at most 128 letters[\s\S]*hint: /)
    assert.notInclude(wrong.stderr, "needs a prompt")
    const zone = await tell("submit", "p", "--time-zone", "UTC")
    assert.strictEqual(zone.code, 2)
    assert.match(zone.stderr, /--time-zone .* schedule[\s\S]*hint: .*--schedule/)
    const nobody = await tell("submit", "p", "--agent", "nobody", "--wait")
    assert.strictEqual(nobody.code, 1)
    assert.match(nobody.stderr, /no agent "nobody" .*[\s\S]*hint: .*`ps`/)
    assert.strictEqual((await tell("submit", "")).code, 2)
    assert.strictEqual((await tell("submit", fake({ text: "1" }), "--id", "same", "--wait")).code, 0)
    const conflict = await tell("submit", "other", "--id", "same")
    assert.strictEqual(conflict.code, 2)
    assert.match(conflict.stderr, /"same" and other content exists[\s\S]*hint: /)
  })
})

describe("what a node does", () => {
  it("is told by tasks and task", async () => {
    await using it = await fleet()
    const { tell } = await serving(it)
    assert.match((await tell("tasks")).stdout, /there are no tasks/)
    await tell("submit", fake({ text: "the answer" }), "--id", "first", "--wait")
    await tell("submit", fake({ tool: "Bash", input: { command: "sleep 1009", description: "d" } }), "--id", "second")
    const table = await tell("tasks")
    assert.match(table.stdout, /^TASK +STATE[\s\S]*^first +succeeded[\s\S]*^second /m)
    assert.notInclude(table.stdout, "\u001b[")
    assert.deepStrictEqual(texts((await tell("tasks", "--json")).lines, "id"), ["first", "second"])
    assert.deepStrictEqual(texts((await tell("tasks", "--json", "--state", "succeeded")).lines, "id"), ["first"])
    const one = await tell("tasks", "--limit", "1")
    assert.notMatch(one.stdout, /first/)
    assert.match(one.stderr, /there are earlier ones/)
    assert.strictEqual((await tell("tasks", "--state", "odd")).code, 2)
    assert.strictEqual((await tell("tasks", "--limit", "-1")).code, 2)
    const story = await tell("task", "first")
    assert.match(story.stdout, /succeeded[\s\S]*worker begins[\s\S]*\nthe answer\n/)
    const json = (await tell("task", "first", "--json")).lines
    assert.lengthOf(json, 1)
    assert.include(json[0], { id: "first", state: "succeeded" })
    assert.include(json[0]?.["result"], { text: "the answer" })
    assert.isNotEmpty(json[0]?.["events"])
    const unknown = await tell("task", "First")
    assert.strictEqual(unknown.code, 2)
    assert.match(unknown.stderr, /there is no task "First"[\s\S]*hint: .*case-sensitive/)
  })

  it("is shown by ps: who holds which task, who is down, and why", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it, {
      name: "my-node",
      agents: [agent({ permissions: { allow: ["Bash"] } }), agent({ id: "other", taskTypes: ["never"] })]
    })
    for (const id of ["worker", "other"]) {
      await running.waitFor(id, (line) => line.type === "session.ready" && line["agent"] === id)
    }
    await tell("submit", fake({ tool: "Bash", input: { command: "sleep 1009", description: "d" } }), "--id", "long")
    await running.waitFor("Bash", (line) => line.type === "task.progress")
    const shown = await tell("ps")
    assert.match(
      shown.stdout,
      /^my-node .*pid [0-9]+[\s\S]*^agents +running[\s\S]*^ +worker +busy +long +[0-9a-f]{8} +0/m
    )
    const { lines } = await tell("ps", "--json")
    assert.include(lines[0], { kind: "supervisor", path: "agents", strategy: "one_for_one" })
    assert.include(lines[1], { id: "worker", state: "busy", task: "long", restarts: 0, path: "agents/worker" })
    assert.match(String(lines[1]?.["session"]), /^[0-9a-f]{8}-/)
    assert.include(lines[2], { id: "other", state: "idle", costUsd: 0 })
    assert.notProperty(lines[2], "session")
    await tell("task", "cancel", "long")
    await tell("submit", fake({ text: "cheap" }), "--wait")
    const [, after] = (await tell("ps", "--json")).lines
    assert.isAbove(Number(after?.["costUsd"]), 0)
    assert.match((await tell("ps")).stdout, /^ +worker +idle .* \$0\.[0-9]+ *$/m)
  })

  it("can be changed: an agent is stopped, explained and started again", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it)
    await running.waitFor("it", (line) => line.type === "session.ready")
    const stopped = await tell("stop", "worker")
    assert.strictEqual(stopped.code, 0, stopped.stderr)
    assert.match(stopped.stdout, /worker is stopped.*mister-smith start worker/)
    assert.match((await tell("ps")).stdout, /worker +stopped/)
    assert.match((await tell("explain", "worker")).stdout, /agents\/worker.*stopped/)
    assert.match(
      (await tell("explain", "worker")).stdout,
      /initializing → idle {2}its CLI is ready\n(.*\n)*.*stopping → terminated/
    )
    const moves = (await tell("explain", "worker", "--json")).lines[0]?.["moves"]
    assert.deepInclude((moves as ReadonlyArray<object>).at(-1), { from: "stopping", to: "terminated" })
    // Work for it waits meanwhile.
    assert.match((await tell("submit", fake({ text: "late" }), "--id", "late")).stdout, /queued/)
    assert.deepInclude((await tell("start", "worker", "--json")).lines[0], { agent: "worker", started: true })
    assert.strictEqual((await tell("submit", fake({ text: "late" }), "--id", "late", "--wait")).stdout, "late\n")
    const again = await tell("start", "worker")
    assert.strictEqual(again.code, 2)
    assert.match(again.stderr, /is running/)
    for (const command of ["stop", "start", "explain"]) {
      const { code, stderr } = await tell(command, "wroker")
      assert.strictEqual(code, 2)
      assert.match(stderr, /no agent named "wroker"[\s\S]*hint: its agents are worker/)
    }
  })
})

describe("an agent", () => {
  it("is paused in the middle of its work, limited, and goes on", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it)
    await running.waitFor("it", (line) => line.type === "session.ready")
    const bash = { tool: "Bash", input: { command: "sleep 1", description: "d" } }
    await tell("submit", fake(bash, { text: "done" }), "--id", "t")
    await running.waitFor("Bash", (line) => line.type === "task.progress")
    const paused = await tell("pause", "worker")
    assert.strictEqual(paused.code, 0, paused.stderr)
    assert.match(paused.stdout, /worker is paused.*mister-smith resume worker/)
    assert.match((await tell("ps")).stdout, /worker +paused/)
    const limited = await tell("limit", "worker", "--memory", "3 GiB", "--cpus", "1.5", "--json")
    assert.strictEqual(limited.code, 0, limited.stderr)
    assert.include(limited.lines[0], { agent: "worker" })
    assert.isArray(limited.lines[0]?.["unenforced"])
    assert.deepInclude((await tell("resume", "worker", "--json")).lines[0], { agent: "worker", paused: false })
    const prompt = fake(bash, { text: "done" })
    assert.strictEqual((await tell("submit", prompt, "--id", "t", "--wait")).stdout, "done\n")
    assert.strictEqual((await tell("limit", "worker")).code, 2)
    const wrong = await tell("limit", "worker", "--memory", "lots", "--cpus", "0")
    assert.strictEqual(wrong.code, 2)
    assert.match(wrong.stderr, /2 GiB[\s\S]*0\.01 to 1024/)
    await tell("stop", "worker")
    const down = await tell("pause", "worker")
    assert.strictEqual(down.code, 2)
    assert.match(down.stderr, /it is terminated[\s\S]*hint: /)
  })
})

describe("a task", () => {
  it("is cancelled with a reason, retried, and tells of each attempt", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it)
    await tell("submit", fake({ delay: 60_000, text: "never" }), "--id", "t", "--type", "slow")
    await running.waitFor("its first attempt", (line) => line.type === "task.state" && line["to"] === "running")
    const cancelled = await tell("task", "cancel", "t", "--why", "changed my mind")
    assert.strictEqual(cancelled.code, 0, cancelled.stderr)
    assert.match(cancelled.stdout, /task "t" was cancelled: changed my mind\n/)
    const twice = await tell("task", "cancel", "t")
    assert.strictEqual(twice.code, 2)
    assert.match(twice.stderr, /has ended already: it was cancelled[\s\S]*hint: /)
    const retried = await tell("task", "retry", "t", "--json")
    assert.strictEqual(retried.code, 0, retried.stderr)
    assert.deepInclude(retried.lines[0], { id: "t", type: "slow" })
    await running.waitFor("its second attempt", (line) => line.type === "task.state" && line["attempt"] === 2)
    const [story] = (await tell("task", "t", "--json")).lines
    const history = story?.["history"] as ReadonlyArray<Record<string, unknown>>
    assert.lengthOf(history, 2)
    assert.deepInclude(history[0], { attempt: 1, agent: "worker", ended: "cancelled" })
    assert.include(history[0]?.["fault"], { kind: "TaskCancelled" })
    assert.deepInclude(history[1], { attempt: 2, agent: "worker" })
    assert.notProperty(history[1], "ended")
    assert.match(
      (await tell("task", "t")).stdout,
      /attempts +1\. worker, .* to .*, cancelled: .*changed my mind\n +2\. worker, .* under way\n/
    )
    const gone = await tell("task", "cancel", "t", "--json")
    assert.deepInclude(gone.lines[0], { id: "t", state: "cancelled" })
    await tell("submit", fake({ text: "ok" }), "--id", "done", "--wait")
    const succeeded = await tell("task", "retry", "done")
    assert.strictEqual(succeeded.code, 2)
    assert.match(succeeded.stderr, /has succeeded/)
    for (const verb of ["cancel", "retry"]) assert.strictEqual((await tell("task", verb, "nope")).code, 2)
    const ids = async (...filter: ReadonlyArray<string>) =>
      texts((await tell("tasks", "--json", ...filter)).lines, "id")
    assert.deepStrictEqual(await ids(), ["t", "done"])
    assert.deepStrictEqual(await ids("--type", "slow"), ["t"])
    assert.deepStrictEqual(await ids("--agent", "worker", "--state", "succeeded"), ["done"])
    assert.deepStrictEqual(await ids("--agent", "nobody"), [])
  })
})

describe("a dead letter", () => {
  it("is listed, tells its story, is given a new life or dropped; nothing else is", async () => {
    await using it = await fleet()
    // As many answers as the CLI asks for in one attempt.
    const limited = { status: 429, times: 3 }
    const prompt = fake({ text: "I think it is done." }, limited)
    const { running, tell } = await serving(it, {
      retry: { attempts: 1 },
      tasks: [{ id: "u", prompt, evidence: [{ file: "out.txt" }] }]
    })
    await running.waitFor("its end", (line) => line.type === "task.state" && line["to"] === "dead")
    const first = await tell("submit", fake(limited, { text: "at last" }), "--id", "t", "--wait")
    assert.strictEqual(first.code, 1, first.stderr)
    await tell("submit", fake({ text: "ok" }), "--id", "done", "--wait")
    assert.deepStrictEqual(texts((await tell("tasks", "--state", "dead", "--json")).lines, "id"), ["u", "t"])
    const [story] = (await tell("task", "t", "--json")).lines
    const history = story?.["history"] as ReadonlyArray<Record<string, unknown>>
    assert.deepInclude(history[0], { attempt: 1, ended: "dead" })
    assert.include(history[0]?.["fault"], { kind: "RateLimited" })
    assert.match((await tell("task", "u")).stdout, /missing: .*out\.txt.*\n +last words: I think it is done\./)
    const replayed = await tell("task", "replay", "t", "--json")
    assert.strictEqual(replayed.code, 0, replayed.stderr)
    assert.deepInclude(replayed.lines[0], { id: "t" })
    assert.strictEqual(
      (await tell("submit", fake(limited, { text: "at last" }), "--id", "t", "--wait")).stdout,
      "at last\n"
    )
    const dropped = await tell("task", "drop", "u")
    assert.strictEqual(dropped.stdout, 'task "u" was cancelled\n')
    assert.deepStrictEqual((await tell("tasks", "--state", "dead", "--json")).lines, [])
    for (const [verb, id] of [
      ["replay", "done"],
      ["drop", "done"],
      ["replay", "none"],
      ["drop", "none"]
    ] as const) {
      const refused = await tell("task", verb, id)
      assert.strictEqual(refused.code, 2)
      assert.match(
        refused.stderr,
        id === "done" ? /is no dead letter: its state is succeeded[\s\S]*hint: / : /there is no task/
      )
    }
  })
})

describe("a scheduled task", () => {
  it("is done again and again until an occurrence is cancelled", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it, {
      tasks: [{ id: "s", prompt: fake({ text: "tick" }), schedule: "* * * * * *" }]
    })
    const second = await running.waitFor(
      "the end of the second occurrence",
      (line) => line.type === "task.state" && String(line["task"]).startsWith("s@") && line["to"] === "succeeded"
    )
    assert.match(String(second["task"]), /^s@\d{8}T\d{6}Z$/)
    // The one that is open may end while it is being cancelled; then it is the next.
    let cancelled: Line | undefined
    while (cancelled === undefined) {
      const open = (await tell("tasks", "--json")).lines.filter(({ id, state }) => id !== "s" && state !== "succeeded")
      for (const { id } of open) cancelled ??= (await tell("task", "cancel", String(id), "--json")).lines[0]
    }
    assert.deepInclude(cancelled, { state: "cancelled", series: "s", schedule: "* * * * * *" })
    const left = (await tell("tasks", "--json")).lines.filter(({ state }) => state !== "succeeded")
    assert.deepStrictEqual(texts(left, "id"), [cancelled["id"]])
  })
})

describe("agents", () => {
  it("are told together by the name of their group, or all; what fails is told, and the others do it", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it, { agents: [agent({ replicas: 2 }), agent({ id: "other" })] })
    const stopped = await tell("stop", "worker", "--json")
    assert.strictEqual(stopped.code, 0, stopped.stderr)
    const workers = texts(stopped.lines, "agent")
    assert.lengthOf(workers, 2)
    assert.notInclude(workers, "other")
    // What has no CLI yet cannot be paused.
    await running.waitFor("the other one", (line) => line.type === "session.ready" && line["agent"] === "other")
    await running.waitFor(
      "the other one",
      (line) => line.type === "agent.state" && line["agent"] === "other" && line["to"] === "idle"
    )
    // Two are down, which cannot be paused; the third is, all the same.
    const paused = await tell("pause", "all")
    assert.strictEqual(paused.code, 1)
    assert.match(paused.stdout, /other is paused/)
    assert.match(paused.stderr, /2 of 3 agents did not do it/)
    for (const worker of workers) assert.include(paused.stderr, `${worker}`)
    const resumed = await tell("resume", "all", "--json")
    assert.strictEqual(resumed.code, 1)
    assert.deepInclude(resumed.lines, { agent: "other", paused: false } as unknown as Line)
    assert.lengthOf(
      resumed.lines.filter((line) => "fault" in line),
      2
    )
    // The one that runs is as it is to be.
    const started = await tell("start", "all", "--json")
    assert.strictEqual(started.code, 0, started.stderr)
    assert.lengthOf(started.lines, 3)
    const restarted = await tell("restart", "all")
    assert.strictEqual(restarted.code, 0, restarted.stderr)
    assert.match(restarted.stdout, /^(.* is restarted\n){3}$/)
    assert.strictEqual((await tell("restart", "wroker")).code, 2)
  })

  it("are restarted in the middle of their work, which goes on", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it)
    const bash = { tool: "Bash", input: { command: "sleep 2", description: "d" } }
    await tell("submit", fake(bash, { text: "done" }), "--id", "t")
    await running.waitFor("Bash", (line) => line.type === "task.progress")
    const restarted = await tell("restart", "worker", "--json")
    assert.strictEqual(restarted.code, 0, restarted.stderr)
    assert.deepInclude(restarted.lines[0], { agent: "worker", restarted: true })
    await running.waitFor("its end", (line) => line.type === "task.state" && line["to"] === "succeeded")
    // One that is down is started.
    await tell("stop", "worker")
    assert.strictEqual((await tell("restart", "worker")).stdout, "worker is restarted\n")
    assert.strictEqual((await tell("submit", fake({ text: "up" }), "--wait")).stdout, "up\n")
  })
})

describe("logs", () => {
  it("tell what an agent has said and done, the latest so many, or on to the end", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it, { agents: [agent(), agent({ id: "other" })] })
    await tell("submit", fake({ text: "hello" }), "--id", "a", "--agent", "worker", "--wait")
    await tell("submit", fake({ text: "hullo" }), "--id", "b", "--agent", "other", "--wait")
    const said = await tell("logs", "worker")
    assert.strictEqual(said.code, 0, said.stderr)
    assert.match(said.stdout, /worker: ready[\s\S]*task a: worker begins[\s\S]*task a: hello[\s\S]*task a: succeeded/)
    assert.notMatch(said.stdout, /other|task b|undefined|\[object|\{"/)
    const last = await tell("logs", "worker", "--last", "2", "--json")
    assert.lengthOf(last.lines, 2)
    assert.deepStrictEqual(new Set(texts(last.lines, "agent")), new Set(["worker"]))
    assert.deepStrictEqual((await tell("logs", "worker", "--last", "0", "--json")).lines, [])
    assert.include((await tell("logs", "all")).stdout, "task b")
    const unknown = await tell("logs", "wroker")
    assert.strictEqual(unknown.code, 2)
    assert.match(unknown.stderr, /no agent named "wroker"/)
    const follower = start(["logs", "worker", "--follow", "--json"], { cwd: it.dir })
    await follower.waitFor("what was", (line) => line["to"] === "succeeded" && line["task"] === "a")
    await tell("submit", fake({ text: "more" }), "--id", "c", "--agent", "worker", "--wait")
    await follower.waitFor("what is", (line) => line["to"] === "succeeded" && line["task"] === "c")
    running.child.kill("SIGTERM")
    assert.strictEqual(await follower.exit, 0)
    const seqs = texts(follower.lines, "seq")
    assert.deepStrictEqual(seqs, [...new Set(seqs)], "each is told once")
  })
})

describe("drain", () => {
  it("finishes what runs, begins nothing more, and ends the node with 0; the next run does the rest", async () => {
    await using it = await fleet()
    const config = { agents: [agent({ permissions: { allow: ["Bash"] } })] }
    const { running, tell } = await serving(it, config)
    const command = `while [ ! -e ${it.dir}/go ]; do sleep 0.1; done`
    const wait = { tool: "Bash", input: { command, description: "d" } }
    await tell("submit", fake(wait, { text: "finished" }), "--id", "first")
    await running.waitFor("Bash", (line) => line.type === "task.progress")
    await tell("submit", fake({ text: "later" }), "--id", "second")
    const drained = start(["drain", "--json"], { cwd: it.dir })
    const draining = await drained.waitFor("its answer", (line) => line["draining"] === true)
    assert.deepStrictEqual(draining["running"], ["first"])
    const again = start(["drain"], { cwd: it.dir })
    while (again.stdout() === "") await new Promise((resolve) => setTimeout(resolve, 20))
    assert.match((await tell("submit", fake({ text: "last" }), "--id", "third")).stdout, /queued/)
    writeFileSync(join(it.dir, "go"), "")
    assert.strictEqual(await running.exit, 0, running.stderr())
    assert.strictEqual(await drained.exit, 0, drained.stderr())
    assert.strictEqual(await again.exit, 0, again.stderr())
    assert.match(again.stdout(), /when this is done: first\nthe node has ended\n/)
    const states = running.lines.filter((line) => line.type === "task.state" && line["to"] !== "queued")
    assert.deepStrictEqual(texts(states, "task"), ["first", "first"])
    const next = it.run(config, "--json")
    for (const task of ["second", "third"]) {
      await next.waitFor(task, (line) => line["task"] === task && line["to"] === "succeeded")
    }
    // Where nothing runs, the end is at once.
    const idle = await finish(["drain"], { cwd: it.dir })
    assert.strictEqual(idle.code, 0, idle.stderr)
    assert.match(idle.stdout, /nothing runs; the node ends\nthe node has ended\n/)
    // When it says so, another may begin on the same data directory.
    const { code, stderr } = await it.once(config)
    assert.strictEqual(code, 0, stderr)
    assert.strictEqual(await next.exit, 0)
  })

  it("that takes too long is cut short by a signal, as always", async () => {
    await using it = await fleet()
    const { running } = await serving(it)
    await finish(["submit", fake({ delay: 60_000, text: "never" })], { cwd: it.dir })
    await running.waitFor("the task", (line) => line.type === "task.state" && line["to"] === "running")
    const drain = start(["drain"], { cwd: it.dir })
    while (drain.stdout() === "") await new Promise((resolve) => setTimeout(resolve, 20))
    running.child.kill("SIGTERM")
    assert.strictEqual(await running.exit, 143)
    await drain.exit
  })
})

describe("events", () => {
  it("are told from the beginning, or followed to the end of the node", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it)
    await tell("submit", fake({ text: "hi" }), "--id", "t", "--wait")
    const all = await tell("events", "--json")
    assert.strictEqual(all.code, 0)
    assert.include(all.lines[0], { type: "runtime.started", seq: 1 })
    assert.isTrue(all.lines.some((line) => line.type === "task.state" && line["to"] === "succeeded"))
    const last = await tell("events", "--json", "--last", "2", "--task", "t")
    assert.isAtMost(last.lines.length, 2)
    const told = (await tell("events")).stdout
    assert.match(told, /task t: queued\n[\s\S]*worker begins[\s\S]*task t: succeeded \(worker, attempt 1\)\n/)
    assert.match(told, /worker: initializing → idle \(.*\)\n/)
    // Nothing is told as it stands in the program.
    assert.notMatch(told, /undefined|\[object|\{"/)
    assert.notMatch((await tell("events", "--task", "t")).stdout, /initializing/)
    const follower = start(["events", "--follow", "--json"], { cwd: it.dir })
    const people = start(["events", "-f", "--last", "1000"], { cwd: it.dir })
    // Whoever has got its first line follows.
    while (!people.stdout().includes("succeeded")) await new Promise((resolve) => setTimeout(resolve, 20))
    const second = tell("submit", fake({ text: "ho" }), "--id", "u", "--wait")
    await second
    running.child.kill("SIGTERM")
    assert.strictEqual(await running.exit, 143)
    assert.strictEqual(await follower.exit, 0)
    assert.strictEqual(await people.exit, 0)
    assert.match(people.stderr(), /the node has ended/)
    assert.isTrue(people.stdout().includes("task u"))
  })

  it("are not held up by a reader who does not read, or has gone away in the middle", async () => {
    await using it = await fleet()
    const { running, tell } = await serving(it)
    const reader = spawn(binary, ["events", "-f", "--last", "1000"], {
      cwd: it.dir,
      stdio: ["ignore", "pipe", "ignore"]
    })
    await new Promise((resolve) => reader.stdout.once("data", resolve))
    reader.kill("SIGKILL")
    const deaf = connect(socketOf(it.dir))
    deaf.pause().write("GET /events?last=1000 HTTP/1.1\r\nHost: x\r\n\r\n")
    deaf.on("error", () => {})
    assert.strictEqual((await tell("submit", fake({ text: "hi" }), "--wait")).stdout, "hi\n")
    running.child.kill("SIGTERM")
    assert.strictEqual(await running.exit, 143)
    deaf.destroy()
    // Neither is worth a word in the log of the node.
    assert.strictEqual(running.stderr(), "")
  })

  it("end a follower with 3 where the node dies", async () => {
    await using it = await fleet()
    const { running } = await serving(it)
    const follower = start(["events", "-f", "--last", "1000"], { cwd: it.dir })
    while (follower.stdout() === "") await new Promise((resolve) => setTimeout(resolve, 20))
    const waiter = start(["submit", fake({ delay: 60_000, text: "never" }), "--follow"], { cwd: it.dir })
    await running.waitFor("the task", (line) => line.type === "task.state" && line["to"] === "running")
    running.child.kill("SIGKILL")
    assert.strictEqual(await follower.exit, 3)
    assert.strictEqual(await waiter.exit, 3)
    assert.match(waiter.stderr(), /the node at .* did not finish its answer[\s\S]*hint: /)
    // Its socket is there still, and nobody behind it.
    assert.isTrue(existsSync(socketOf(it.dir)))
    const dead = await finish(["ps"], { cwd: it.dir })
    assert.strictEqual(dead.code, 3)
    assert.match(dead.stderr, /no running node can be reached[\s\S]*hint: /)
    // The next run takes its place.
    const next = it.run({ agents: [agent()] }, "--json")
    await next.waitFor("it", (line) => line.type === "session.ready")
    assert.strictEqual((await finish(["ps"], { cwd: it.dir })).code, 0)
  })
})

describe("a node", () => {
  it("that does not run is told as that by every command, with 3", async () => {
    using dir = tempDir()
    for (const command of COMMANDS) {
      const { code, stderr, stdout } = await finish(command, { cwd: dir.path })
      assert.strictEqual(code, 3, command.join(" "))
      assert.strictEqual(stdout, "")
      assert.match(stderr, /no running node can be reached at .*admin\.sock[\s\S]*hint: .*mister-smith run/)
      assert.notMatch(stderr, /\bat .*\.ts:\d/)
    }
  })

  it("is found by its data directory, its config, or its socket in the environment", async () => {
    await using one = await fleet()
    await using two = await fleet()
    await serving(one, { name: "one" })
    const config = { name: "two", agents: [agent()], dataDir: "elsewhere/state" }
    const socket = join(two.dir, "elsewhere", "state", "admin.sock")
    await listening(two.run(config), socket)
    const nameOf = async (args: ReadonlyArray<string>, options: RunOptions) =>
      (await finish(["ps", "--json", ...args], options)).lines.map(
        (line) => (line["node"] as { readonly name: string } | undefined)?.name
      )[0]
    const cwd = one.dir
    assert.strictEqual(await nameOf([], { cwd }), "one")
    assert.strictEqual(await nameOf(["--data-dir", join(two.dir, "elsewhere/state")], { cwd }), "two")
    assert.strictEqual(await nameOf(["--config", two.config(config)], { cwd }), "two")
    assert.strictEqual(await nameOf([], { cwd, env: { MISTER_SMITH_SOCKET: socket } }), "two")
    const flagged = ["--data-dir", join(one.dir, ".mister-smith")]
    assert.strictEqual(await nameOf(flagged, { cwd, env: { MISTER_SMITH_SOCKET: socket } }), "one")
    const both = await finish(["ps", "--data-dir", ".", "--config", "x"], { cwd })
    assert.strictEqual(both.code, 2)
    const absent = await finish(["ps", "--config", "absent.json"], { cwd })
    assert.strictEqual(absent.code, 2)
    assert.match(absent.stderr, /absent\.json/)
  })

  it("lets nobody but its owner in, and survives what is no request", async () => {
    await using it = await fleet()
    const { tell } = await serving(it)
    assert.strictEqual(statSync(socketOf(it.dir)).mode & 0o777, 0o600)
    assert.strictEqual(statSync(join(it.dir, ".mister-smith")).mode & 0o777, 0o700)
    for (const garbage of [
      "\0\x01\x02\r\n\r\n",
      "GET / HTTP/7.0\r\n\r\n",
      "POST /tasks HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"
    ]) {
      await new Promise<void>((resolve) => {
        const socket = connect(socketOf(it.dir), () => void socket.end(garbage))
        socket.on("data", () => {}).on("error", () => {})
        socket.on("close", () => resolve())
      })
    }
    assert.strictEqual((await tell("submit", fake({ text: "alive" }), "--wait")).stdout, "alive\n")
  })

  it("whose data directory has too long a path for a socket runs all the same, and says so", async () => {
    await using it = await fleet()
    const dataDir = join("d".repeat(60), "e".repeat(60))
    mkdirSync(join(it.dir, dataDir), { recursive: true })
    const { code, stderr } = await it.once({
      dataDir,
      agents: [agent()],
      tasks: [{ id: "t", prompt: fake({ text: "ok" }) }]
    })
    assert.strictEqual(code, 0, stderr)
    assert.match(stderr, /cannot be operated.*too long.*hint: .*shorter path/)
    const ps = await finish(["ps", "--data-dir", dataDir], { cwd: it.dir })
    assert.strictEqual(ps.code, 3)
    assert.match(ps.stderr, /too long[\s\S]*hint: .*shorter path/)
  })

  it("under Deno is operated as one under Bun, from either", async () => {
    const deno = [join(root, "node_modules", ".bin", "deno"), "run", "-A", join(root, "src/main.ts")]
    await using it = await fleet({ command: deno, env: { DENO_NO_UPDATE_CHECK: "1" } })
    const { running, tell } = await serving(it)
    assert.strictEqual(statSync(socketOf(it.dir)).mode & 0o777, 0o600)
    assert.strictEqual((await tell("submit", fake({ text: "hi" }), "--follow")).stdout, "hi\n")
    const command = { cwd: it.dir, command: deno, env: { DENO_NO_UPDATE_CHECK: "1" } }
    const denoes = await finish(["submit", fake({ text: "ho" }), "--follow"], command)
    assert.strictEqual(denoes.stdout, "ho\n", denoes.stderr)
    assert.strictEqual((await finish(["task", "nope"], command)).code, 2)
    // Whoever is connected and does not go away does not hold up its end.
    const halves = ["", "POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Le", "GET /events HTTP/1.1\r\nHost: x\r\n\r\n"]
    const held = await Promise.all(
      halves.map(
        (half) =>
          new Promise<Socket>((resolve) => {
            const socket = connect(socketOf(it.dir), () => socket.write(half, () => resolve(socket)))
            socket.pause().on("error", () => {})
          })
      )
    )
    running.child.kill("SIGTERM")
    assert.strictEqual(await running.exit, 143)
    for (const socket of held) socket.destroy()
    assert.isFalse(existsSync(socketOf(it.dir)))
    assert.strictEqual((await finish(["ps"], command)).code, 3)
  })
})

it("does what docs/operating.md says, line by line", async () => {
  await using it = await fleet({ rules: [{ match: "", steps: [{ text: "as you say" }] }] })
  await serving(it)
  const manual = readFileSync(join(root, "docs/operating.md"), "utf8")
  const blocks = [...manual.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, block = ""]) => block)
  assert.isAtLeast(blocks.length, 3)
  const curl = spawnSync("curl", ["--version"]).error === undefined
  if (!curl) console.log("there is no curl here: what the manual does with it is not tested")
  for (const line of blocks.join("").split("\n").filter(Boolean)) {
    if (line.startsWith("curl") && !curl) continue
    const { code, stderr, stdout } = await finish(["-c", `set -e -o pipefail\n${line}`], {
      command: ["bash"],
      cwd: it.dir,
      env: { PATH: `${dirname(binary)}:${process.env["PATH"] ?? ""}` }
    })
    assert.strictEqual(code, 0, `${line}\n${stdout}${stderr}`)
    // Where a node refuses, curl is content all the same.
    if (line.startsWith("curl")) assert.notMatch(stdout, /^\{"_tag"/, line)
  }
})

it("has help on every command", async () => {
  for (const [command] of COMMANDS) {
    const { code, stdout } = await finish([command, "--help"])
    assert.strictEqual(code, 0)
    assert.match(stdout, /USAGE[\s\S]*--json[\s\S]*--data-dir/)
  }
})
