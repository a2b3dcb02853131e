/** The file under processes that die without a word, and under two at once. */
import { type ChildProcess, spawn } from "node:child_process"
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { assert, it } from "vitest"
import { FILE } from "../../src/task/SqliteLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { root, tempDir } from "../utils/Binary.ts"
import { task } from "../utils/Specs.ts"
import { sqliteIn } from "./Homes.ts"

interface Worker {
  readonly child: ChildProcess
  /** What it has been told so far, as words. */
  readonly said: Array<ReadonlyArray<string>>
  /** Completes when so many lines have come, or all. */
  lines(count: number): Promise<void>
  readonly exit: Promise<void>
  readonly stderr: () => string
}

const work = (dir: string, mode: string, name: string): Worker => {
  const child = spawn(process.execPath, [join(root, "test/task/worker.ts"), join(dir, FILE), mode, name], {
    stdio: ["ignore", "pipe", "pipe"]
  })
  const said: Array<ReadonlyArray<string>> = []
  let partial = ""
  let stderr = ""
  let wake = () => {}
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (partial + text).split("\n")
    partial = lines.pop() ?? ""
    said.push(...lines.map((line) => line.split(" ")))
    wake()
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text
  })
  let over = false
  const exit = new Promise<void>((resolve) => {
    child.once("close", () => {
      over = true
      resolve()
      wake()
    })
  })
  return {
    child,
    said,
    exit,
    stderr: () => stderr,
    lines: (count) =>
      new Promise((resolve) => {
        wake = () => {
          if (over || said.length >= count) resolve()
        }
        wake()
      })
  }
}

const named = (worker: Worker, word: string) => worker.said.flatMap(([first, id = ""]) => (first === word ? [id] : []))

it("killed at any moment, a process loses nothing that was answered, and the next goes on", async () => {
  using dir = tempDir()
  const answered = {
    submitted: new Set<string>(),
    claimed: new Set<string>(),
    parked: new Set<string>(),
    completed: new Set<string>()
  }
  const random = () => Math.floor(Math.random() * 300)
  for (let round = 0; round < 8; round++) {
    const worker = work(dir.path, "submit", `r${round}`)
    await worker.lines(1 + random())
    worker.child.kill("SIGKILL")
    await worker.exit
    assert.strictEqual(worker.stderr(), "")
    for (const word of ["submitted", "claimed", "parked", "completed"] as const)
      for (const id of named(worker, word)) answered[word].add(id)

    await Effect.gen(function* () {
      const ledger = yield* TaskLedger
      const known = new Map((yield* ledger.list({ limit: 1e6 })).map((record) => [record.id, record]))
      for (const id of answered.submitted) assert.include(known.get(id)?.spec.prompt, `do ${id} `)
      for (const id of answered.completed) {
        assert.deepInclude(known.get(id), { state: "succeeded", attempt: 1 })
        assert.strictEqual(known.get(id)?.result?.text, `answer to ${id}`)
      }
      for (const id of answered.claimed) assert.isAtLeast(known.get(id)?.attempt ?? 0, 1)
      for (const id of answered.parked) assert.deepInclude(known.get(id), { state: "parked", dueAt: 4e12 })
      // At most the one that was under way was accepted without an answer.
      assert.isAtMost(known.size - answered.submitted.size, round + 1)
      const running = [...known.values()].filter(({ state }) => state === "running").map(({ id }) => id)
      const recovered = yield* ledger.recover
      assert.sameMembers(
        recovered.map(({ id }) => id),
        running
      )
      for (const record of recovered) {
        assert.strictEqual(record.attempt, known.get(record.id)?.attempt)
        assert.strictEqual((yield* ledger.history(record.id)).at(-1)?.fault?.kind, "AttemptAbandoned")
      }
    }).pipe(Effect.provide(Layer.fresh(sqliteIn(dir.path))), Effect.runPromise)
  }
  assert.isAbove(answered.completed.size, 0)
})

it("two processes on one file do every task once: who is late is refused", async () => {
  using dir = tempDir()
  const ids = Array.from({ length: 400 }, (_, n) => `t${n}`)
  await Effect.flatMap(TaskLedger, (ledger) => ledger.submitAll(ids.map((id) => task({ id })))).pipe(
    Effect.provide(Layer.fresh(sqliteIn(dir.path))),
    Effect.runPromise
  )
  const workers = ["one", "two"].map((name) => work(dir.path, "claim", name))
  await Promise.all(workers.map(({ lines }) => lines(1)))
  writeFileSync(join(dir.path, `${FILE}.go`), "")
  await Promise.all(workers.map(({ exit }) => exit))
  for (const { stderr } of workers) assert.strictEqual(stderr(), "")
  const completed = workers.flatMap((worker) => named(worker, "completed"))
  assert.lengthOf(completed, ids.length)
  assert.sameMembers(completed, ids)
  await Effect.gen(function* () {
    const ledger = yield* TaskLedger
    for (const [index, name] of ["one", "two"].entries()) {
      const worker = workers[index]
      if (worker === undefined) continue
      for (const id of named(worker, "completed")) {
        assert.deepInclude(yield* ledger.result(id), { agent: name })
        assert.lengthOf(yield* ledger.history(id), 1)
      }
    }
  }).pipe(Effect.provide(Layer.fresh(sqliteIn(dir.path))), Effect.runPromise)
})

/** Until the kernel says that it stands still. */
const stopped = async (pid: number) => {
  process.kill(pid, "SIGSTOP")
  while (!/^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) await new Promise((go) => setTimeout(go, 1))
}

it("copied at any moment of its life, with its log, the file opens with all that had been answered", async () => {
  using dir = tempDir()
  const worker = work(dir.path, "submit", "w")
  const pid = worker.child.pid ?? 0
  const copies: Array<{ readonly dir: string; readonly answers: ReadonlyArray<ReadonlyArray<string>> }> = []
  for (let n = 0; n < 12; n++) {
    await worker.lines(worker.said.length + 1 + Math.floor(Math.random() * 400))
    await stopped(pid)
    const copy = join(dir.path, `copy-${n}`)
    mkdirSync(copy)
    for (const name of [FILE, `${FILE}-wal`]) copyFileSync(join(dir.path, name), join(copy, name))
    copies.push({ dir: copy, answers: [...worker.said] })
    process.kill(pid, "SIGCONT")
  }
  worker.child.kill("SIGKILL")
  await worker.exit
  assert.strictEqual(worker.stderr(), "")
  for (const copy of copies) {
    await Effect.gen(function* () {
      const ledger = yield* TaskLedger
      const known = new Map((yield* ledger.list({ limit: 1e6 })).map((record) => [record.id, record]))
      const reached = { submitted: 0, claimed: 1, parked: 2, completed: 2 }
      const order = { queued: 0, running: 1, parked: 2, succeeded: 2 } as Record<string, number>
      for (const [word = "", id = ""] of copy.answers) {
        const state = known.get(id)?.state
        assert.isAtLeast(order[state ?? ""] ?? -1, reached[word as keyof typeof reached], `${word} ${id}: ${state}`)
      }
      for (const { attempt, id, result, state } of known.values()) {
        assert.strictEqual(result !== undefined, state === "succeeded")
        const story = yield* ledger.history(id)
        assert.lengthOf(story, attempt)
        assert.strictEqual(story.at(-1)?.ended, state === "running" || attempt === 0 ? undefined : state)
      }
    }).pipe(Effect.provide(Layer.fresh(sqliteIn(copy.dir))), Effect.runPromise)
  }
}, 120_000)
