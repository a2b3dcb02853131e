/** The command line as a user meets it, mistakes included. */
import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { binary, finish, root, tempDir, writeConfig } from "../utils/Binary.ts"
import { agent, fake, fleet } from "../utils/Fleet.ts"

const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly version: string }

describe("mister-smith", () => {
  it("tells its version in every way it is asked", async () => {
    for (const args of [["version"], ["--version"], ["version", "--log-level", "info"]]) {
      const { code, stdout } = await finish(args)
      assert.strictEqual(code, 0)
      assert.include(stdout, version)
    }
  })

  it("has help on every command", async () => {
    for (const command of [[], ["run"], ["check"], ["schema"], ["version"]]) {
      const { code, stdout } = await finish([...command, "--help"])
      assert.strictEqual(code, 0)
      assert.include(stdout, "USAGE")
    }
  })

  it("completes its commands in the shell", async () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      const { code, stdout } = await finish(["--completions", shell])
      assert.strictEqual(code, 0)
      for (const word of ["run", "check", "schema", "once"]) assert.include(stdout, word)
    }
    // What a shell would load is at least a program for it.
    const script = execFileSync(binary, ["--completions", "bash"], { encoding: "utf8" })
    execFileSync("bash", ["-n"], { input: script })
  })

  it("answers a wrong command line with 2, what is wrong, and what was meant", async () => {
    const wrong = await finish(["rnu"])
    assert.strictEqual(wrong.code, 2)
    assert.match(wrong.stderr, /Unknown subcommand "rnu"[\s\S]*run/)
    const flag = await finish(["run", "--onec", "x.json"])
    assert.strictEqual(flag.code, 2)
    assert.match(flag.stderr, /--onec[\s\S]*--once/)
  })

  it("checks a config: every mistake with its place, and 2", async () => {
    using dir = tempDir()
    const file = writeConfig(dir.path, {
      agents: [{ id: "a" }, { id: "B", limits: { taskTiem: "1 minute" } }],
      tasks: [{ prompt: 5 }]
    })
    const { code, stderr, stdout } = await finish(["check", file])
    assert.strictEqual(code, 2)
    assert.strictEqual(stdout, "")
    assert.match(stderr, /agents\[1\]\.id .*expected a lower-case name.*found "B"/)
    assert.match(stderr, /agents\[1\]\.limits\.taskTiem .*did you mean "taskTime"\?/)
    assert.match(stderr, /tasks\[0\]\.prompt .*found 5/)
    assert.notMatch(stderr, /\bat .*\.ts:\d/)
    const json = await finish(["check", file, "--json"])
    assert.lengthOf(json.lines[0]?.["mistakes"] as ReadonlyArray<unknown>, 3)
    const run = await finish(["run", file])
    assert.strictEqual(run.code, 2)
  })

  it("warns of a server on another machine without TLS, which is no mistake", async () => {
    using dir = tempDir()
    const transport = { kind: "nats", servers: ["nats://127.0.0.1:4222", "nats://nats.example.org:4222"] }
    const file = writeConfig(dir.path, { agents: [{ id: "a" }], transport })
    const { code, stderr, stdout } = await finish(["check", file])
    assert.strictEqual(code, 0)
    assert.include(stdout, "is fine")
    assert.match(stderr, /nats:\/\/nats\.example\.org:4222 without TLS/)
    assert.notInclude(stderr, "127.0.0.1")
    const { lines } = await finish(["check", file, "--json"])
    assert.lengthOf((lines[0] as unknown as { readonly warnings: ReadonlyArray<string> }).warnings, 1)
    writeConfig(dir.path, { agents: [{ id: "a" }], transport: { ...transport, tls: {} } })
    assert.strictEqual((await finish(["check", file])).stderr, "")
  })

  it("checks a config of four lines, which is fine", async () => {
    using dir = tempDir()
    const file = writeConfig(
      dir.path,
      '{\n  "agents": [{ "id": "helper" }],\n  "tasks": [{ "prompt": "Say hello." }]\n}\n'
    )
    const { code, stdout } = await finish(["check", file])
    assert.strictEqual(code, 0)
    assert.match(stdout, /1 agent, 1 task/)
    assert.deepInclude((await finish(["check", file, "--json"])).lines[0], { ok: true, agents: 1, tasks: 1 })
  })

  it("says so where there is no config", async () => {
    using dir = tempDir()
    const { code, stderr } = await finish(["run"], { cwd: dir.path })
    assert.strictEqual(code, 2)
    assert.match(stderr, /mister-smith\.json: there is no such file/)
  })

  it("prints a JSON Schema that knows every key", async () => {
    const { code, stdout } = await finish(["schema"])
    assert.strictEqual(code, 0)
    const schema = JSON.parse(stdout) as { readonly properties: Record<string, unknown> }
    assert.includeMembers(Object.keys(schema.properties), [
      "agents",
      "tasks",
      "claude",
      "supervision",
      "retry",
      "dataDir"
    ])
  })

  it("prints a JSON Schema of the messages", async () => {
    const { code, stdout } = await finish(["schema", "messages"])
    assert.strictEqual(code, 0)
    const { $defs } = JSON.parse(stdout) as { readonly $defs: Record<string, unknown> }
    assert.includeMembers(Object.keys($defs), ["AgentCommand", "TaskAssignment", "TaskResult", "NodeStatus"])
    const wrong = await finish(["schema", "letters"])
    assert.strictEqual(wrong.code, 2)
    assert.include(wrong.stderr, "messages")
  })

  it("shows people what happens, without colours where they are not wanted", async () => {
    await using it = await fleet()
    const file = it.config({ agents: [agent()], tasks: [{ id: "hello", prompt: fake({ text: "hi there" }) }] })
    const env = { ANTHROPIC_BASE_URL: it.standin.url, ANTHROPIC_API_KEY: "k" }
    const plain = await finish(["run", file, "--once"], {
      cwd: it.dir,
      env: { ...env, FORCE_COLOR: "1", NO_COLOR: "1" }
    })
    assert.strictEqual(plain.code, 0)
    assert.match(plain.stdout, /✓ hello hi there/)
    assert.notInclude(plain.stdout, "\u001b[")
    const coloured = await finish(["run", file, "--once"], { cwd: it.dir, env: { ...env, FORCE_COLOR: "1" } })
    assert.include(coloured.stdout, "\u001b[")
  })

  it("warns once of a Claude CLI that it was not tested with", async () => {
    await using it = await fleet()
    // The real CLI, through a filter that only changes the version it tells.
    const other = join(it.dir, "claude")
    const real = join(root, "node_modules/.bin/claude")
    writeFileSync(other, `#!/bin/bash\nexec "${real}" "$@" > >(exec sed -u 's/2\\.1\\.197/9.9.9/g')\n`, { mode: 0o755 })
    const { code, lines } = await it.once({
      claude: { command: "./claude" },
      agents: [agent({ replicas: 2 })],
      tasks: [1, 2].map((n) => ({ id: `t${n}`, prompt: fake({ text: "ok" }) }))
    })
    assert.strictEqual(code, 0)
    const warnings = lines.filter(({ type }) => type === "claude.untested")
    assert.deepStrictEqual(
      warnings.map((line) => line["version"]),
      ["9.9.9"]
    )
  })
})
