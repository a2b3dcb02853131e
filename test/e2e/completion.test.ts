/** What a shell offers where an agent or a task is to be named. Bash is run as it is; of the other shells, the script is read. */
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "vitest"
import { binary, finish, root } from "../utils/Binary.ts"
import { agent, fleet } from "../utils/Fleet.ts"

const script = join(root, "test", "fixtures", "complete.bash")
const hasBash = spawnSync("bash", ["--version"]).status === 0

/** What bash would offer where the cursor stands at the end of this line. */
const offered = (cwd: string, line: string): ReadonlyArray<string> => {
  const PATH = `${dirname(binary)}:${process.env["PATH"] ?? "/usr/bin:/bin"}`
  const text = execFileSync("bash", ["--norc", script, ...line.split(" ")], {
    cwd,
    encoding: "utf8",
    env: { PATH, HOME: cwd, PROGRAM: binary },
    stdio: ["ignore", "pipe", "inherit"]
  })
  return text
    .split("\n")
    .filter((word) => word !== "")
    .sort()
}

describe("completion", () => {
  it.runIf(hasBash)("offers in bash the names that the running node has, and what there was without them", async () => {
    await using it = await fleet()
    const running = it.run({ agents: [agent({ id: "web", replicas: 2 }), agent({ id: "db" })] }, "--json")
    const socket = join(it.dir, ".mister-smith", "admin.sock")
    await running.waitFor("an agent that is up", ({ to, type }) => type === "agent.state" && to === "idle")
    while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 20))
    const tell = (...args: ReadonlyArray<string>) => finish(args, { cwd: it.dir })
    for (const id of ["fix-login", "fix-logout", "other"])
      assert.strictEqual((await tell("submit", "p", "--id", id, "--not-before", "1 hour")).code, 0)
    assert.strictEqual((await tell("task", "cancel", "other")).code, 0)

    assert.deepStrictEqual(offered(it.dir, "mister-smith task "), [
      "cancel",
      "drop",
      "fix-login",
      "fix-logout",
      "other",
      "replay",
      "retry"
    ])
    assert.deepStrictEqual(offered(it.dir, "mister-smith task fix"), ["fix-login", "fix-logout"])
    assert.deepStrictEqual(offered(it.dir, "mister-smith task cancel "), ["fix-login", "fix-logout"])
    assert.deepStrictEqual(offered(it.dir, "mister-smith task retry "), ["other"])
    assert.deepStrictEqual(offered(it.dir, "mister-smith task replay "), [])
    assert.deepStrictEqual(offered(it.dir, "mister-smith explain fix-logi"), ["fix-login"])
    assert.deepStrictEqual(offered(it.dir, "mister-smith submit p --after fix-logi"), ["fix-login"])
    assert.deepStrictEqual(offered(it.dir, "mister-smith pause "), ["all", "db", "web", "web-1", "web-2"])
    assert.deepStrictEqual(offered(it.dir, "mister-smith explain w"), ["web-1", "web-2"])
    assert.deepStrictEqual(offered(it.dir, "mister-smith ta"), ["task", "tasks"])
    assert.deepStrictEqual(offered(it.dir, "mister-smith pause --js"), ["--json"])
    const elsewhere = dirname(it.dir)
    assert.deepStrictEqual(offered(elsewhere, "mister-smith explain w"), [])
    assert.deepStrictEqual(offered(elsewhere, `mister-smith explain --data-dir ${join(it.dir, ".mister-smith")} d`), [
      "db"
    ])
  })

  it("is silent and content where no node runs, whatever the words are", async () => {
    await using it = await fleet()
    for (const words of [
      [],
      [""],
      ["task", ""],
      ["stop", "--config", "nothing.json", ""],
      ["--help"],
      ["task", "--data-dir"]
    ])
      assert.deepInclude(await finish(["__complete", ...words], { cwd: it.dir }), { code: 0, stdout: "", stderr: "" })
  })

  it("asks for names in the scripts of bash, zsh and fish, and is no command that help speaks of", async () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      const { stdout } = await finish(["--completions", shell])
      assert.include(stdout, "__complete", shell)
      assert.include(stdout, "_mister_smith_named", shell)
    }
    const { stdout: zsh } = await finish(["--completions", "zsh"])
    assert.include(zsh, "compdef _mister_smith_named mister-smith")
    assert.match(zsh, /loadautofunc" ]]; then\n {2}_mister_smith_named "\$@"/)
    assert.notInclude((await finish(["--help"])).stdout, "__complete")
  })
})
