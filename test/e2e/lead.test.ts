/** Who leads a fleet: compiled binaries on a real nats-server, of which the leader is halted, and killed. */
import { Effect, Exit, Scope } from "effect"
import { assert, describe, it } from "vitest"
import { finish, type Line } from "../utils/Binary.ts"
import { agent, fleet } from "../utils/Fleet.ts"
import { natsServer, noNats } from "../utils/Nats.ts"

/** That this node leads, in an epoch after `after`. */
const leads = (after: number) => (line: Line) =>
  line.type === "fleet.leader" && line["mine"] === true && Number(line["epoch"]) > after

describe.skipIf(noNats !== undefined)("the leader of a fleet", () => {
  it("is one of its nodes, is succeeded when it is halted or killed, and all know by whom", async () => {
    const scope = Effect.runSync(Scope.make())
    const nats = await Effect.runPromise(Scope.provide(scope)(natsServer({ jetstream: true })))
    try {
      await using it = await fleet()
      await using other = await fleet()
      const on = (node: string) => ({
        transport: { kind: "nats", servers: [nats.url] },
        fleet: { node, heartbeat: "200 millis", takeover: "2 seconds" },
        agents: [agent({ id: `agent-${node}` })]
      })
      const a = it.run(on("a"), "--json")
      const first = await a.waitFor("its lead", leads(0))
      const b = other.run(on("b"), "--json")
      const known = await b.waitFor("the leader", ({ type }) => type === "fleet.leader")
      assert.deepInclude(known, { leader: "a", epoch: first["epoch"], mine: false })

      a.child.kill("SIGSTOP")
      const second = await b.waitFor("its lead", leads(Number(first["epoch"])))
      a.child.kill("SIGCONT")
      const learnt = await a.waitFor("the leader", (line) => line.type === "fleet.leader" && line["leader"] === "b")
      assert.strictEqual(learnt["epoch"], second["epoch"])

      b.child.kill("SIGKILL")
      const third = await a.waitFor("its lead", leads(Number(second["epoch"])))
      for (;;) {
        const { lines } = await finish(["nodes", "--json"], { cwd: it.dir })
        if (lines.find(({ node }) => node === "a")?.["leads"] === third["epoch"]) break
      }
      const shown = await finish(["nodes"], { cwd: it.dir })
      assert.match(shown.stdout, new RegExp(`^a .* epoch ${third["epoch"]} `, "m"))
    } finally {
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  })
})
