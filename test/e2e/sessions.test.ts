/** Conversations outlive the runtime: the compiled binary is killed in mid-turn, run again, and asked for more. */
import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { agent, type Fleet, fake, faultOf, fleet, resultOf } from "../utils/Fleet.ts"

const bash = (command: string) => ({ tool: "Bash", input: { command, description: "d", timeout: 600_000 } })
const runner = agent({ permissions: { allow: ["Bash"] } })
const home = (dir: string, id = "worker") => join(dir, ".mister-smith", "agents", id)
const workspace = (dir: string) => join(home(dir), "workspace")
const log = (dir: string) =>
  readFileSync(join(workspace(dir), "log"), "utf8")
    .trim()
    .split("\n")

const untilFile = async (file: string) => {
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 20))
}
/**
 * The CLI writes its conversation a moment after what happens in it, and a tool may run meanwhile: what is not on the disk
 * when it is killed cannot be gone on with.
 */
const untilKept = async (dir: string, text: string) => {
  const files = () => globSync(join(dir, ".mister-smith/agents/*/claude/projects/*/*.jsonl"))
  while (!files().some((file) => readFileSync(file, "utf8").includes(text)))
    await new Promise((resolve) => setTimeout(resolve, 20))
}
/** What the model was told, in each request for an answer that is about this. */
const told = ({ standin }: Fleet, about: string) =>
  standin.requests().flatMap(({ path, said }) => (path.endsWith("/messages") && said.includes(about) ? [said] : []))
const kill = async ({ child, exit }: ReturnType<Fleet["run"]>) => {
  child.kill("SIGKILL")
  await exit
}
const INTERRUPTED = "You were interrupted while you worked on the task above"

/** One tool call is done, the next hangs for as long as there is no second flag. */
const halfway = [bash("echo first >> log"), bash("[ -f go ] || { touch flag; sleep 1021; }; echo second >> log")]

