/** Two nodes and one nats-server: compiled binaries with the real CLI, one ledger, and a plain NATS client beside them. */
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { connect, type NatsConnection, RequestStrategy } from "nats"
import { assert, describe, it } from "vitest"
import { finish, tempDir } from "../utils/Binary.ts"
import { agent, fake, fleet, resultOf } from "../utils/Fleet.ts"
import { natsServer, noNats } from "../utils/Nats.ts"

const server = async () => {
  const scope = Effect.runSync(Scope.make())
  const server = await Effect.runPromise(Scope.provide(scope)(natsServer({ jetstream: true })))
  const clients: Array<NatsConnection> = []
  return {
    ...server,
    client: async () => {
      const client = await connect({ servers: server.url })
      clients.push(client)
      return client
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) await client.close()
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}

type Body = Readonly<Record<string, unknown>>

const member = (url: string, node: string, more: Body = {}, settings: Body = {}) => ({
  agents: [agent()],
  transport: { kind: "nats", servers: [url] },
  fleet: { node, takeover: "3 seconds", heartbeat: "500 millis", expire: "2 seconds", ...settings },
  ...more
})

/** What the results stream has of a task, read by the bare client. */
const resultsOf = async (client: NatsConnection, task: string): Promise<ReadonlyArray<Body>> => {
  const stream = "mister-smith-tasks-results"
  const manager = await client.jetstreamManager()
  for (;;) {
    const { state } = await manager.streams.info(stream, { subjects_filter: `tasks.${task}.result` })
    const count = state.subjects?.[`tasks.${task}.result`] ?? 0
    if (count === 0) {
      // It is told after the end is written.
      await new Promise((resolve) => setTimeout(resolve, 20))
      continue
    }
    const found: Array<Body> = []
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage(stream, { seq }).catch(() => undefined)
      if (message?.subject === `tasks.${task}.result`) found.push(message.json<{ body: Body }>().body)
    }
    return found
  }
}

/** NATS' own command, where it is there. */
const natsCommand = spawnSync("nats", ["--version"], { stdio: "ignore" }).status === 0 ? "nats" : undefined
if (natsCommand === undefined) console.warn("skipped: what is done with the nats command, which is not installed")

const isEnd = (task: string) => (line: Body) => line["type"] === "task.result" && line["task"] === task

