/** What an operator is told where the servers are not what the config says: by `doctor`, at the start, by commands. */
import { Effect, Exit, Scope } from "effect"
import { connect } from "nats"
import { assert, describe, it } from "vitest"
import { claude, finish, type Line, tempDir, writeConfig } from "../utils/Binary.ts"
import { agent, fleet } from "../utils/Fleet.ts"
import { freePorts, natsServer, noNats, type ServerOptions } from "../utils/Nats.ts"

const server = async (options: ServerOptions = { jetstream: true }) => {
  const scope = Effect.runSync(Scope.make())
  const server = await Effect.runPromise(Scope.provide(scope)(natsServer(options)))
  return { ...server, [Symbol.asyncDispose]: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

const nowhere = async () => `nats://127.0.0.1:${(await freePorts(1))[0]}`

type Settings = Readonly<Record<string, unknown>>

/** What `doctor` finds of servers, by name. */
const examine = async (transport: Settings, fleetSettings: Settings = {}) => {
  using dir = tempDir()
  const file = writeConfig(dir.path, {
    claude: { command: claude },
    agents: [{ id: "helper" }],
    transport: { kind: "nats", ...transport },
    fleet: fleetSettings
  })
  const ended = await finish(["doctor", file, "--json"], {
    cwd: dir.path,
    env: { ANTHROPIC_API_KEY: "sk-ant-test-key" }
  })
  const found = new Map<string, Line>()
  for (const line of ended.lines) if (line["about"] === "servers") found.set(String(line["name"]), line)
  return { code: ended.code, found, all: ended.stdout }
}

describe.skipIf(noNats !== undefined)("servers that are not as they should be", { timeout: 120_000 }, () => {
  it("doctor tells which server answers, and what is in the ledger's bucket; it makes nothing", async () => {
    await using nats = await server()
    const away = await nowhere()
    const { code, found, all } = await examine({ servers: [nats.url, away] })
    assert.strictEqual(code, 0, all)
    assert.deepInclude(found.get(nats.url), { verdict: "ok" })
    assert.deepInclude(found.get(away), { verdict: "warning" })
    for (const name of ["JetStream", "permissions", "stream KV_mister-smith-tasks"])
      assert.deepInclude(found.get(name), { verdict: "ok" }, all)
    const client = await connect({ servers: nats.url })
    const manager = await client.jetstreamManager()
    assert.strictEqual((await manager.getAccountInfo()).streams, 0)

    // Another one has made it otherwise.
    await manager.streams.add({ name: "KV_mister-smith-tasks", subjects: ["$KV.mister-smith-tasks.>"] })
    await client.close()
    const other = await examine({ servers: [nats.url] })
    assert.strictEqual(other.code, 1)
    assert.include(String(other.found.get("stream KV_mister-smith-tasks")?.["says"]), "max_msgs_per_subject")
  })

  it("doctor tells a server that is down, one without JetStream, and replicas that no single server has", async () => {
    const away = await nowhere()
    const down = await examine({ servers: [away] })
    assert.strictEqual(down.code, 1)
    assert.include(String(down.found.get(away)?.["says"]), "CONNECTION_REFUSED")

    await using bare = await server({ jetstream: false })
    const without = await examine({ servers: [bare.url] })
    assert.strictEqual(without.code, 1)
    assert.deepInclude(without.found.get("JetStream"), { verdict: "problem" })
    const own = await examine({ servers: [bare.url] }, { ledger: "own" })
    assert.strictEqual(own.code, 0, own.all)
    assert.deepInclude(own.found.get("JetStream"), { verdict: "warning" })

    await using single = await server()
    const replicas = await examine({ servers: [single.url] }, { replicas: 3 })
    assert.strictEqual(replicas.code, 1)
    assert.deepInclude(replicas.found.get("cluster"), { verdict: "problem" })
  })

  it("doctor names what a user may not hear, and shows no password", async () => {
    await using nats = await server({
      jetstream: true,
      config: `authorization { users: [ { user: "u", password: "hunter2", permissions: {
        publish: [">"], subscribe: ["_INBOX.>", "tasks.>"] } } ] }`
    })
    const login = { servers: [nats.url], user: "u", password: "hunter2" }
    const { all, code, found } = await examine(login)
    assert.strictEqual(code, 1)
    const says = String(found.get("permissions")?.["says"])
    for (const subject of ["agents.*.commands", "agents.*.inbox", "$SRV.PING"]) assert.include(says, subject)
    assert.notInclude(says, "tasks.")
    assert.notInclude(all, "hunter2")
    const refused = await examine({ ...login, password: "other" })
    assert.include(String(refused.found.get(nats.url)?.["says"]), "refuses the credentials")
  })

  it("a ledger that is deleted while a node works on it is told by the node, by ps and by doctor", async () => {
    await using nats = await server()
    await using it = await fleet()
    const node = it.run(
      {
        agents: [agent()],
        transport: { kind: "nats", servers: [nats.url] },
        fleet: { node: "one", heartbeat: "500 millis", takeover: "1 second" }
      },
      "--json"
    )
    await node.waitFor("its agent", (line) => line.type === "agent.state" && line["to"] === "idle")
    const client = await connect({ servers: nats.url })
    const { streams } = await client.jetstreamManager()
    await streams.delete("KV_mister-smith-tasks")
    await client.close()
    const told = await node.waitFor("the word", ({ type }) => type === "fleet.trouble")
    assert.strictEqual(told["kind"], "LedgerMissing")
    assert.include(String(told["hint"]), "start one node anew")
    await node.waitFor("its mode", (line) => line.type === "fleet.mode" && line["to"] === "no_new_work")
    const shown = await finish(["ps"], { cwd: it.dir })
    assert.include(shown.stdout, "mode no_new_work: ")
    assert.include(shown.stdout, "there is no such stream")
    const examined = await examine({ servers: [nats.url] })
    assert.strictEqual(examined.code, 1)
    assert.deepInclude(examined.found.get("stream KV_mister-smith-tasks"), { verdict: "problem" })
  })

  it("a node that waits for its ledger says what for: no server, no JetStream, too few servers", async () => {
    const away = await nowhere()
    await using bare = await server({ jetstream: false })
    await using single = await server()
    const wrong = [
      [away, {}, "no server of transport.servers takes the connection (CONNECTION_REFUSED)"],
      [bare.url, {}, "no JetStream answers for it"],
      [single.url, { replicas: 3 }, "fleet.replicas asks for more than one server"]
    ] as const
    for (const [url, settings, why] of wrong) {
      await using it = await fleet()
      const node = it.run(
        { agents: [agent()], transport: { kind: "nats", servers: [url] }, fleet: { node: "one", ...settings } },
        "--json"
      )
      const told = await node.waitFor("the word", ({ type }) => type === "fleet.trouble")
      assert.strictEqual(told["kind"], "LedgerAwaited")
      assert.include(String(told["message"]), why)
    }
  })

  it("commands say that nobody is there, who is meant by a group's name, and who else was told", async () => {
    await using nats = await server()
    using dir = tempDir()
    const at = { cwd: dir.path }
    const to = ["--server", nats.url]
    const empty = await finish(["nodes", ...to], at)
    assert.strictEqual(empty.code, 0, empty.stderr)
    assert.include(empty.stdout, "nobody is there")
    const none = await finish(["tasks", ...to], at)
    assert.strictEqual(none.code, 1)
    assert.include(none.stderr, "no node has made it yet")
    const address = await finish(["nodes", "--server", "nats://me:hunter2@127.0.0.1:4222"], at)
    assert.strictEqual(address.code, 2)
    assert.include(address.stderr, "without credentials")
    assert.notInclude(address.stderr, "hunter2")

    await using one = await fleet()
    await using other = await fleet()
    const member = (node: string) => ({
      agents: [agent({ replicas: 2 })],
      transport: { kind: "nats", servers: [nats.url] },
      fleet: { node }
    })
    const isIdle = (line: Line) => line.type === "agent.state" && line["agent"] === "worker-1" && line["to"] === "idle"
    await one.run(member("one"), "--json").waitFor("its agent", isIdle)
    await other.run(member("other"), "--json").waitFor("its agent", isIdle)
    // Until both are in the list; the test's own time limit is the end of patience.
    while ((await finish(["ps", "--fleet", ...to, "--json"], at)).lines.length < 4);
    const group = await finish(["pause", "worker", ...to], at)
    assert.strictEqual(group.code, 1)
    assert.include(group.stderr, "worker-1, worker-2")
    const paused = await finish(["pause", "worker-1", ...to, "--json"], at)
    assert.strictEqual(paused.code, 0, paused.stderr)
    const told = paused.lines[0] as unknown as { readonly status: Settings; readonly also: ReadonlyArray<string> }
    assert.deepStrictEqual([told.status["node"], ...told.also].toSorted(), ["one", "other"])

    const alone = { ...member("third"), agents: [agent({ id: "lonely" })] }
    await using third = await fleet()
    const dying = third.run(alone, "--json")
    await dying.waitFor("its agent", (line) => line.type === "agent.state" && line["to"] === "idle")
    while (!(await finish(["ps", "--fleet", ...to], at)).stdout.includes("lonely"));
    dying.child.kill("SIGKILL")
    await dying.exit
    const dead = await finish(["pause", "lonely", ...to], at)
    assert.strictEqual(dead.code, 1)
    assert.include(dead.stderr, "node third, which has the agent")
  })
})
