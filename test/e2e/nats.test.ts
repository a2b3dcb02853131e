/** The compiled binary, the real CLI and a real nats-server; and a NATS client without any code of ours beside it. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { type ConnectionOptions, connect, type NatsConnection } from "nats"
import { createUser } from "nkeys.js"
import { assert, describe, it } from "vitest"
import { finish, root } from "../utils/Binary.ts"
import { agent, fake, fleet } from "../utils/Fleet.ts"
import { natsCluster, natsServer, noNats, type ServerOptions } from "../utils/Nats.ts"

/** One, or the first of a cluster. */
const server = async (options: ServerOptions = { jetstream: true }, size = 1) => {
  const scope = Effect.runSync(Scope.make())
  const [server] = await Effect.runPromise(
    Scope.provide(scope)(
      size === 1 ? Effect.map(natsServer(options), (one) => [one] as const) : natsCluster(size, options)
    )
  )
  if (server === undefined) throw new Error("no server")
  const clients: Array<NatsConnection> = []
  return {
    ...server,
    client: async (login: ConnectionOptions = {}) => {
      const client = await connect({ servers: server.url, ...login })
      clients.push(client)
      return client
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) await client.close()
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}

/** What nodes say. */
const SAID = ["events.>", "dead.>", "agents.*.status", "tasks.*.progress", "tasks.*.result", "nodes.*.heartbeat"]

/** Everything that nodes say from now on. */
const heard = async (client: NatsConnection) => {
  const messages: Array<{ readonly subject: string; readonly type: string; readonly body: Body }> = []
  for (const subject of SAID)
    client.subscribe(subject, {
      callback: (_, message) =>
        void messages.push({ subject: message.subject, ...message.json<{ type: string; body: Body }>() })
    })
  await client.flush()
  const bodies = () => messages
  return {
    bodies,
    /** Waits until it is there; the test's own time limit is the end of patience. */
    find: async (so: (message: ReturnType<typeof bodies>[number]) => boolean) => {
      for (;;) {
        const found = bodies().find(so)
        if (found !== undefined) return found
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
  }
}

type Body = Readonly<Record<string, unknown>>

/** Tells an agent something, as anyone can. */
const tell = async (client: NatsConnection, agent: string, body: Body) => {
  const envelope = { version: 1, id: `m-${Math.random()}`, type: "AgentCommand", source: "client:ops", body }
  const answer = await client.request(`agents.${agent}.commands`, JSON.stringify(envelope), { timeout: 30_000 })
  const reply = answer.json<{ type: string; body: Body; causationId: string }>()
  assert.strictEqual(reply.causationId, envelope.id)
  return reply
}

const at = (url: string, more: Body = {}) => ({ transport: { kind: "nats", servers: [url] }, ...more })

describe.skipIf(noNats !== undefined)("a node over NATS", () => {
  it("its agent is interrupted, told something and given another model with a plain NATS client", async () => {
    await using nats = await server()
    await using it = await fleet()
    const client = await nats.client()
    const all = await heard(client)
    const dead: Array<Body> = []
    client.subscribe("dead.failed", { callback: (_, message) => void dead.push(message.json<{ body: Body }>().body) })
    const node = it.run(
      { agents: [agent({ permissions: { allow: ["Bash"] } })], ...at(nats.url, { fleet: { node: "edge-1" } }) },
      "--json"
    )
    await all.find(({ body, subject }) => subject === "agents.worker.status" && body["state"] === "idle")

    // An idle agent is not woken for it: it hears both with its task.
    const kept = await tell(client, "worker", { command: "send_message", text: "by command" })
    assert.deepInclude(kept.body, { done: true, command: "send_message" })
    const said = { version: 1, id: "said-1", type: "AgentMessage", source: "agent:planner", body: { text: "by inbox" } }
    client.publish("agents.worker.inbox", JSON.stringify(said))
    const chosen = await tell(client, "worker", { command: "set_model", model: "claude-of-the-day" })
    assert.deepInclude(chosen.body["status"] as Body, { agent: "worker", model: "claude-of-the-day" })
    assert.isEmpty(it.standin.requests())

    const wait = { tool: "Bash", input: { command: "sleep 50", timeout: 60_000 } }
    await finish(["submit", fake(wait, { text: "done after all" }), "--id", "t1"], { cwd: it.dir })
    await all.find(({ body, subject }) => subject === "tasks.t1.progress" && body["doing"] === "tool")
    const interrupted = await tell(client, "worker", { command: "interrupt", reason: "not so" })
    assert.deepInclude(interrupted.body, { done: true, command: "interrupt" })
    const result = await all.find(({ subject }) => subject === "tasks.t1.result")
    assert.deepInclude(result.body, { status: "succeeded", text: "done after all", attempt: 2 })
    const asked = it.standin.requests()
    assert.isTrue(asked.every(({ model }) => model === "claude-of-the-day"))
    for (const text of ["by command", "by inbox"]) assert.isTrue(asked[0]?.said.includes(text), text)
    const told = await node.waitFor(
      "the interrupt",
      (line) => line.type === "agent.told" && line["command"] === "interrupt"
    )
    assert.deepInclude(told, { agent: "worker", by: "client:ops", reason: "not so" })

    // Nobody answers in an inbox: what cannot be kept is a dead letter.
    assert.deepInclude((await tell(client, "worker", { command: "stop" })).body, { done: true })
    client.publish("agents.worker.inbox", JSON.stringify({ ...said, id: "said-2" }))
    while (dead.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.deepInclude(dead[0], { reason: "failed", subject: "agents.worker.inbox" })
    const fault = dead[0]?.["fault"] as Body
    assert.include(fault["message"], "no CLI that could be told so: it is terminated")
  })

  it("is found, followed and told with a plain NATS client, and takes its leave", async () => {
    await using nats = await server()
    await using it = await fleet()
    const client = await nats.client()
    const all = await heard(client)
    const node = it.run(
      {
        agents: [agent({ taskTypes: ["code"], capabilities: ["typescript", "two words"] })],
        ...at(nats.url, { fleet: { node: "edge-1", heartbeat: "200 millis" } })
      },
      "--json"
    )
    const idle = await all.find(({ body, subject }) => subject === "agents.worker.status" && body["state"] === "idle")
    assert.deepInclude(idle, { type: "AgentStatus" })
    assert.deepInclude(idle.body, {
      agent: "worker",
      node: "edge-1",
      taskTypes: ["code"],
      capabilities: ["typescript", "two%20words"]
    })
    const beat = await all.find(({ subject }) => subject === "nodes.edge-1.heartbeat")
    assert.deepInclude(beat.body, { node: "edge-1", mode: "full", everyMillis: 200, agents: 1 })

    const submitted = await finish(["submit", fake({ text: "done by it" }), "--type", "code", "--id", "t1"], {
      cwd: it.dir
    })
    assert.strictEqual(submitted.code, 0, submitted.stderr)
    const result = await all.find(({ subject }) => subject === "tasks.t1.result")
    assert.strictEqual(result.type, "TaskResult")
    assert.deepInclude(result.body, {
      task: "t1",
      node: "edge-1",
      status: "succeeded",
      text: "done by it",
      attempt: 1,
      agent: "worker"
    })
    const progress = all.bodies().filter(({ subject }) => subject === "tasks.t1.progress")
    assert.deepStrictEqual(
      progress.map(({ body }) => body["doing"]),
      ["queued", "running", "text"]
    )
    const event = await all.find(({ body, subject }) => subject === "events.task.state" && body["to"] === "succeeded")
    assert.deepInclude(event.body, { type: "task.state", task: "t1" })
    await all.find(({ subject }) => subject === "events.runtime.started")

    const paused = await tell(client, "worker", { command: "pause", reason: "maintenance" })
    assert.deepInclude(paused, { type: "CommandReply" })
    assert.deepInclude(paused.body, { done: true, command: "pause" })
    assert.deepInclude(paused.body["status"] as Body, { agent: "worker", state: "paused" })
    await all.find(({ body, subject }) => subject === "agents.worker.status" && body["state"] === "paused")
    const told = await node.waitFor("agent.told", ({ type }) => type === "agent.told")
    assert.deepInclude(told, { agent: "worker", command: "pause", by: "client:ops", reason: "maintenance" })
    const unable = await tell(client, "worker", { command: "interrupt" })
    assert.deepInclude(unable.body, { done: false, command: "interrupt" })
    assert.deepInclude(unable.body["fault"] as Body, { kind: "AgentNotPerforming" })
    const resumed = await tell(client, "worker", { command: "resume" })
    assert.deepInclude(resumed.body["status"] as Body, { state: "idle" })
    const stopped = await tell(client, "worker", { command: "stop" })
    assert.deepInclude(stopped.body["status"] as Body, { state: "terminated" })
    const again = await tell(client, "worker", { command: "restart" })
    assert.deepInclude(again.body, { done: true })
    const asked = await tell(client, "worker", { command: "status" })
    assert.deepInclude(asked.body["status"] as Body, { node: "edge-1" })
    const nonsense = await client.request("agents.worker.commands", "nonsense", { timeout: 30_000 })
    assert.deepInclude(nonsense.json<Body>(), { type: "Refusal" })

    const ping = (await client.request("$SRV.PING.mister-smith", "", { timeout: 30_000 })).json<Body>()
    assert.deepInclude(ping["metadata"] as Body, {
      node: "edge-1",
      agents: "worker",
      capabilities: "typescript,two%20words"
    })
    const info = (await client.request("$SRV.INFO.mister-smith", "", { timeout: 30_000 })).json<Body>()
    assert.deepInclude(info["metadata"] as Body, { node: "edge-1", mode: "full", slots: "1", running: "0" })

    const kv = await client.jetstream().views.kv("mister-smith-nodes", { bindOnly: true })
    assert.strictEqual((await kv.get("edge-1"))?.operation, "PUT")
    assert.strictEqual((await kv.status()).ttl, 20_000)
    node.child.kill("SIGTERM")
    assert.strictEqual(await node.exit, 143)
    assert.notStrictEqual((await kv.get("edge-1"))?.operation, "PUT")
    await all.find(({ body, subject }) => subject === "agents.worker.status" && body["state"] === "terminated")
    const nobody = await client
      .request("agents.worker.commands", "", { timeout: 30_000 })
      .catch((error: Error) => error)
    assert.match(String(nobody), /503|no responders/i)
  }, 120_000)

  it("works before there is a server, and is there as soon as there is one", async () => {
    await using nats = await server()
    await using it = await fleet()
    await Effect.runPromise(nats.kill)
    const node = it.run({ agents: [agent()], ...at(nats.url, { fleet: { node: "early", ledger: "own" } }) }, "--json")
    for (const lane of ["control", "bulk"])
      await node.waitFor(
        "an event that it waits",
        (line) => line.type === "transport.status" && line["is"] === "connecting" && line["lane"] === lane
      )
    await node.waitFor("its CLI", ({ type }) => type === "session.ready")
    const alone = await finish(["submit", fake({ text: "alone" }), "--id", "t1", "--wait"], { cwd: it.dir })
    assert.strictEqual(alone.stdout, "alone\n", alone.stderr)
    await Effect.runPromise(nats.start)
    await node.waitFor("the link", (line) => line.type === "transport.status" && line["is"] === "up")
    const client = await nats.client()
    const { streams } = await client.jetstreamManager()
    for (;;) {
      // Before the node has made it, there is no bucket; and one that is being made must not be read: a server of the 2.9
      // line would panic.
      const told = await streams.info("KV_mister-smith-nodes").catch(() => undefined)
      if (told !== undefined && told.state.messages > 0) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    const kv = await client.jetstream().views.kv("mister-smith-nodes", { bindOnly: true })
    assert.strictEqual((await kv.get("early"))?.operation, "PUT")
    const asked = await tell(client, "worker", { command: "status" })
    assert.deepInclude(asked.body["status"] as Body, { node: "early", agent: "worker" })
    // What happened meanwhile is told too.
    await Effect.runPromise(nats.kill)
    await node.waitFor("the break", (line) => line.type === "transport.status" && line["is"] === "down")
    // The event is all that is said of it: no line of the log says it again.
    assert.notMatch(node.stderr(), /link|server/)
  }, 120_000)

  it("two nodes: each knows both, agents of the other are told, and one that is killed goes by itself", async () => {
    await using nats = await server()
    await using one = await fleet()
    await using other = await fleet()
    const settings = (node: string) => at(nats.url, { fleet: { node, heartbeat: "100 millis", expire: "2 seconds" } })
    const first = one.run({ agents: [agent({ id: "left" })], ...settings("one") }, "--json")
    const second = other.run({ agents: [agent({ id: "right" })], ...settings("two") }, "--json")
    const names = async (...args: ReadonlyArray<string>) => {
      const { code, stdout } = await finish(["nodes", "--json", ...args], { cwd: one.dir })
      // Until its socket is there.
      return code === 0
        ? stdout
            .split("\n")
            .filter(Boolean)
            .map((line) => (JSON.parse(line) as Body)["node"])
        : []
    }
    const until = async (expected: ReadonlyArray<string>, ...args: ReadonlyArray<string>) => {
      for (;;) if (JSON.stringify(await names(...args)) === JSON.stringify(expected)) return
    }
    await until(["one", "two"])
    await until(["one", "two"], "--server", nats.url)
    const people = await finish(["nodes"], { cwd: one.dir })
    assert.match(people.stdout, /NODE .*\none +full .*\ntwo +full /)
    await second.waitFor("its CLI", ({ type }) => type === "session.ready")
    const paused = await finish(["pause", "right", "--fleet", "--config", "config.json", "--json"], { cwd: one.dir })
    assert.strictEqual(paused.code, 0, paused.stderr)
    assert.deepInclude(JSON.parse(paused.stdout).status, { node: "two", state: "paused" })
    await second.waitFor("the pause", (line) => line.type === "agent.told" && line["by"] === "client:mister-smith")
    const nobody = await finish(["pause", "nobody", "--server", nats.url], { cwd: one.dir })
    assert.strictEqual(nobody.code, 1)
    assert.match(nobody.stderr, /no node of this fleet has an agent "nobody"/)
    for (;;) {
      const all = await finish(["ps", "--fleet", "--json"], { cwd: one.dir })
      const found = all.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Body)
      assert.deepStrictEqual(
        found.map(({ agent, node }) => [agent, node]),
        [
          ["left", "one"],
          ["right", "two"]
        ]
      )
      if (found[1]?.["state"] === "paused") break
    }
    second.child.kill("SIGKILL")
    await second.exit
    await until(["one"])
    // Where no node runs, the config says whom to ask.
    first.child.kill("SIGTERM")
    await first.exit
    await until([], "--config", "config.json")
    const unreachable = await finish(["nodes", "--server", "nats://127.0.0.1:1"], { cwd: one.dir })
    assert.strictEqual(unreachable.code, 3)
  }, 120_000)

  it("nodes and their agents are listed where the servers have no JetStream: each is asked", async () => {
    await using nats = await server({})
    await using one = await fleet()
    await using other = await fleet()
    const settings = (node: string) => ({
      transport: { kind: "nats", servers: [nats.url], prefix: "team" },
      fleet: { node, ledger: "own" }
    })
    const first = one.run({ agents: [agent({ id: "left", capabilities: ["go"] })], ...settings("one") }, "--json")
    const second = other.run({ agents: [agent({ id: "right" })], ...settings("two") }, "--json")
    await first.waitFor("its CLI", ({ type }) => type === "session.ready")
    await second.waitFor("its CLI", ({ type }) => type === "session.ready")
    const listed = async (...args: ReadonlyArray<string>) => {
      const { lines } = await finish([...args, "--json"], { cwd: one.dir })
      return lines as ReadonlyArray<Body>
    }
    for (const where of [["--server", nats.url, "--prefix", "team"], []]) {
      // The service is there a moment after the link is.
      let nodes = await listed("nodes", ...where)
      while (nodes.length < 2) nodes = await listed("nodes", ...where)
      assert.deepStrictEqual(
        nodes.map(({ agents, mode, names, node }) => [node, mode, agents, names]),
        [
          ["one", "full", 1, ["left"]],
          ["two", "full", 1, ["right"]]
        ]
      )
      assert.deepStrictEqual(nodes[0]?.["capabilities"], ["go"])
      const agents = await listed("ps", "--fleet", ...where)
      assert.deepStrictEqual(
        agents.map(({ agent, node, state }) => [agent, node, state]),
        [
          ["left", "one", "idle"],
          ["right", "two", "idle"]
        ]
      )
    }
    // Those of another prefix are another fleet.
    const nobody = await finish(["nodes", "--server", nats.url], { cwd: one.dir })
    assert.strictEqual(nobody.code, 1)
    assert.include(nobody.stderr, "no JetStream")
  }, 120_000)

  it("what is poison is a dead letter with its reason and its bytes, and the agent listens on", async () => {
    await using nats = await server()
    await using it = await fleet()
    const client = await nats.client()
    const dead: Array<{ readonly reason: string; readonly subject: string; readonly data: string }> = []
    client.subscribe("dead.>", {
      callback: (_, message) => {
        const { body } = message.json<{ body: (typeof dead)[number] }>()
        assert.strictEqual(message.subject, `dead.${body.reason}`)
        dead.push(body)
      }
    })
    const node = it.run({ agents: [agent()], ...at(nats.url, { fleet: { node: "n", ledger: "own" } }) }, "--json")
    await node.waitFor("its CLI", ({ type }) => type === "session.ready")
    const pause = { version: 1, id: "1", type: "AgentCommand", body: { command: "pause" } }
    const poison: ReadonlyArray<readonly [reason: string, text: string]> = [
      ["unreadable", "{".repeat(1000)],
      ["unreadable", JSON.stringify({ ...pause, body: { command: "explode" } })],
      ["unreadable", "\u0000\uFFFF"],
      ["unknown", JSON.stringify({ ...pause, version: 2 })],
      ["unknown", JSON.stringify({ ...pause, type: "AgentCommandment" })],
      ["unknown", JSON.stringify({ ...pause, type: "Done", body: {} })],
      ["expired", JSON.stringify({ ...pause, sentAt: 1, ttlMillis: 1 })]
    ]
    for (const [, text] of poison) client.publish("agents.worker.commands", text)
    while (dead.length < poison.length) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.deepStrictEqual(
      dead.map(({ data, reason, subject }) => [reason, subject, Buffer.from(data, "base64").toString()]),
      poison.map(([reason, text]) => [reason, "agents.worker.commands", text])
    )
    const asked = await tell(client, "worker", { command: "status" })
    assert.deepInclude(asked.body["status"] as Body, { agent: "worker", state: "idle" })
  })

  it("believes only whom it trusts, and signs what it says", async () => {
    await using nats = await server()
    await using it = await fleet()
    const keys = createUser()
    const seed = new TextDecoder().decode(keys.getSeed())
    writeFileSync(join(it.dir, "seed"), `${seed}\n`, { mode: 0o600 })
    const signing = { seed: { file: "seed" }, trusted: [keys.getPublicKey()] }
    const node = it.run({ agents: [agent()], ...at(nats.url, { fleet: { node: "n", signing } }) }, "--json")
    await node.waitFor("the link", (line) => line.type === "transport.status" && line["is"] === "up")
    const client = await nats.client()
    for (;;) {
      // Until it listens.
      const refused = await tell(client, "worker", { command: "pause" }).catch(() => undefined)
      if (refused === undefined) continue
      assert.strictEqual(refused.type, "Refusal")
      assert.deepInclude(refused.body["fault"] as Body, { kind: "SignatureMissing" })
      break
    }
    await node.waitFor("its CLI", ({ type }) => type === "session.ready")
    const signed = await finish(["pause", "worker", "--fleet", "--config", "config.json"], { cwd: it.dir })
    assert.strictEqual(signed.stdout, "worker on n is paused\n", signed.stderr)
    const told = await node.waitFor("the pause", (line) => line.type === "agent.told")
    assert.strictEqual(told["signedBy"], keys.getPublicKey())
    assert.notInclude(node.stdout() + node.stderr(), seed)
  }, 120_000)

  const sizes = [
    ["one server", 1],
    ["a cluster, with replicas", 3]
  ] as const
  it.each(sizes)(
    "needs no more permissions than docs/nats.md lists: %s",
    async (_, size) => {
      const text = readFileSync(join(root, "docs/nats.md"), "utf8")
      const listed = (what: string) =>
        [...text.matchAll(new RegExp(`^${what}:((?:,\\n|[^\\n])*)`, "gm"))]
          .flatMap(([, list = ""]) => list.split(/,\s*/))
          .map((subject) => subject.trim().replace(/^and (\S+).*/s, "$1"))
      const [publish, subscribe] = [listed("publish"), listed("subscribe")]
      assert.includeMembers(publish, ["agents.>", "_INBOX.>", "$KV.mister-smith-nodes.>"])
      assert.includeMembers(subscribe, ["agents.>", "_INBOX.>", "$SRV.>"])
      const allowed = `{ publish: ${JSON.stringify(publish)}, subscribe: ${JSON.stringify(subscribe)} }`
      const users = `{ user: node, password: pw, permissions: ${allowed} }, { user: all, password: pw }`
      // Whoever says no name may do all.
      await using nats = await server(
        { jetstream: true, config: `authorization { users: [${users}] }\nno_auth_user: all` },
        size
      )
      await using it = await fleet()
      const login = { user: "node", password: "pw" }
      const node = it.run(
        {
          agents: [agent({ account: "team" })],
          transport: { kind: "nats", servers: [nats.url], ...login },
          fleet: { node: "n", heartbeat: "100 millis", replicas: size }
        },
        "--json"
      )
      const client = await nats.client({ user: "all", pass: "pw" })
      const all = await heard(client)
      await node.waitFor("its CLI", ({ type }) => type === "session.ready")
      await finish(["submit", fake({ text: "yes" }), "--id", "t1", "--wait"], { cwd: it.dir })
      await all.find(({ subject }) => subject === "tasks.t1.result")
      const asked = await tell(client, "worker", { command: "status" })
      assert.deepInclude(asked.body, { done: true })
      // Handed in by somebody else, also what cannot be done; and asked for directly.
      const jetstream = client.jetstream()
      await jetstream.publish("tasks.task.queue", JSON.stringify({ id: "t2", prompt: fake({ text: "two" }) }))
      await jetstream.publish("tasks.task.queue", "no task")
      await all.find(({ subject }) => subject === "tasks.t2.result")
      await all.find(({ subject }) => subject === "dead.unreadable")
      const bound = await finish(["submit", "x", "--id", "t3", "--node", "m", "--fleet", "--config", "config.json"], {
        cwd: it.dir
      })
      assert.strictEqual(bound.code, 0, bound.stderr)
      const gone = await finish(["task", "cancel", "t3", "--fleet", "--config", "config.json"], { cwd: it.dir })
      assert.strictEqual(gone.code, 0, gone.stderr)
      const inFleet = await finish(["tasks", "--fleet", "--config", "config.json", "--json"], { cwd: it.dir })
      assert.deepStrictEqual(
        inFleet.lines.map(({ id, state }) => [id, state]),
        [
          ["t1", "succeeded"],
          ["t2", "succeeded"],
          ["t3", "cancelled"]
        ],
        inFleet.stderr
      )
      const listedNodes = await finish(["nodes", "--config", "config.json", "--json"], { cwd: it.dir })
      assert.deepInclude(JSON.parse(listedNodes.stdout), { node: "n" })
      const ping = (await client.request("$SRV.PING", "", { timeout: 30_000 })).json<Body>()
      assert.deepInclude(ping["metadata"] as Body, { node: "n" })
      // Several of its heartbeats have passed.
      await all.find(({ body }) => Number(body["beat"]) > 5)
      const wrong = node.lines.filter(
        (line) =>
          // A cluster that has just begun takes its time.
          (line.type === "fleet.trouble" && line["kind"] !== "LedgerAwaited") ||
          (line.type === "transport.status" && line["is"] === "denied")
      )
      assert.deepStrictEqual(wrong, [])
    },
    120_000
  )

  it("tells where the servers keep no list, and works all the same", async () => {
    await using nats = await server({})
    await using it = await fleet()
    const node = it.run({ agents: [agent()], ...at(nats.url, { fleet: { node: "n", ledger: "own" } }) }, "--json")
    const trouble = await node.waitFor("the trouble", (line) => line.type === "fleet.trouble")
    assert.deepInclude(trouble, { kind: "RegistryUnusable" })
    assert.include(trouble["message"], "JetStream")
    const client = await nats.client()
    const asked = await tell(client, "worker", { command: "status" })
    assert.deepInclude(asked.body, { done: true })
    const ping = (await client.request("$SRV.PING", "", { timeout: 30_000 })).json<Body>()
    assert.deepInclude(ping["metadata"] as Body, { node: "n" })
  }, 120_000)
})
