import { chmodSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Redacted } from "effect"
import { assert, describe, it } from "vitest"
import { argv, type CommandSpec, environment, resolveCommand, settings } from "../../src/claude/ClaudeCommand.ts"
import { tempDir } from "../utils/Binary.ts"

const spec: CommandSpec = {
  model: undefined,
  permissionMode: "default",
  settingsFile: "/data/settings.json",
  turns: undefined,
  resume: undefined
}

const program = (path: string) => {
  mkdirSync(join(path, ".."), { recursive: true })
  writeFileSync(path, "#!/bin/sh\n")
  chmodSync(path, 0o755)
  return path
}

describe("the command line of a CLI", () => {
  it("asks for the stream protocol both ways, and gives every value with its flag", () => {
    const args = argv({ ...spec, model: "--opus", turns: 3, resume: "abc" })
    assert.includeMembers([...args], ["-p", "--input-format=stream-json", "--output-format=stream-json", "--verbose"])
    assert.includeMembers([...args], ["--model=--opus", "--max-turns=3", "--resume=abc"])
    assert.isTrue(args.slice(1).every((arg) => arg.startsWith("--")))
  })

  it("keeps rules with spaces, commas and parentheses whole, in the settings file", () => {
    const rules = { allow: ["Bash(git commit -m 'a, b')"], deny: ["Read(./.env)"] }
    assert.deepStrictEqual(JSON.parse(settings(rules)), { permissions: rules })
  })
})

describe("the environment of a CLI", () => {
  it("holds what is on the list, what the config gives, and a config directory of the agent's own", () => {
    const host = {
      PATH: "/bin",
      LC_ALL: "C",
      AWS_SECRET_ACCESS_KEY: "x",
      ANTHROPIC_API_KEY: "key",
      CLAUDECODE: "1",
      HTTPS_PROXY: "p"
    }
    const env = environment(host, "/data/a/claude", { EXTRA: Redacted.make("secret"), CLAUDE_CODE_MAX_RETRIES: "5" })
    assert.sameMembers(Object.keys(env), [
      "PATH",
      "LC_ALL",
      "HTTPS_PROXY",
      "ANTHROPIC_API_KEY",
      "EXTRA",
      "DISABLE_AUTOUPDATER",
      "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
      "CLAUDE_CODE_MAX_RETRIES",
      "CLAUDE_CONFIG_DIR"
    ])
    assert.include(env, { CLAUDE_CONFIG_DIR: "/data/a/claude", CLAUDE_CODE_MAX_RETRIES: "5" })
  })

  it("is printed without its secrets", () => {
    const env = environment({ ANTHROPIC_API_KEY: "sk-ant-1" }, "/c", { A: Redacted.make("hunter2") })
    assert.notMatch(JSON.stringify(env), /sk-ant-1|hunter2/)
  })
})

describe("the CLI's executable", () => {
  it("is the one on PATH before the npm package's, which is found at or above the config", () => {
    using dir = tempDir()
    const base = join(dir.path, "project", "deep")
    mkdirSync(base, { recursive: true })
    const packaged = program(join(dir.path, "project", "node_modules", ".bin", "claude"))
    assert.strictEqual(resolveCommand(undefined, base, { PATH: join(dir.path, "bin") }), packaged)
    const onPath = program(join(dir.path, "bin", "claude"))
    assert.strictEqual(resolveCommand(undefined, base, { PATH: `/nowhere:${join(dir.path, "bin")}` }), onPath)
  })

  it("is the one that is set, or none: no other is taken in its place", () => {
    using dir = tempDir()
    program(join(dir.path, "bin", "claude"))
    const mine = program(join(dir.path, "mine"))
    writeFileSync(join(dir.path, "data.txt"), "")
    const host = { PATH: join(dir.path, "bin") }
    assert.strictEqual(resolveCommand("./mine", dir.path, host), mine)
    assert.isUndefined(resolveCommand("./data.txt", dir.path, host))
    assert.isUndefined(resolveCommand("./bin", dir.path, host))
    assert.isUndefined(resolveCommand("claude-2", dir.path, host))
  })
})