describe("a conversation", () => {
  it("is gone on with where the runtime was killed in the middle of it, with nothing done twice", async () => {
    await using it = await fleet()
    const config = { agents: [runner], tasks: [{ id: "t", prompt: fake(...halfway, { text: "done" }) }] }
    const first = it.run(config, "--once", "--json")
    await untilFile(join(workspace(it.dir), "flag"))
    await untilKept(it.dir, '"tool_result"')
    await kill(first)
    writeFileSync(join(workspace(it.dir), "go"), "")
    const before = it.standin.requests().length

    const second = await it.once(config)
    assert.strictEqual(second.code, 0, second.stderr)
    assert.include(resultOf(second.lines, "t"), { status: "succeeded", text: "done", attempts: 2 })
    const [resumed] = it.standin
      .requests()
      .slice(before)
      .filter(({ said }) => said.includes("@fake"))
    assert.include(resumed?.said, INTERRUPTED)
    assert.include(resumed?.said, '"tool_result"')
    // The first call is in the conversation, and is not made again.
    assert.deepStrictEqual(log(it.dir), ["first", "second"])
    assert.isTrue(second.lines.some(({ resumed, type }) => type === "session.ready" && resumed !== undefined))
  })

  it("that the CLI does not have any more begins anew, with the whole prompt, and succeeds", async () => {
    await using it = await fleet()
    const config = { agents: [runner], tasks: [{ id: "t", prompt: fake(...halfway, { text: "done" }) }] }
    const first = it.run(config, "--once", "--json")
    await untilFile(join(workspace(it.dir), "flag"))
    await kill(first)
    rmSync(join(home(it.dir), "claude", "projects"), { recursive: true })
    writeFileSync(join(workspace(it.dir), "go"), "")

    const second = await it.once(config)
    assert.include(resultOf(second.lines, "t"), { status: "succeeded", text: "done", attempts: 2 })
    assert.deepStrictEqual(log(it.dir), ["first", "first", "second"])
    assert.lengthOf(told(it, INTERRUPTED), 0)
  })

  it("goes back to the agent that has it, though others are idle", async () => {
    await using it = await fleet()
    const hang = "[ -f ../../../../go ] || { touch ../../../../flag; sleep 1022; }"
    const config = {
      agents: [agent({ replicas: 3, permissions: { allow: ["Bash"] } })],
      tasks: [{ id: "t", prompt: fake(bash(hang), { text: "done" }) }]
    }
    const first = it.run(config, "--once", "--json")
    await untilFile(join(it.dir, "flag"))
    await untilKept(it.dir, "@fake")
    const { agent: holder } = await first.waitFor(
      "its start",
      ({ to, type }) => type === "task.state" && to === "running"
    )
    await kill(first)
    writeFileSync(join(it.dir, "go"), "")
    const second = await it.once(config)
    assert.include(resultOf(second.lines, "t"), { status: "succeeded", agent: holder })
    assert.isAbove(told(it, INTERRUPTED).length, 0)
  })

  it("of an ended task is gone on with by a later one, in another run too, and so by a third", async () => {
    await using it = await fleet()
    const one = { id: "one", prompt: `${fake({ text: "the word is heron" })} remember it` }
    const other = { id: "other", prompt: fake({ text: "something else" }) }
    const two = { id: "two", prompt: `${fake({ text: "it was heron" })} which was it?`, session: "one" }
    const three = { id: "three", prompt: `${fake({ text: "yes" })} sure?`, session: { of: "two" } }
    const first = await it.once({ agents: [agent()], tasks: [one, other] })
    const session = resultOf(first.lines, "one")?.["session"]
    assert.isString(session)
    assert.notStrictEqual(resultOf(first.lines, "other")?.["session"], session)

    const second = await it.once({ agents: [agent()], tasks: [one, other, two, three] })
    assert.strictEqual(second.code, 0, second.stderr)
    assert.include(resultOf(second.lines, "two"), { status: "succeeded", text: "it was heron", session })
    assert.include(resultOf(second.lines, "three"), { status: "succeeded", text: "yes", session })
    for (const said of told(it, "which was it?")) assert.include(said, "the word is heron")
    const last = told(it, "sure?").at(-1) ?? ""
    assert.include(last, "the word is heron")
    assert.include(last, "it was heron")
    assert.notInclude(last, "something else")
  })

  it("of an agent that keeps one for all its tasks goes on in the next run", async () => {
    await using it = await fleet()
    const keeper = agent({ session: "keep" })
    const one = { id: "one", prompt: fake({ text: "the word is egret" }) }
    const two = { id: "two", prompt: `${fake({ text: "two" })} and now?` }
    const first = await it.once({ agents: [keeper], tasks: [one] })
    const second = await it.once({ agents: [keeper], tasks: [one, two] })
    assert.strictEqual(second.code, 0, second.stderr)
    assert.strictEqual(resultOf(second.lines, "two")?.["session"], resultOf(first.lines, "one")?.["session"])
    assert.include(told(it, "and now?").at(-1), "the word is egret")
  })

  it("takes two that go on with it one after the other, and keeps nobody else waiting", async () => {
    await using it = await fleet()
    // The first of the two ends when the one that has nothing to do with it has.
    const until = "for i in $(seq 300); do [ -f d ] && break; sleep 0.1; done; [ -f d ]"
    const loud = (name: string, command: string) =>
      fake(bash(`echo ${name} begins >> log; ${command} && echo ${name} ends >> log`), { text: name })
    const config = {
      agents: [agent({ permissions: { allow: ["Bash"] }, replicas: 2, workspace: "." })],
      tasks: [
        { id: "one", prompt: fake({ text: "said by one" }) },
        { id: "b", prompt: loud("b", until), session: "one" },
        { id: "c", prompt: loud("c", "true"), session: "one" },
        { id: "d", prompt: fake(bash("touch d"), { text: "d" }), after: ["one"] }
      ]
    }
    const { code, lines, stderr } = await it.once(config)
    assert.strictEqual(code, 0, stderr)
    const sessions = ["one", "b", "c"].map((id) => resultOf(lines, id)?.["session"])
    assert.lengthOf(new Set(sessions), 1)
    assert.notStrictEqual(resultOf(lines, "d")?.["session"], sessions[0])
    const order = readFileSync(join(it.dir, "log"), "utf8").trim().split("\n")
    assert.deepStrictEqual(order, ["b begins", "b ends", "c begins", "c ends"])
  })

  it("that is lost fails the task that was to go on with it, or lets it begin anew, as it says", async () => {
    await using it = await fleet()
    const one = { id: "one", prompt: fake({ text: "said by one" }) }
    await it.once({ agents: [agent()], tasks: [one] })
    rmSync(join(home(it.dir), "claude", "projects"), { recursive: true })
    const more = {
      agents: [agent()],
      tasks: [
        one,
        { id: "strict", prompt: fake({ text: "x" }), session: "one" },
        { id: "easy", prompt: fake({ text: "anew" }), session: { of: "one", onMissing: "anew" } }
      ]
    }
    const { code, lines } = await it.once(more)
    assert.strictEqual(code, 1)
    assert.strictEqual(faultOf(lines, "strict"), "SessionMissing")
    assert.include(resultOf(lines, "easy"), { status: "succeeded", text: "anew" })
    const gone = await it.once({ agents: [agent({ id: "somebody" })], tasks: more.tasks })
    assert.strictEqual(faultOf(gone.lines, "strict"), "SessionMissing")
  })
})

