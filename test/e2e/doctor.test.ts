/** `doctor` as a user meets it: on a machine that is well, and with each thing that can be wrong. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { findCgroup } from "../../src/process/CgroupPlace.ts"
import { claude, finish, type Line, type RunOptions, tempDir, writeConfig } from "../utils/Binary.ts"
import { agent, fleet } from "../utils/Fleet.ts"

const SECRET = "sk-ant-never-to-be-seen"

/** What it says of a config in a directory of its own. */
const examine = async (config: Record<string, unknown>, options: RunOptions = {}) => {
  using dir = tempDir()
  const file = writeConfig(dir.path, { claude: { command: claude }, agents: [{ id: "helper" }], ...config })
  const env = { TMPDIR: dir.path, ...(options.env ?? { ANTHROPIC_API_KEY: SECRET }) }
  const ended = await finish(["doctor", file, "--json"], { cwd: dir.path, env })
  return { ...ended, made: readdirSync(dir.path) }
}

const named = (lines: ReadonlyArray<Line>, name: string): Line | undefined =>
  lines.find((line) => line.type === "finding" && line["name"] === name)
const problems = (lines: ReadonlyArray<Line>) => lines.filter((line) => line["verdict"] === "problem")
const summary = (lines: ReadonlyArray<Line>) => lines.find(({ type }) => type === "summary")

/** A program in place of the CLI. */
const script = (dir: string, text: string) => {
  const file = join(dir, "claude")
  writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  return file
}