describe.skipIf(noNats !== undefined)("a fleet of nodes that share their tasks", { timeout: 120_000 }, () => {
  it("does the tasks of a config that all have once, by whoever is free", async () => {
    await using nats = await server()
    await using one = await fleet()
    await using other = await fleet()
    const tasks = Array.from({ length: 6 }, (_, index) => ({
      ...(index < 4 ? { id: `t${index}` } : {}),
      prompt: fake({ text: `done ${index}`, delay: 200 })
    }))
    const [a, b] = await Promise.all([
      one.run(member(nats.url, "edge-1", { tasks }), "--once", "--json"),
      other.run(member(nats.url, "edge-2", { tasks }), "--once", "--json")
    ])
    assert.strictEqual(await a.exit, 0, a.stderr())
    assert.strictEqual(await b.exit, 0, b.stderr())
    for (const node of [a, b]) {
      const results = node.lines.filter(({ type }) => type === "task.result")
      assert.strictEqual(results.length, 6)
      assert.sameMembers(
        results.map((line) => line["text"]),
        tasks.map((_, index) => `done ${index}`)
      )
    }
    const begun = [...a.lines, ...b.lines].filter((line) => line.type === "task.state" && line["to"] === "running")
    assert.strictEqual(begun.length, 6, JSON.stringify(begun))
    assert.deepEqual(resultOf(a.lines, "t0")?.["text"], resultOf(b.lines, "t0")?.["text"])
    assert.isDefined(a.lines.find(isEnd("t0")))
  })

  it("hands the task of a node that is killed to another, which ends it once", async () => {
    await using nats = await server()
    await using one = await fleet()
    await using other = await fleet()
    const tasks = [{ id: "t", prompt: fake({ text: "done", delay: 500 }) }]
    const a = one.run(member(nats.url, "edge-1", { tasks }), "--json")
    await a.waitFor("the turn", (line) => line.type === "task.state" && line["to"] === "running")
    // However long the other takes to come up, this one says nothing any more.
    a.child.kill("SIGSTOP")
    const b = other.run(member(nats.url, "edge-2"), "--json")
    await b.waitFor("its CLI", ({ type }) => type === "session.ready")
    a.child.kill("SIGKILL")
    await a.exit
    const again = await b.waitFor("it is begun", (line) => line.type === "task.state" && line["to"] === "running")
    assert.deepInclude(again, { task: "t", attempt: 2 })
    await b.waitFor("its end", (line) => line.type === "task.state" && line["to"] === "succeeded")
    const client = await nats.client()
    const told = await resultsOf(client, "t")
    assert.strictEqual(told.length, 1)
    assert.deepInclude(told[0], { node: "edge-2", attempt: 2, status: "succeeded", text: "done" })
    // Its next life is told the result, and does nothing.
    const next = one.run(member(nats.url, "edge-1", { tasks }), "--once", "--json")
    assert.strictEqual(await next.exit, 0, next.stderr())
    assert.deepInclude(resultOf(next.lines, "t"), { text: "done", earlier: true })
    assert.strictEqual((await resultsOf(client, "t")).length, 1)
  })

  it("refuses a second node of one name, and tells who has it", async () => {
    await using nats = await server()
    await using one = await fleet()
    await using other = await fleet()
    const first = one.run(member(nats.url, "edge-1"), "--json")
    await first.waitFor("its CLI", ({ type }) => type === "session.ready")
    const second = other.run(member(nats.url, "edge-1"), "--json")
    assert.strictEqual(await second.exit, 1, second.stdout())
    assert.include(second.stderr(), "knows another node by this name")
    assert.include(second.stderr(), `${one.dir}/.mister-smith`)
    assert.isUndefined(second.lines.find(({ type }) => type === "session.ready"))
    first.child.kill("SIGTERM")
    assert.strictEqual(await first.exit, 143)
    // The name is free at once.
    const third = other.run(
      member(nats.url, "edge-1", { tasks: [{ id: "t", prompt: fake({ text: "yes" }) }] }),
      "--once",
      "--json"
    )
    assert.strictEqual(await third.exit, 0, third.stderr())
  })

  it("waits for its servers at the start, says so, and can be stopped meanwhile", async () => {
    await using nats = await server()
    await Effect.runPromise(nats.kill)
    await using it = await fleet()
    const tasks = [{ id: "t", prompt: fake({ text: "yes" }) }]
    const stopped = it.run(member(nats.url, "edge-1", { tasks }), "--json")
    const told = await stopped.waitFor("the word", ({ type }) => type === "fleet.trouble")
    assert.deepInclude(told, { kind: "LedgerAwaited" })
    stopped.child.kill("SIGTERM")
    assert.strictEqual(await stopped.exit, 143, stopped.stderr())
    const waiting = it.run(member(nats.url, "edge-1", { tasks }), "--once", "--json")
    await waiting.waitFor("the word", ({ type }) => type === "fleet.trouble")
    await Effect.runPromise(nats.start)
    assert.strictEqual(await waiting.exit, 0, waiting.stderr())
    assert.deepInclude(resultOf(waiting.lines, "t"), { text: "yes" })
  })

  it("goes on with what is under way while its server is gone, and tells the result when it is back", async () => {
    await using nats = await server()
    await using it = await fleet()
    const tasks = [{ id: "t", prompt: fake({ text: "yes", delay: 1500 }) }]
    const node = it.run(member(nats.url, "edge-1", { tasks }), "--json")
    await node.waitFor("the turn", (line) => line.type === "task.state" && line["to"] === "running")
    await Effect.runPromise(nats.kill)
    await node.waitFor("the answer", (line) => line.type === "task.progress" && line["doing"] === "text")
    await Effect.runPromise(nats.start)
    await node.waitFor("its result", isEnd("t"))
    const begun = node.lines.filter((line) => line.type === "task.state" && line["to"] === "running")
    assert.strictEqual(begun.length, 1)
    assert.strictEqual((await resultsOf(await nats.client(), "t")).length, 1)
  })

  it("serves a plain NATS client: a task, its progress and result, an agent that is told, and who is there", async () => {
    await using nats = await server()
    await using one = await fleet()
    await using other = await fleet()
    const a = one.run(member(nats.url, "edge-1", { agents: [agent({ id: "left", taskTypes: ["code"] })] }), "--json")
    const b = other.run(member(nats.url, "edge-2", { agents: [agent({ id: "right", taskTypes: ["text"] })] }), "--json")
    for (const node of [a, b]) await node.waitFor("its CLI", ({ type }) => type === "session.ready")
    const client = await nats.client()
    const progress: Array<Body> = []
    client.subscribe("tasks.t1.progress", {
      callback: (_, message) => void progress.push(message.json<{ body: Body }>().body)
    })
    const said = client.subscribe("tasks.t1.result", { max: 1 })
    await client.flush()
    const task = { id: "t1", prompt: fake({ text: "written" }) }
    await client.jetstream().publish("tasks.text.queue", JSON.stringify(task), { msgID: "t1" })
    for await (const message of said) {
      const { body, type } = message.json<{ type: string; body: Body }>()
      assert.strictEqual(type, "TaskResult")
      assert.deepInclude(body, { task: "t1", node: "edge-2", agent: "right", status: "succeeded", text: "written" })
    }
    assert.deepInclude((await resultsOf(client, "t1"))[0], { text: "written" })
    assert.includeMembers(
      progress.map(({ doing }) => doing),
      ["running", "text"]
    )
    // Whoever took it in says that it is queued.
    assert.isTrue(progress.every(({ doing, node }) => doing === "queued" || node === "edge-2"))

    const command = { version: 1, id: "c1", type: "AgentCommand", body: { command: "pause" } }
    const answer = await client.request("agents.left.commands", JSON.stringify(command), { timeout: 30_000 })
    assert.deepInclude(answer.json<{ body: Body }>().body, { done: true, command: "pause" })
    const paused = answer.json<{ body: { status: Body } }>().body.status
    assert.deepInclude(paused, { agent: "left", node: "edge-1", state: "paused" })

    const nodes = new Set<unknown>()
    const pings = await client.requestMany("$SRV.PING", "", { strategy: RequestStrategy.Timer, maxWait: 2_000 })
    for await (const ping of pings) nodes.add(ping.json<{ metadata: Body }>().metadata["node"])
    assert.sameMembers([...nodes], ["edge-1", "edge-2"])
  })

  it("does what goes on with a conversation, or comes with files, where these are", async () => {
    await using nats = await server()
    await using one = await fleet()
    await using other = await fleet()
    const a = one.run(member(nats.url, "edge-1"), "--json")
    await a.waitFor("its CLI", ({ type }) => type === "session.ready")
    const first = await finish(["submit", fake({ text: "first" }), "--id", "first", "--wait"], { cwd: one.dir })
    assert.strictEqual(first.code, 0, first.stderr)
    // Both have an agent of this name, and the one here is as free as the other.
    const b = other.run(member(nats.url, "edge-2"), "--json")
    await b.waitFor("its CLI", ({ type }) => type === "session.ready")
    writeFileSync(join(one.dir, "note.txt"), "read me")
    const filed = ["submit", fake({ text: "read" }), "--id", "filed", "--input", join(one.dir, "note.txt"), "--wait"]
    const on = ["submit", fake({ text: "on" }), "--id", "on", "--session", "first", "--wait"]
    // The conversation is gone on with from the other node.
    const [read, went] = await Promise.all([finish(filed, { cwd: one.dir }), finish(on, { cwd: other.dir })])
    assert.strictEqual(read.code, 0, read.stderr)
    assert.strictEqual(went.code, 0, went.stderr)
    const told = await finish(["tasks", "--json"], { cwd: other.dir })
    assert.sameDeepMembers(
      told.lines.map(({ agent, id, node, state }) => [id, state, agent, node]),
      ["first", "filed", "on"].map((id) => [id, "succeeded", "worker", "edge-1"]),
      told.stdout
    )
    const session = async (id: string) =>
      JSON.parse((await finish(["task", id, "--json"], { cwd: other.dir })).stdout).result.session
    assert.strictEqual(await session("on"), await session("first"))
  })

  it("is given tasks, asked and told over its servers where no node runs", async () => {
    await using nats = await server()
    await using it = await fleet()
    using elsewhere = tempDir()
    const at = { cwd: elsewhere.path }
    const asked = (...args: ReadonlyArray<string>) => finish([...args, "--server", nats.url], at)
    const early = await asked("tasks")
    assert.strictEqual(early.code, 1)
    assert.include(early.stderr, "mister-smith-tasks")

    const node = it.run(member(nats.url, "edge-1"), "--json")
    await node.waitFor("its CLI", ({ type }) => type === "session.ready")
    const done = await asked("submit", fake({ text: "from afar" }), "--id", "t1", "--wait")
    assert.strictEqual(done.code, 0, done.stderr)
    assert.strictEqual(done.stdout, "from afar\n")
    const again = await asked("submit", "something else", "--id", "t1")
    assert.strictEqual(again.code, 2)
    assert.include(again.stderr, "other content")
    const filed = await asked("submit", "look", "--input", "x")
    assert.include(filed.stderr, "files are taken by a node")

    const bound = await asked("submit", "never done", "--id", "t2", "--node", "edge-9")
    assert.strictEqual(bound.code, 0, bound.stderr)
    const listed = await asked("tasks")
    assert.match(listed.stdout, /^TASK +STATE +TYPE +AGENT +NODE/m)
    assert.match(listed.stdout, /^t1 +succeeded +task +worker +edge-1 /m)
    assert.match(listed.stdout, /^t2 +queued /m)
    const on = await asked("tasks", "--node", "edge-1", "--json")
    assert.deepStrictEqual(
      on.lines.map(({ id }) => id),
      ["t1"]
    )
    const one = JSON.parse((await asked("task", "t1", "--json")).stdout)
    assert.deepInclude(one, { id: "t1", node: "edge-1", state: "succeeded" })
    assert.deepInclude(one.history[0], { attempt: 1, agent: "worker", node: "edge-1" })
    // A node knows the same, and why it does not do the one that is not for it.
    const here = await finish(["tasks", "--json"], { cwd: it.dir })
    assert.deepStrictEqual(
      here.lines.map(({ id, state }) => [id, state]),
      [
        ["t1", "succeeded"],
        ["t2", "queued"]
      ]
    )
    const why = await finish(["explain", "t2", "--task"], { cwd: it.dir })
    assert.include(why.stdout, 'for node "edge-9"')

    const slow = await asked("submit", fake({ text: "too late", delay: 60_000 }), "--id", "t3")
    assert.strictEqual(slow.code, 0, slow.stderr)
    await node.waitFor("it is begun", (line) => line["task"] === "t3" && line["to"] === "running")
    const cancelled = await asked("task", "cancel", "t3", "--why", "no need")
    assert.strictEqual(cancelled.code, 0, cancelled.stderr)
    assert.include(cancelled.stdout, "no need")
    // What its agent did is broken off: it is free for the next.
    const next = await asked("submit", fake({ text: "next" }), "--id", "t4", "--wait")
    assert.strictEqual(next.stdout, "next\n")
    const unsaid = await finish(["tasks", "--fleet"], at)
    assert.strictEqual(unsaid.code, 2)
    // The config that is meant where none is named.
    writeFileSync(join(elsewhere.path, "mister-smith.json"), JSON.stringify(member(nats.url, "no-node")))
    const usual = await finish(["tasks", "--fleet", "--json"], at)
    assert.deepStrictEqual(usual.lines.map(({ id }) => id).sort(), ["t1", "t2", "t3", "t4"])
  })

  it.skipIf(natsCommand === undefined)("serves the nats command", async () => {
    await using nats = await server()
    await using it = await fleet()
    const node = it.run(member(nats.url, "edge-1"), "--json")
    await node.waitFor("its CLI", ({ type }) => type === "session.ready")
    const stock = (...args: ReadonlyArray<string>) => {
      const { status, stderr, stdout } = spawnSync(natsCommand ?? "nats", ["--server", nats.url, ...args], {
        encoding: "utf8"
      })
      assert.strictEqual(status, 0, stderr)
      return stdout
    }
    stock("publish", "tasks.task.queue", JSON.stringify({ id: "t1", prompt: fake({ text: "by hand" }) }))
    await node.waitFor("its end", (line) => line.type === "task.state" && line["to"] === "succeeded")
    assert.include(stock("stream", "get", "mister-smith-tasks-results", "-S", "tasks.t1.result"), "by hand")
    assert.include(stock("request", "$SRV.PING", ""), "edge-1")
  })
})