/** As often as it is killed it is started. */
const LONG = 240_000

/** Kill points of one run. */
const KILLS = Number(process.env["KILLS"] ?? 12)

/** A small generator with a seed, so that a failure can be had again. */
const random = (seed: number) => () => {
  seed = (seed * 1_664_525 + 1_013_904_223) % 2 ** 32
  return seed / 2 ** 32
}

it(
  "a task in a conversation ends succeeded, once, wherever in it the runtime is killed",
  async () => {
    const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000)
    console.log(`kill points: SEED=${seed}`)
    const next = random(seed)
    await using it = await fleet()
    const step = (id: string, n: number) => bash(`sleep 0.${n}; echo ${id} ${n} >> log`)
    const ids: Array<string> = []
    /** Each run is asked for one task more, which goes on with the conversation of the last. */
    const config = () => ({
      agents: [runner],
      tasks: ids.map((id, n) => ({
        id,
        prompt: fake(step(id, 1), step(id, 2), step(id, 3), { text: `${id} is done` }),
        ...(n === 0 ? {} : { session: `t${n - 1}` })
      }))
    })
    const ends: Array<unknown> = []
    const note = (lines: ReadonlyArray<Record<string, unknown>>) =>
      ends.push(...lines.filter(({ to, type }) => type === "task.state" && to === "succeeded").map(({ task }) => task))
    for (let round = 0; round < KILLS; round++) {
      ids.push(`t${round}`)
      const running = it.run(config(), "--json")
      // The point is random on purpose: no moment may be a wrong one.
      await new Promise((resolve) => setTimeout(resolve, 300 + next() * 2_000))
      await kill(running)
      assert.notInclude(running.stderr(), "internal error", `SEED=${seed}`)
      note(running.lines)
    }
    const last = await it.once(config())
    note(last.lines)
    assert.strictEqual(last.code, 0, `SEED=${seed} ${last.stderr}`)
    for (const id of ids)
      assert.include(resultOf(last.lines, id), { status: "succeeded", text: `${id} is done` }, `SEED=${seed}`)
    assert.lengthOf(ends, new Set(ends).size, `SEED=${seed}`)
    assert.sameMembers(
      [...new Set(log(it.dir))],
      ids.flatMap((id) => [1, 2, 3].map((n) => `${id} ${n}`))
    )
  },
  LONG
)
