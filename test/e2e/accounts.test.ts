/** The limits of accounts: the compiled binary, the real CLI, and a stand-in that answers as the API does at a usage limit. */
import { Effect, Exit, Scope } from "effect"
import { assert, describe, it } from "vitest"
import { finish, type Line } from "../utils/Binary.ts"
import { agent, fake, fleet } from "../utils/Fleet.ts"
import { natsServer, noNats } from "../utils/Nats.ts"

/** Of an account that is charged by the month: only these are told when a limit ends. */
const subscription = { env: { ANTHROPIC_API_KEY: "", CLAUDE_CODE_OAUTH_TOKEN: "sk-ant-oat01-test" } }

/** The limit of an account that ends in so many seconds, once. */
const limit = (seconds: number) => ({
  status: 429,
  message: "This request would exceed your account's rate limit.",
  headers: {
    "anthropic-ratelimit-unified-status": "rejected",
    "anthropic-ratelimit-unified-reset": String(Math.ceil(Date.now() / 1_000) + seconds),
    "anthropic-ratelimit-unified-representative-claim": "five_hour"
  },
  times: 1
})

const at = (lines: ReadonlyArray<Line>, so: (line: Line) => boolean) => {
  const index = lines.findIndex(so)
  assert.isAtLeast(index, 0, JSON.stringify(lines.slice(-20)))
  return index
}

const begins = (task: string) => (line: Line) =>
  line.type === "task.state" && line["task"] === task && line["to"] === "running"

describe("an account that has met its limit", () => {
  it("is waited for by all agents that use it, and then all goes on", async () => {
    await using it = await fleet(subscription)
    const running = it.run(
      {
        agents: [
          agent({ id: "one", account: "team" }),
          agent({ id: "two", account: "team" }),
          agent({ id: "free", account: "other" })
        ],
        tasks: [{ id: "t1", agent: "one", prompt: fake(limit(3), { text: "at last" }) }]
      },
      "--json"
    )
    const limited = await running.waitFor("account.limited", ({ type }) => type === "account.limited")
    assert.deepInclude(limited, { account: "team" })
    assert.isAbove(Number(limited["until"]), limited["at"] as number)
    await running.waitFor(
      "its other agent",
      (line) => line.type === "agent.state" && line["agent"] === "two" && line["to"] === "throttled"
    )
    const submit = (id: string, to: string) =>
      finish(["submit", fake({ text: `done by ${to}` }), "--id", id, "--agent", to], { cwd: it.dir })
    await submit("t2", "two")
    await submit("t3", "free")
    const explained = await finish(["explain", "t2"], { cwd: it.dir })
    assert.match(explained.stdout, /two waits with its account until/)
    const shown = await finish(["ps", "--json"], { cwd: it.dir })
    assert.deepInclude(
      shown.lines.find(({ id }) => id === "two"),
      { state: "throttled", account: "team", limitedUntil: limited["until"] }
    )
    for (const id of ["t1", "t2", "t3"]) {
      await running.waitFor(
        `the end of ${id}`,
        (line) => line.type === "task.state" && line["task"] === id && line["to"] === "succeeded"
      )
    }
    const { lines } = running
    const freed = at(lines, (line) => line.type === "account.freed" && line["account"] === "team")
    assert.isAbove(at(lines, begins("t2")), freed)
    assert.isBelow(at(lines, begins("t3")), freed)
    // It is no failure of any agent.
    assert.strictEqual(lines.filter(({ type }) => type === "session.ready").length, 3)
    running.child.kill("SIGTERM")
    await running.exit
  })

  it.skipIf(noNats !== undefined)("is waited for on every node of the fleet", async () => {
    const scope = Effect.runSync(Scope.make())
    const nats = await Effect.runPromise(Scope.provide(scope)(natsServer({ jetstream: true })))
    try {
      await using a = await fleet(subscription)
      await using b = await fleet(subscription)
      const on = (node: string) => ({
        transport: { kind: "nats", servers: [nats.url] },
        fleet: { node, heartbeat: "200 millis" },
        agents: [agent({ id: `agent-${node}`, account: "team" })]
      })
      const there = b.run(on("b"), "--json")
      await there.waitFor("its agent", (line) => line.type === "agent.state" && line["to"] === "idle")
      const here = a.run(
        { ...on("a"), tasks: [{ id: "t1", agent: "agent-a", prompt: fake(limit(8), { text: "at last" }) }] },
        "--json"
      )
      await here.waitFor("account.limited", ({ type }) => type === "account.limited")
      const heard = await there.waitFor("account.limited", ({ type }) => type === "account.limited")
      assert.deepInclude(heard, { account: "team", node: "a" })
      await there.waitFor(
        "its agent",
        (line) => line.type === "agent.state" && line["agent"] === "agent-b" && line["to"] === "throttled"
      )
      await finish(["submit", fake({ text: "by b" }), "--id", "t2", "--agent", "agent-b"], { cwd: b.dir })
      for (const [node, id] of [
        [here, "t1"],
        [there, "t2"]
      ] as const)
        await node.waitFor(
          `the end of ${id}`,
          (line) => line.type === "task.state" && line["task"] === id && line["to"] === "succeeded"
        )
      const freed = at(there.lines, ({ type }) => type === "account.freed")
      assert.isAbove(at(there.lines, begins("t2")), freed)
      // One of them leads, and `nodes` says which.
      const leaders = [here, there].map(({ lines }) => lines.findLast(({ type }) => type === "fleet.leader"))
      assert.lengthOf(
        leaders.filter((line) => line?.["mine"] === true),
        1,
        JSON.stringify(leaders)
      )
      const nodes = await finish(["nodes", "--json"], { cwd: a.dir })
      assert.deepStrictEqual(
        nodes.lines.filter((line) => line["leads"] !== undefined).map((line) => line["node"]),
        [leaders.find((line) => line?.["mine"] === true)?.["leader"]]
      )
    } finally {
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  })
})
