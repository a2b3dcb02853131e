/** A user who may do what docs/nats.md lists, and nothing else, is enough for a node. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { assert, describe, it } from "vitest"
import { finish, root } from "../utils/Binary.ts"
import { agent, fake, fleet, resultOf } from "../utils/Fleet.ts"
import { natsCluster, natsServer, noNats } from "../utils/Nats.ts"

/** What stands behind `publish:` and `subscribe:` in the blocks of the page. */
const listed = () => {
  const page = readFileSync(join(root, "docs/nats.md"), "utf8")
  const may = { publish: new Set<string>(), subscribe: new Set<string>() }
  for (const [, block = ""] of page.matchAll(/```\n((?:publish|subscribe):[\s\S]*?)```/g))
    for (const part of block.split(/^(?=publish:|subscribe:)/m)) {
      const what = part.startsWith("publish:") ? may.publish : may.subscribe
      for (const [subject] of part.slice(part.indexOf(":")).matchAll(/[$\w][\w$*>.-]*\.[\w$*>.-]*/g)) what.add(subject)
    }
  return may
}

const quoted = (subjects: ReadonlySet<string>) => JSON.stringify([...subjects])

describe.skipIf(noNats !== undefined)("the permissions that are listed", { timeout: 120_000 }, () => {
  for (const size of [1, 3])
    it(`are all that a node needs with ${size === 1 ? "one server" : "a cluster and replicas"}`, async () => {
      const { publish, subscribe } = listed()
      assert.isAbove(publish.size, 20)
      const config = `
        no_auth_user: anybody
        authorization { users: [
          { user: anybody, password: any }
          { user: node, password: secret, permissions: { publish: ${quoted(publish)}, subscribe: ${quoted(subscribe)} } }
        ] }`
      const scope = Effect.runSync(Scope.make())
      const options = { jetstream: true, config }
      const servers = await Effect.runPromise(
        Scope.provide(scope)(size === 1 ? Effect.map(natsServer(options), (one) => [one]) : natsCluster(size, options))
      )
      try {
        await using it = await fleet()
        const settings = {
          agents: [agent({ account: "shared" })],
          transport: { kind: "nats", servers: servers.map(({ url }) => url), user: "node", password: "secret" },
          fleet: { node: "one", replicas: size, heartbeat: "500 millis", edge: { whenCutOff: "storeAndForward" } }
        }
        const node = it.run({ ...settings, tasks: [{ id: "t", prompt: fake({ text: "yes" }) }] }, "--json")
        await node.waitFor("the result", (line) => line.type === "task.result" && line["task"] === "t")
        assert.deepInclude(resultOf(node.lines, "t"), { status: "succeeded" })
        // From elsewhere, with the same permissions.
        const file = it.config(settings)
        const told = await finish(["tell", "worker", "Be brief.", "--fleet", "--config", file], { cwd: it.dir })
        assert.strictEqual(told.code, 0, told.stderr)
        const asked = await finish(["submit", fake({ text: "too" }), "--wait", "--fleet", "--config", file], {
          cwd: it.dir
        })
        assert.strictEqual(asked.code, 0, asked.stderr)
        node.child.kill("SIGTERM")
        await node.exit
        const denied = node.lines.filter((line) => line.type === "transport.status" && line["is"] === "denied")
        assert.deepStrictEqual(denied, [])
        for (const { log } of servers) assert.notMatch(log(), /Violation/)
      } finally {
        await Effect.runPromise(Scope.close(scope, Exit.void))
      }
    })
})
