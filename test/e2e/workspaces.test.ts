/** Workspaces as a user meets them: the compiled binary, the real CLI, real git. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { git, hasGit, repository, revOf } from "../agent/Places.ts"
import { finish, type Line } from "../utils/Binary.ts"
import { agent, fake, faultOf, fleet, resultOf } from "../utils/Fleet.ts"

const bash = (command: string) => ({ tool: "Bash", input: { command, description: "d", timeout: 600_000 } })
const write = (file: string, content: string) => ({ tool: "Write", input: { file_path: file, content } })
const COMMIT = "git add --all && git -c user.name=A -c user.email=a@localhost commit -q -m work"

const coder = (more: Record<string, unknown> = {}, workspace: Record<string, unknown> = {}) =>
  agent({
    permissions: { mode: "acceptEdits", allow: ["Bash", "Write"] },
    workspace: { kind: "worktree", repository: "repo", ...workspace },
    ...more
  })
const place = (dir: string, task: string) => join(dir, ".mister-smith", "workspaces", task)
const untilFile = async (file: string) => {
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 20))
}
const workspaceOf = (lines: ReadonlyArray<Line>, task: string) =>
  resultOf(lines, task)?.["workspace"] as { path: string; branch?: string; head?: string } | undefined

describe.skipIf(!hasGit)("a task in a worktree", () => {
  it("leaves its commits on a branch of its own, which is kept until it is merged and then removed", async () => {
    await using it = await fleet()
    const repo = repository(join(it.dir, "repo"))
    const config = {
      agents: [coder()],
      tasks: [
        {
          id: "t",
          prompt: fake(write(join(place(it.dir, "t"), "made.txt"), "by the tool"), bash(COMMIT), { text: "done" }),
          evidence: [{ git: "clean" }, { git: "ahead", of: "main" }, { file: "made.txt" }]
        }
      ]
    }
    const first = await it.once(config)
    assert.strictEqual(first.code, 0, first.stderr)
    assert.include(resultOf(first.lines, "t"), { status: "succeeded", text: "done" })
    const head = git(repo, "rev-parse", "mister-smith/t")
    assert.deepStrictEqual(workspaceOf(first.lines, "t"), { path: place(it.dir, "t"), branch: "mister-smith/t", head })
    assert.strictEqual(git(repo, "show", "mister-smith/t:made.txt"), "by the tool")
    // Not merged: kept, and the repository's own tree is untouched.
    assert.isTrue(existsSync(join(place(it.dir, "t"), "made.txt")))
    assert.isFalse(existsSync(join(repo, "made.txt")))
    git(repo, "merge", "--quiet", "mister-smith/t")
    const second = it.run(config, "--json")
    await second.waitFor("the removal", ({ task, type }) => type === "workspace.removed" && task === "t")
    assert.isFalse(existsSync(place(it.dir, "t")))
    assert.isUndefined(revOf(repo, "refs/heads/mister-smith/t"))
    assert.isTrue(existsSync(join(repo, "made.txt")))
  })

  it("is one for each occurrence of a series, which come with the files of the first", async () => {
    await using it = await fleet()
    const repo = repository(join(it.dir, "repo"))
    const notes = join(it.dir, "notes.txt")
    writeFileSync(notes, "keep it")
    const prompt = fake(bash(`cat .inputs/*/notes.txt > copied && ${COMMIT}`), { text: "done" })
    const running = it.run(
      {
        agents: [coder()],
        tasks: [
          {
            id: "t",
            prompt,
            schedule: "* * * * * *",
            files: [notes],
            evidence: [{ file: "copied", matches: "keep it" }]
          }
        ]
      },
      "--json"
    )
    const ended = (line: Line) =>
      line.type === "task.state" && (line["to"] === "succeeded" || line["to"] === "failed") && line["task"] !== "t"
    await running.waitFor("the task", ({ type }) => type === "task.state")
    rmSync(notes)
    const second = await running.waitFor("the second occurrence", ended)
    assert.strictEqual(second["to"], "succeeded", running.stdout())
    assert.strictEqual(git(repo, "show", `mister-smith/${second["task"]}:copied`), "keep it")
  })

  it("that has changed nothing leaves nothing", async () => {
    await using it = await fleet()
    const repo = repository(join(it.dir, "repo"))
    const running = it.run(
      { agents: [coder()], tasks: [{ id: "t", prompt: fake(bash("ls"), { text: "seen" }) }] },
      "--json"
    )
    await running.waitFor("the removal", ({ type }) => type === "workspace.removed")
    assert.deepStrictEqual(readdirSync(join(it.dir, ".mister-smith", "workspaces")), [".records"])
    assert.lengthOf(git(repo, "worktree", "list").split("\n"), 1)
  })

  it("does not see the files of another that is under way at the same time", async () => {
    await using it = await fleet()
    repository(join(it.dir, "repo"))
    const meet = (mine: string, other: string) =>
      bash(
        `echo ${mine} > draft && touch ${it.dir}/${mine}; until [ -e ${it.dir}/${other} ]; do sleep 0.05; done; cat draft; ls | sort > ${it.dir}/seen-${mine}`
      )
    const { code, lines, stderr } = await it.once({
      agents: [coder({ replicas: 2 })],
      tasks: [
        { id: "a", prompt: fake(meet("a", "b"), { text: "a" }) },
        { id: "b", prompt: fake(meet("b", "a"), { text: "b" }) }
      ]
    })
    assert.strictEqual(code, 0, stderr)
    assert.notStrictEqual(workspaceOf(lines, "a")?.path, workspaceOf(lines, "b")?.path)
    for (const task of ["a", "b"]) {
      assert.strictEqual(readFileSync(join(place(it.dir, task), "draft"), "utf8"), `${task}\n`)
      assert.strictEqual(readFileSync(join(it.dir, `seen-${task}`), "utf8"), "README\ndraft\nsrc\n")
    }
  })

  it("finds its work again where the runtime is killed in the middle of it", async () => {
    await using it = await fleet()
    repository(join(it.dir, "repo"))
    const prompt = fake(bash("[ -f flag ] || { echo half > draft; touch flag; sleep 1021; }; pwd >> ../../../where"), {
      text: "done"
    })
    const config = { agents: [coder()], tasks: [{ id: "t", prompt }] }
    const first = it.run(config, "--json")
    await untilFile(join(place(it.dir, "t"), "flag"))
    first.child.kill("SIGKILL")
    await first.exit
    const second = await it.once(config)
    assert.strictEqual(second.code, 0, second.stderr)
    assert.include(resultOf(second.lines, "t"), { status: "succeeded", text: "done", attempts: 2 })
    assert.strictEqual(workspaceOf(second.lines, "t")?.path, place(it.dir, "t"))
    assert.strictEqual(readFileSync(join(place(it.dir, "t"), "draft"), "utf8"), "half\n")
  })

  it("goes on with its conversation in the same place where an attempt has failed", async () => {
    await using it = await fleet()
    repository(join(it.dir, "repo"))
    const prompt = fake(bash("echo first >> draft"), { status: 529, times: 5 }, { text: "done" })
    const { code, lines, stderr } = await it.once({ agents: [coder()], tasks: [{ id: "t", prompt }] })
    assert.strictEqual(code, 0, stderr)
    assert.include(resultOf(lines, "t"), { status: "succeeded", text: "done" })
    assert.isAbove(Number(resultOf(lines, "t")?.["attempts"]), 1)
    assert.isDefined(lines.find(({ resumed, type }) => type === "session.ready" && typeof resumed === "string"))
    assert.strictEqual(readFileSync(join(place(it.dir, "t"), "draft"), "utf8"), "first\n")
  })

  it("fails at once where the repository has no such base, and the node goes on", async () => {
    await using it = await fleet()
    repository(join(it.dir, "repo"))
    const { code, lines } = await it.once({
      agents: [coder({}, { base: "mian" }), agent({ id: "other", taskTypes: ["other"] })],
      tasks: [
        { id: "t", agent: "worker", prompt: fake({ text: "never" }) },
        { id: "u", type: "other", agent: "other", prompt: fake({ text: "well" }) }
      ]
    })
    assert.strictEqual(code, 1)
    assert.strictEqual(faultOf(lines, "t"), "BaseUnknown")
    assert.include(resultOf(lines, "t"), { attempts: 1 })
    assert.include(resultOf(lines, "u"), { status: "succeeded" })
  })

  it("has its settings checked", async () => {
    await using it = await fleet()
    const file = it.config({
      agents: [
        { id: "a", workspace: { kind: "worktree", repository: "nope" } },
        { id: "b", workspace: { kind: "worktree", repository: ".", branch: "fixed" } },
        { id: "c", session: "keep", workspace: { kind: "fresh" } },
        { id: "d", workspace: { kind: "fersh" } }
      ]
    })
    const { code, stderr, stdout } = await finish(["check", file], { cwd: it.dir })
    assert.strictEqual(code, 2)
    const said = stdout + stderr
    assert.match(said, /agents\[0\]\.workspace\.repository.*expected a directory that exists, found "nope"/)
    assert.match(said, /agents\[1\]\.workspace\.branch.*\{task\}/)
    assert.match(said, /agents\[2\]\.session.*each task has a workspace of its own/)
    assert.match(said, /agents\[3\]\.workspace\.kind.*did you mean "fresh"/)
  })
})

describe("a task in a fresh directory", () => {
  it("begins in an empty one, which is kept with what it has left there", async () => {
    await using it = await fleet()
    const config = {
      agents: [coder({ workspace: { kind: "fresh" } })],
      tasks: [
        { id: "one", prompt: fake(bash("n=$(ls -A | wc -l); echo $n > count"), { text: "1" }) },
        { id: "two", prompt: fake(bash("n=$(ls -A | wc -l); echo $n > count"), { text: "2" }) }
      ]
    }
    const { code, lines, stderr } = await it.once(config)
    assert.strictEqual(code, 0, stderr)
    for (const task of ["one", "two"]) {
      assert.strictEqual(readFileSync(join(place(it.dir, task), "count"), "utf8").trim(), "0")
      assert.deepStrictEqual(workspaceOf(lines, task), { path: place(it.dir, task) })
    }
  })
})

describe.skipIf(!hasGit)("mister-smith doctor", () => {
  const said = (lines: ReadonlyArray<Line>) =>
    lines
      .filter((line) => line["name"] === "workspaces")
      .map((line) => `${line["verdict"]} ${line["says"]} ${line["hint"]}`)

  it("lists what is stray, and what to type", async () => {
    await using it = await fleet()
    const repo = repository(join(it.dir, "repo"))
    const config = { agents: [coder()], tasks: [{ id: "t", prompt: fake(bash("echo x > new"), { text: "done" }) }] }
    assert.strictEqual((await it.once(config)).code, 0)
    const examine = async () =>
      (await finish(["doctor", it.config(config), "--json"], { cwd: it.dir, env: { ANTHROPIC_API_KEY: "k" } })).lines
    assert.deepStrictEqual(said(await examine()), ["ok 1 in use or kept, nothing is stray undefined"])
    const root = join(it.dir, ".mister-smith", "workspaces")
    git(repo, "worktree", "add", "--quiet", "-b", "stray", join(root, "stray"))
    git(repo, "update-ref", "refs/mister-smith/archive/old", "HEAD")
    mkdirSync(join(root, "plain"))
    rmSync(join(root, "t"), { recursive: true })
    const found = said(await examine()).join("\n")
    assert.match(found, /warning .*workspaces\/t is not there/)
    assert.match(found, /knows a worktree .*workspaces\/t that is not there .*worktree prune/)
    assert.match(found, /the worktree .*workspaces\/stray of .* has no record .*worktree remove .*stray/)
    assert.match(found, /warning .*workspaces\/plain has no record/)
    assert.match(found, /ok .*an archive: refs\/mister-smith\/archive\/old .*update-ref -d/)
  })
})