describe("mister-smith doctor", () => {
  it("finds no problem where there is none, shows no secret, and leaves nothing", async () => {
    const { code, lines, made, stderr, stdout } = await examine({})
    assert.strictEqual(code, 0, stdout)
    assert.deepStrictEqual(problems(lines), [])
    assert.deepInclude(summary(lines), { ok: true, problems: 0 })
    for (const about of ["machine", "claude", "node", "config"])
      assert.isTrue(lines.some((line) => line["about"] === about))
    for (const name of ["cgroup", "guardian", "pressure", "open files", "user processes", "clock", "disk"]) {
      assert.isString(named(lines, name)?.["says"], name)
    }
    assert.match(String(named(lines, "CLI")?.["says"]), /2\.1\.197/)
    assert.match(String(named(lines, "credentials")?.["says"]), /ANTHROPIC_API_KEY \(environment\)/)
    assert.notInclude(stdout + stderr, SECRET)
    // Neither the data directory, nor anything of the CLI's in the directory for temporary files.
    assert.deepStrictEqual(made, ["config.json"])
  })

  it("has help, and is completed in the shell", async () => {
    const { code, stdout } = await finish(["doctor", "--help"])
    assert.strictEqual(code, 0)
    assert.match(stdout, /USAGE[\s\S]*doctor[\s\S]*--json/)
    for (const shell of ["bash", "zsh", "fish"]) {
      assert.include((await finish(["--completions", shell])).stdout, "doctor")
    }
  })

  it("lists everything that check finds, and goes on with the rest", async () => {
    const { code, lines, stderr } = await examine({ agents: [{ id: "B", limits: { taskTiem: "1 minute" } }] })
    assert.strictEqual(code, 1)
    assert.include(stderr, "2 problems")
    const said = problems(lines).map((line) => `${line["says"]} ${line["hint"]}`)
    assert.match(said.join("\n"), /agents\[0\]\.id .*found "B"/)
    assert.match(said.join("\n"), /agents\[0\]\.limits\.taskTiem .*did you mean "taskTime"\?/)
    assert.strictEqual(named(lines, "CLI")?.["about"], "claude")
  })

  it("says that a config is not there, and 2 to a wrong command line", async () => {
    using dir = tempDir()
    const { code, lines } = await finish(["doctor", "nope.json", "--json"], { cwd: dir.path })
    assert.strictEqual(code, 1)
    assert.strictEqual(named(lines, "nope.json")?.["says"], "there is no such file")
    assert.strictEqual((await finish(["doctor", "--jsno"], { cwd: dir.path })).code, 2)
  })

  it("looks at the machine alone where there is no config, and finds the usual one", async () => {
    using dir = tempDir()
    const alone = await finish(["doctor", "--json"], { cwd: dir.path })
    assert.isFalse(alone.lines.some((line) => line["about"] === "config"))
    writeFileSync(join(dir.path, "mister-smith.json"), JSON.stringify({ agents: [] }))
    const { code, lines } = await finish(["doctor", "--json"], { cwd: dir.path })
    assert.strictEqual(code, 1)
    assert.strictEqual(named(lines, "mister-smith.json")?.["verdict"], "problem")
  })

  it("tells a CLI that is missing, broken, or not tested with", async () => {
    const missing = await examine({ claude: { command: "./nope" } })
    assert.strictEqual(missing.code, 1)
    assert.include(String(named(missing.lines, "CLI")?.["hint"]), "npm install")
    using dir = tempDir()
    const broken = await examine({ claude: { command: script(dir.path, "exit 3") } })
    assert.strictEqual(named(broken.lines, "CLI")?.["verdict"], "problem")
    const other = await examine({ claude: { command: script(dir.path, "echo '9.9.9 (Claude Code)'") } })
    assert.strictEqual(other.code, 0)
    assert.strictEqual(named(other.lines, "CLI")?.["verdict"], "warning")
    assert.include(String(named(other.lines, "CLI")?.["says"]), "9.9.9")
  })

  it("tells where credentials come from, or that there are none", async () => {
    const given = await examine(
      { claude: { command: claude, env: { ANTHROPIC_AUTH_TOKEN: { env: "TOKEN" } } } },
      { env: { TOKEN: SECRET } }
    )
    assert.strictEqual(named(given.lines, "credentials")?.["says"], "ANTHROPIC_AUTH_TOKEN (claude.env)")
    assert.notInclude(given.stdout + given.stderr, SECRET)
    const none = await examine({}, { env: {} })
    assert.strictEqual(none.code, 1)
    assert.strictEqual(named(none.lines, "credentials")?.["verdict"], "problem")
  })

  it("tells limits that are not enforced: a warning, or a problem where they are required", async () => {
    const process = { cgroup: "off" }
    const limits = { memory: "1 GiB", cpus: 1 }
    const wished = await examine({ process, agents: [{ id: "helper", limits }] })
    assert.strictEqual(wished.code, 0)
    const said = wished.lines.filter((line) => line["name"] === "agent helper")
    assert.deepStrictEqual(
      said.map((line) => line["verdict"]),
      ["warning", "warning"]
    )
    assert.match(String(said[0]?.["says"]), /limits\.memory .*looked at now and then.*process\.cgroup is off/)
    const required = await examine({ process, agents: [{ id: "helper", limits: { ...limits, enforce: "required" } }] })
    assert.strictEqual(required.code, 1)
    assert.lengthOf(problems(required.lines), 2)
    const none = await examine({ process })
    assert.isUndefined(named(none.lines, "agent helper"))
  })

  it("takes a required cgroup that is not to be had for a problem", async () => {
    const found = findCgroup()
    const { code, lines } = await examine({ process: { cgroup: "required" } })
    const verdict = named(lines, "cgroup")?.["verdict"]
    // Where it may be written, what the trial says is the truth.
    if ("why" in found) assert.deepStrictEqual([code, verdict], [1, "problem"])
    else assert.strictEqual(code, verdict === "problem" ? 1 : 0)
    const { lines: auto } = await examine({})
    assert.notStrictEqual(named(auto, "cgroup")?.["verdict"], "problem")
  })

  it("names the node that holds the data directory, and does not disturb it", async () => {
    await using it = await fleet()
    const running = it.run({ agents: [agent()] }, "--json")
    await running.waitFor("an agent that is ready", ({ type }) => type === "session.ready")
    const dataDir = join(it.dir, ".mister-smith")
    const ask = async () => {
      const { lines } = await finish(["doctor", join(it.dir, "config.json"), "--json"], { cwd: it.dir })
      return String(named(lines, "data directory")?.["says"])
    }
    const id = readFileSync(join(dataDir, "id"), "utf8")
    assert.strictEqual(await ask(), `${dataDir} is in use by pid ${running.child.pid}: its node is running`)
    assert.strictEqual(JSON.parse(readFileSync(join(dataDir, "runtime.json"), "utf8")).pid, running.child.pid)
    running.child.kill("SIGTERM")
    assert.strictEqual(await running.exit, 143, running.stderr())
    // Free, and free again: the look has let go of it.
    for (let look = 0; look < 2; look++) assert.strictEqual(await ask(), `${dataDir} can be written to, and is free`)
    assert.strictEqual(readFileSync(join(dataDir, "id"), "utf8"), id)
    assert.isTrue(existsSync(dataDir))
  })

  it("shows people a table, without colours where they are not wanted", async () => {
    using dir = tempDir()
    const env = { ANTHROPIC_API_KEY: SECRET, FORCE_COLOR: "1" }
    const file = writeConfig(dir.path, { claude: { command: claude }, agents: [{ id: "helper" }] })
    const coloured = await finish(["doctor", file], { cwd: dir.path, env })
    assert.include(coloured.stdout, "\u001b[32mok")
    const plain = await finish(["doctor", file], { cwd: dir.path, env: { ...env, NO_COLOR: "1" } })
    assert.notInclude(plain.stdout, "\u001b[")
    assert.match(plain.stdout, /^claude\n {2}ok {7}CLI .*2\.1\.197$/m)
    assert.notInclude(plain.stdout, SECRET)
  })
})
