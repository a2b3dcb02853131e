/** Two nodes and one nats-server: compiled binaries with the real CLI, one ledger, and a plain NATS client beside them. */
import { Effect, Exit, Scope } from "effect"
import { connect, type NatsConnection } from "nats"
import { assert, describe, it } from "vitest"
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

const isEnd = (task: string) => (line: Body) => line["type"] === "task.result" && line["task"] === task

describe.skipIf(noNats !== undefined)("a fleet of nodes that share their tasks", { timeout: 120_000 }, () => {
  it("does the tasks of a config that all have once, by whoever is free", async () => {
    await using nats = await server()
    await using one = await fleet()
    await using other = await fleet()
    const tasks = Array.from({ length: 6 }, (_, index) => ({
      ...(index < 4 ? { id: `t${index}` } : {}),
      prompt: fake({ text: `done ${index}`, ms: 300 })
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
})
