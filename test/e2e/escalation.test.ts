/** What is tried when an agent's restarts are used up, through the compiled binary and the real CLI. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { processesWith } from "../utils/Binary.ts"
import { agent, fake, fleet, resultOf } from "../utils/Fleet.ts"

const bash = (command: string) => ({ tool: "Bash", input: { command, description: "d", timeout: 600_000 } })
const runner = (id: string, more: Record<string, unknown> = {}) =>
  agent({ id, permissions: { allow: ["Bash"] }, ...more })

describe("the escalation of a supervisor", () => {
  it("tells the operator, with a command, and starts the standby, which finishes the task", async () => {
    await using it = await fleet()
    const flag = join(it.dir, "flag")
    const told = join(it.dir, "told.json")
    const { code, lines } = await it.once({
      supervision: {
        maxRestarts: 0,
        escalation: [
          { do: "notify", command: ["sh", "-c", `cat > ${told}`] },
          { do: "start_standby", child: "spare" }
        ]
      },
      agents: [runner("worker"), runner("spare", { standby: true })],
      tasks: [
        {
          id: "t",
          prompt: fake(bash(`[ -f ${flag} ] || { touch ${flag}; kill -9 $PPID; sleep 1016; }`), { text: "done" })
        }
      ]
    })
    assert.strictEqual(code, 0)
    assert.include(resultOf(lines, "t"), { status: "succeeded", agent: "spare", attempts: 2 })
    const notified = lines.find(({ type }) => type === "operator.notified")
    assert.match(String(notified?.["message"]), /worker/)
    assert.deepInclude(JSON.parse(readFileSync(told, "utf8")), { type: "operator.notified", child: "worker" })
    assert.deepStrictEqual(processesWith(it.dir), [])
  })

  it("stops the node in order, with an exit code on which a service manager starts it again", async () => {
    await using it = await fleet()
    const { code, stderr } = await it.once({
      supervision: { maxRestarts: 0, escalation: [{ do: "stop_node" }] },
      agents: [runner("worker")],
      tasks: [{ prompt: fake(bash("kill -9 $PPID; sleep 1017"), { text: "never" }) }]
    })
    assert.strictEqual(code, 75)
    assert.match(stderr, /gave up/)
    assert.deepStrictEqual(processesWith(it.dir), [])
  })

  it("is refused where it leads nowhere", async () => {
    await using it = await fleet()
    const { code, stderr } = await it.once({
      supervision: { escalation: [{ do: "start_standby", child: "worker" }, { do: "restart_grup" }] },
      agents: [runner("worker")]
    })
    assert.strictEqual(code, 2)
    assert.match(stderr, /escalation\[0\]\.child .*"standby": true, found "worker"/)
    assert.match(stderr, /escalation\[1\]/)
  })
})
