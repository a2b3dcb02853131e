/** The log files of a node: what gets into them, what never does, and how they are read back. */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { finish, type Line, root } from "../utils/Binary.ts"
import { agent, fake, fleet } from "../utils/Fleet.ts"

const logsOf = (dir: string) => join(dir, ".mister-smith/logs")
const everyFile = (dir: string) =>
  readdirSync(dir, { recursive: true, encoding: "utf8" })
    .map((path) => join(dir, path))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, "utf8"))
    .join("\n")
const jsonIn = (file: string) =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line)

describe("log files", () => {
  it("tell what an agent has done when its node is gone, across runs", async () => {
    await using it = await fleet()
    const config = (id: string) => ({ agents: [agent()], tasks: [{ id, prompt: fake({ text: `said in ${id}` }) }] })
    for (const id of ["one", "two"]) assert.strictEqual((await it.once(config(id))).code, 0)
    const tell = (...args: ReadonlyArray<string>) => finish(["logs", ...args], { cwd: it.dir })
    const { code, stderr, stdout } = await tell("worker")
    assert.strictEqual(code, 0, stderr)
    assert.match(stderr, /no node is running/)
    assert.match(stdout, /said in one[\s\S]*task one: succeeded[\s\S]*said in two[\s\S]*task two: succeeded/)
    assert.lengthOf((await tell("all", "-n", "3", "--json")).lines, 3)
    assert.lengthOf((await tell("worker", "--since", "2000-01-01", "--json")).lines, stdout.trim().split("\n").length)
    assert.strictEqual((await tell("worker", "--since", "2999-01-01")).stdout, "")
    assert.strictEqual((await tell("worker", "--since", "yesterday")).code, 2)
    const unknown = await tell("nobody")
    assert.strictEqual(unknown.code, 2)
    assert.match(unknown.stderr, /no agent named "nobody"/)
    // A crash leaves half a line.
    appendFileSync(join(logsOf(it.dir), "agents/worker.log"), '{"time":"2026')
    const halved = await tell("worker")
    assert.strictEqual(halved.stdout, stdout)
    assert.match(halved.stderr, /1 lines .* left out/)
    assert.strictEqual(statSync(logsOf(it.dir)).mode & 0o777, 0o700)
    assert.strictEqual(statSync(join(logsOf(it.dir), "runtime.log")).mode & 0o777, 0o600)
    const runtime = jsonIn(join(logsOf(it.dir), "runtime.log"))
    assert.isTrue(runtime.every(({ level, module, time }) => [level, module, time].every((v) => typeof v === "string")))
    assert.include(
      runtime.map(({ message }) => message),
      "task.state"
    )
  })

  it("hold the decisions of supervisors where their level is debug", async () => {
    await using it = await fleet()
    const config = (more: object) => ({ agents: [agent()], tasks: [{ prompt: fake({ text: "x" }) }], ...more })
    const { code, stderr } = await it.once(config({ logs: { format: "logfmt", modules: { supervision: "debug" } } }))
    assert.strictEqual(code, 0, stderr)
    const text = readFileSync(join(logsOf(it.dir), "runtime.log"), "utf8")
    assert.match(text, /^time=\S+ level=debug module=supervision message=supervisor.decision /m)
    assert.notMatch(text, /module=task message=task.progress/)
    const wrong = await it.once(config({ logs: { modules: { supervison: "debug" } } }))
    assert.strictEqual(wrong.code, 2)
    assert.match(wrong.stderr, /logs\.modules\.supervison.*did you mean "supervision"/)
  })

  it("do not stop the node on a full disk: it says so once and goes on", async () => {
    await using it = await fleet()
    mkdirSync(logsOf(it.dir), { recursive: true })
    symlinkSync("/dev/full", join(logsOf(it.dir), "runtime.log"))
    const tasks = [1, 2, 3].map((n) => ({ id: `t${n}`, prompt: fake({ text: "x" }) }))
    const { code, lines, stderr } = await it.once({ agents: [agent()], tasks })
    assert.strictEqual(code, 0, stderr)
    assert.deepStrictEqual(
      lines.filter(({ type }) => type === "logs.lost").map(({ reason }) => reason),
      ["ENOSPC"]
    )
    const doctor = await finish(["doctor", "config.json", "--json"], { cwd: it.dir })
    const found = doctor.lines.find(({ name }) => name === "logs")
    assert.deepInclude(found, { about: "node", verdict: "warning" })
    assert.match(String(found?.["says"]), /\d+ lines .* lost.*ENOSPC/)
  })

  it("never hold a secret, nor does what a run prints, nor what a node tells", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.stringMatching(/^[A-Za-z0-9!#%&+/:;=?@_.-]{12,40}$/),
        fc.constantFrom("prompt", "output", "stderr", "fault"),
        async (secret, where) => {
          await using it = await fleet({
            env: { ANTHROPIC_API_KEY: "sk-ant-another-0123456789", FAKE: "leaks" }
          })
          const running = it.run(
            {
              claude:
                where === "stderr" || where === "fault"
                  ? {
                      command: join(root, "test/fixtures/fake-claude.sh"),
                      env: { FAKE: where === "stderr" ? "leaks" : "refuse", TOKEN: secret }
                    }
                  : { env: { TOKEN: secret }, command: join(root, "node_modules/.bin/claude") },
              retry: { attempts: 1 },
              logs: { level: "trace" },
              agents: [agent({ systemPrompt: `never say ${secret}` })],
              tasks: [
                {
                  id: "t",
                  prompt: where === "prompt" ? `${secret} ${fake({ status: 400 })}` : fake({ text: `it is ${secret}` })
                }
              ]
            },
            "--json"
          )
          await Promise.race([running.waitFor("the result", ({ type }) => type === "task.result"), running.exit])
          const told = await finish(["events", "--last", "1000", "--json"], { cwd: it.dir })
          const logs = await finish(["logs", "worker", "--last", "1000"], { cwd: it.dir })
          running.child.kill("SIGTERM")
          await running.exit
          const said = [running.stdout(), running.stderr(), told.stdout, logs.stdout, everyFile(logsOf(it.dir))]
          for (const text of said) {
            assert.notInclude(text, secret)
            assert.notInclude(text, Buffer.from(secret).toString("base64"))
          }
          assert.include(everyFile(logsOf(it.dir)), "agent.state")
          if (where !== "prompt" && where !== "fault") assert.include(said.join("\n"), "[secret]")
        }
      ),
      { numRuns: 8 }
    )
  })
})
