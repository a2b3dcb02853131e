/** A whole node on a disk that fills up: it says so, loses nothing, and goes on when there is room. Needs root. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { afterEach, assert, it } from "vitest"
import { configOf } from "../../scripts/crash/CrashRun.ts"
import { check } from "../../scripts/crash/check.ts"
import * as Node from "../../scripts/crash/Node.ts"
import { small } from "../state/Mounts.ts"
import { type Running, start, tempDir } from "../utils/Binary.ts"

const begun: Array<Running> = []
const run = (config: string, cwd: string) => {
  const node = start(["run", config, "--json"], { cwd })
  begun.push(node)
  return node
}
// Where a test has failed.
afterEach(async () => {
  for (const { child, exit } of begun.splice(0)) {
    child.kill("SIGKILL")
    await exit
  }
})

/** Fills a disk to its last byte. */
const fillUp = (path: string) => {
  try {
    while (true) appendFileSync(join(path, "rest"), Buffer.alloc(4096))
  } catch (error) {
    assert.include(String(error), "ENOSPC")
  }
}

/** A node that has a result in its hand and no room for it. */
const full = (disk: { readonly path: string }, dir: string) =>
  Effect.promise(async () => {
    const dataDir = join(disk.path, "data")
    const journal = join(dir, "journal")
    const acknowledged = join(dir, "acknowledged")
    const go = join(dir, "go")
    mkdirSync(journal)
    const config = join(dir, "config.json")
    writeFileSync(config, JSON.stringify(configOf({ agents: 1, tasks: [], journal, more: { dataDir } })))
    const node = run(config, dir)
    await node.waitFor("the agent", (line) => line.type === "agent.state" && line["to"] === "idle")
    const submit = async (id: string, prompt: string) => {
      let answer = await Node.ask(dataDir, "POST", "/tasks", { id, prompt })
      // The door opens while the agents start.
      while (answer === undefined) answer = await Node.ask(dataDir, "POST", "/tasks", { id, prompt })
      if (answer.status === 200) appendFileSync(acknowledged, `${id}\n`)
      return answer
    }
    await submit("held", `Do it. [task held] [until ${go}] [say 500000]`)
    await node.waitFor("the work", (line) => line.type === "task.state" && line["to"] === "running")
    let refused: Node.Answer | undefined
    for (let n = 0; refused === undefined; n++) {
      const answer = await submit(`t${n}`, `Do it. [task t${n}] ${"x".repeat(20_000)}`)
      if (answer.status !== 200) refused = answer
    }
    assert.deepInclude(refused, { status: 503 })
    assert.deepInclude(refused.body as object, { _tag: "LedgerUnusable", problem: "full" })
    fillUp(disk.path)
    writeFileSync(go, "")
    const told = await node.waitFor(
      "word to the operator",
      (line) => line.type === "operator.notified" && line["child"] === "ledger"
    )
    assert.match(String(told["message"]), /full/)
    assert.isNotEmpty(told["hint"])
    const accepted = readFileSync(acknowledged, "utf8").trim().split("\n")
    assert.isAbove(accepted.length, 5)
    const answer = await Node.ask(dataDir, "GET", "/tasks/held")
    assert.deepInclude(answer?.body as object, { state: "running" })
    return { dataDir, journal, acknowledged, config, node, accepted }
  })

type Full = Effect.Success<ReturnType<typeof full>>

/** Until all that was accepted has ended. */
const finish = async ({ accepted, acknowledged, dataDir, journal }: Full, node: Full["node"]) => {
  for (const id of accepted) {
    let answer: Node.Answer | undefined
    while (answer?.status !== 200) {
      assert.isNull(node.child.exitCode, node.stderr())
      answer = await Node.ask(dataDir, "GET", `/tasks/${id}/result`)
    }
    assert.deepInclude(answer.body as object, { task: id, status: "succeeded" })
  }
  node.child.kill("SIGTERM")
  assert.strictEqual(await node.exit, 143, node.stderr())
  const report = check({ dataDir, journal, acknowledged })
  assert.deepStrictEqual(report.problems, [])
  assert.strictEqual(report.tasks, accepted.length)
  return report
}

it(
  "a node whose disk is full tells the operator, refuses what is new, holds a result and writes it when there is room",
  (context) =>
    Effect.gen(function* () {
      using dir = tempDir()
      const disk = yield* small
      if ("skipped" in disk) return context.skip(disk.skipped)
      const it = yield* full(disk, dir.path)
      disk.free()
      const report = yield* Effect.promise(() => finish(it, it.node))
      // The work on it was not done once more.
      assert.strictEqual(report.doneAgain, 0)
    }).pipe(Effect.scoped, Effect.runPromise),
  120_000
)

it(
  "a node that is killed on a full disk says why it cannot start, and goes on with all it had when there is room",
  (context) =>
    Effect.gen(function* () {
      using dir = tempDir()
      const disk = yield* small
      if ("skipped" in disk) return context.skip(disk.skipped)
      const it = yield* full(disk, dir.path)
      yield* Effect.promise(async () => {
        it.node.child.kill("SIGKILL")
        await it.node.exit
        const vain = run(it.config, dir.path)
        assert.strictEqual(await vain.exit, 1)
        assert.match(vain.stderr(), /ENOSPC|full/)
        disk.free()
        await finish(it, run(it.config, dir.path))
      })
    }).pipe(Effect.scoped, Effect.runPromise),
  120_000
)
