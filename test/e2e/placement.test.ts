/** Which node of a fleet does what: compiled binaries with the real CLI, one ledger, one nats-server. */
import { Effect, Exit, Scope } from "effect"
import { assert, describe, it } from "vitest"
import { finish, type Line } from "../utils/Binary.ts"
import { agent, fake, fleet } from "../utils/Fleet.ts"
import { natsServer, noNats } from "../utils/Nats.ts"

type Body = Readonly<Record<string, unknown>>

const server = async () => {
  const scope = Effect.runSync(Scope.make())
  const server = await Effect.runPromise(Scope.provide(scope)(natsServer({ jetstream: true })))
  return { url: server.url, [Symbol.asyncDispose]: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

const member = (url: string, node: string, settings: Body = {}, more: Body = {}) => ({
  agents: [agent()],
  transport: { kind: "nats", servers: [url] },
  fleet: { node, takeover: "6 seconds", heartbeat: "500 millis", expire: "1 minute", ...settings },
  ...more
})

const isPlaced = (line: Line) => line.type === "task.placed"
const began = (task: string) => (line: Line) =>
  line.type === "task.state" && line["task"] === task && line["to"] === "running"

describe.skipIf(noNats !== undefined)("placement in a fleet", { timeout: 120_000 }, () => {
  it("a task goes to the cheaper node, though it was submitted at the other, which tells nothing of it", async () => {
    await using nats = await server()
    await using one = await fleet()
    await using other = await fleet()
    const bids = (price: number) => ({ placement: "auction", auction: { window: "2 seconds", price } })
    const cheap = one.run(member(nats.url, "cheap", bids(1)), "--json")
    const dear = other.run(member(nats.url, "dear", bids(9)), "--json")
    for (const node of [cheap, dear]) await node.waitFor("its CLI", ({ type }) => type === "session.ready")
    const prompt = fake({ text: "done" })
    const asked = await finish(["submit", prompt, "--id", "t", "--wait", "--json"], { cwd: other.dir })
    assert.strictEqual(asked.code, 0, asked.stderr)
    const placed = await cheap.waitFor("the decision", isPlaced)
    assert.deepInclude(placed, { task: "t", attempt: 1, node: "cheap", by: "best_bid" })
    assert.deepStrictEqual(
      (placed["bids"] as ReadonlyArray<Body>).map(({ node, price }) => `${node} ${price}`),
      ["cheap 1", "dear 9"]
    )
    assert.isUndefined(dear.lines.find(isPlaced))
    assert.isUndefined(dear.lines.find(began("t")))
  })

  it("a node that is halted is suspected, then dead, and learns when it wakes that its task is another's", async () => {
    await using nats = await server()
    await using one = await fleet()
    await using other = await fleet()
    const a = one.run(
      member(nats.url, "halted", {}, { tasks: [{ id: "t", prompt: fake({ text: "late", delay: 4_000 }) }] }),
      "--json"
    )
    await a.waitFor("the turn", began("t"))
    // However long the other takes to come up, this one gets no further.
    a.child.kill("SIGSTOP")
    const b = other.run(member(nats.url, "awake"), "--json")
    const suspected = await b.waitFor("the suspicion", ({ type }) => type === "fleet.suspected")
    assert.deepInclude(suspected, { node: "halted" })
    const listed = await finish(["nodes", "--json"], { cwd: other.dir })
    const standing = listed.lines.map(({ node, standing }: Line) => `${node} ${standing}`)
    assert.include(
      ["halted suspected", "halted dead"],
      standing.find((line) => line.startsWith("halted"))
    )
    assert.include(standing, "awake undefined")
    const dead = await b.waitFor("the death", ({ type }) => type === "fleet.dead")
    assert.deepInclude(dead, { node: "halted", tasks: 1 })
    assert.deepInclude(await b.waitFor("it is begun again", began("t")), { attempt: 2 })
    a.child.kill("SIGCONT")
    await b.waitFor("it is back", ({ type }) => type === "fleet.back")
    // What it had begun it breaks off, and is idle: whatever comes for it alone it does.
    await b.waitFor("its end", (line) => line.type === "task.state" && line["to"] === "succeeded")
    const asked = await finish(
      ["submit", fake({ text: "mine" }), "--id", "u", "--node", "halted", "--wait", "--json"],
      { cwd: one.dir }
    )
    assert.strictEqual(asked.code, 0, asked.stderr)
    const ends = a.lines.filter(
      (line) => line.type === "task.state" && line["task"] === "t" && line["to"] === "succeeded"
    )
    assert.deepStrictEqual(ends, [])
  })
})
