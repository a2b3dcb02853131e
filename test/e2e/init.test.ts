/** A first config, written by the compiled binary. */
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { assert, describe, it } from "vitest"
import { binary, finish, tempDir } from "../utils/Binary.ts"

const read = (file: string) => JSON.parse(readFileSync(file, "utf8"))

describe("init", () => {
  it("--yes writes a config that passes check, with its schema beside it, and says what comes next", async () => {
    using dir = tempDir()
    const { code, stderr, stdout } = await finish(["init", "--yes"], { cwd: dir.path })
    assert.strictEqual(code, 0, stderr)
    assert.match(stdout, /mister-smith doctor mister-smith\.json[\s\S]*mister-smith run mister-smith\.json/)
    const config = read(join(dir.path, "mister-smith.json"))
    assert.deepInclude(config.agents[0], {
      id: "worker",
      replicas: 1,
      permissions: { mode: "default", allow: [], deny: [] }
    })
    assert.property(read(join(dir.path, config.$schema)), "properties")
    assert.deepStrictEqual(readdirSync(dir.path).sort(), ["mister-smith.json", "mister-smith.schema.json"])
    assert.strictEqual((await finish(["check"], { cwd: dir.path })).code, 0)
  })

  it("takes every answer as a flag", async () => {
    using dir = tempDir()
    mkdirSync(join(dir.path, "code"))
    const flags = ["--name", "n", "--agent", "fixer", "--agents", "3", "--workspace", "code", "--model", "sonnet"]
    const more = ["--credential", "env:MY_KEY", "--credential-as", "ANTHROPIC_AUTH_TOKEN", "--permission-mode", "plan"]
    const options = { cwd: dir.path, env: { MY_KEY: "sk-secret" } }
    const { code, lines, stderr } = await finish(["init", "f.json", "--yes", "--json", ...flags, ...more], options)
    assert.strictEqual(code, 0, stderr)
    assert.deepStrictEqual(read(join(dir.path, "f.json")), {
      $schema: "./mister-smith.schema.json",
      name: "n",
      claude: { model: "sonnet", env: { ANTHROPIC_AUTH_TOKEN: { env: "MY_KEY" } } },
      agents: [{ id: "fixer", replicas: 3, workspace: "code", permissions: { mode: "plan", allow: [], deny: [] } }]
    })
    assert.notInclude(JSON.stringify(lines), "sk-secret")
    assert.strictEqual((await finish(["check", "f.json"], options)).code, 0)
  })

  it("overwrites nothing unless it is told to", async () => {
    using dir = tempDir()
    const file = join(dir.path, "mister-smith.json")
    writeFileSync(file, "mine")
    const refused = await finish(["init", "--yes"], { cwd: dir.path })
    assert.strictEqual(refused.code, 2)
    assert.match(refused.stderr, /is there already[\s\S]*--force/)
    assert.strictEqual(readFileSync(file, "utf8"), "mine")
    assert.strictEqual((await finish(["init", "--yes", "--force"], { cwd: dir.path })).code, 0)
    assert.property(read(file), "agents")
  })

  it("writes nothing where an answer is wrong, and says which; a secret given as such is not shown", async () => {
    using dir = tempDir()
    for (const [flag, value, said] of [
      ["--agent", "No Name", /agents\[0\]\.id/],
      ["--agents", "0", /agents\[0\]\.replicas/],
      ["--workspace", "absent", /agents\[0\]\.workspace/],
      ["--permission-mode", "all", /agents\[0\]\.permissions\.mode/],
      ["--credential", "env:NOT_SET", /claude\.env\.ANTHROPIC_API_KEY/],
      ["--credential", "sk-ant-very-secret", /never given itself/]
    ] as const) {
      const { code, stderr, stdout } = await finish(["init", "--yes", flag, value], { cwd: dir.path })
      assert.strictEqual(code, 2, flag)
      assert.match(stderr, said)
      assert.notInclude(stderr + stdout, "very-secret")
      assert.isFalse(existsSync(join(dir.path, "mister-smith.json")))
    }
  })

  it("is a mistake where nobody can be asked, and says which flags there are", async () => {
    using dir = tempDir()
    const { code, stderr } = await finish(["init"], { cwd: dir.path })
    assert.strictEqual(code, 2)
    for (const flag of ["--yes", "--name", "--agents", "--workspace", "--model", "--credential", "--permission-mode"])
      assert.include(stderr, flag)
    assert.deepStrictEqual(readdirSync(dir.path), [])
  })

  it("asks on a terminal what no flag has answered", async () => {
    using dir = tempDir()
    mkdirSync(join(dir.path, "code"))
    // script(1) is what gives a program a terminal here; each answer is typed when its question is there.
    const child = spawn("script", ["-qec", `${binary} init --agent fixer`, "/dev/null"], {
      cwd: dir.path,
      env: { PATH: process.env["PATH"], HOME: dir.path, TERM: "xterm", SHELL: "/bin/sh" }
    })
    const answers: Array<readonly [string, string]> = [
      ["node called", "-mine\r"],
      ["How many", "\r"],
      ["directory", "code\r"],
      ["Which model", "\r"],
      ["credential", "\r"],
      ["without being asked", "\r"]
    ]
    let shown = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      shown += text
      const [next] = answers
      if (next === undefined || !shown.includes(next[0])) return
      answers.shift()
      shown = ""
      child.stdin.write(next[1])
    })
    const code = await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve))
    assert.deepStrictEqual(answers, [], shown)
    assert.strictEqual(code, 0, shown)
    const config = read(join(dir.path, "mister-smith.json"))
    assert.strictEqual(config.name, `${basename(dir.path)}-mine`)
    assert.include(config.agents[0], { id: "fixer", replicas: 1, workspace: "code" })
    assert.notProperty(config, "claude")
  })
})
