/** What a task declares as its proof: each kind by itself, and what follows from it, on a fake CLI. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema, Stream } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { HostEnvironment } from "../../src/claude/ClaudeCommand.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { MisterSmith, makeConfig, type Published } from "../../src/index.ts"
import { ProcessTree } from "../../src/process/ProcessTree.ts"
import * as Evidence from "../../src/task/Evidence.ts"
import { EvidenceSpec, type Proof } from "../../src/task/EvidenceSpec.ts"
import type { TaskInput } from "../../src/task/TaskSpec.ts"
import { tempDir } from "../utils/Binary.ts"

const PATH = process.env["PATH"] ?? "/usr/bin:/bin"
const trees = ProcessTree.layerBare.pipe(Layer.provide(SecureRandom.layerWebCrypto))

const look = (workspace: string, proof: Proof, change: Partial<Evidence.Place> = {}) =>
  Effect.map(
    Evidence.verify([proof], { workspace, env: { PATH, HOME: workspace }, denied: [], ...change }),
    ([missing]) => missing
  ).pipe(Effect.provide(trees))

describe("a proof", () => {
  it.live("by command holds when it exits with 0, and shows the end of its output when not", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const sh = (script: string, more: Partial<Proof> = {}) =>
        look(dir.path, { command: ["sh", "-c", script], ...more })
      assert.isUndefined(yield* sh("true"))
      const missing = yield* sh("seq 1 100000; echo bad >&2; exit 7")
      assert.strictEqual(missing?.found, "it exited with 7")
      assert.isBelow(missing?.output?.length ?? 0, 5000)
      assert.match(missing?.output ?? "", /^…/)
      assert.include(missing?.output, "100000")
      assert.include(missing?.output, "bad")
      assert.strictEqual((yield* sh("kill -9 $$"))?.found, "it was ended by SIGKILL")
      assert.include((yield* look(dir.path, { command: ["no-such-program"] }))?.found, "no-such-program")
    })
  )

  it.live("by command that takes too long does not hold, and nothing of it is left", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const script = "echo $$ > pid; trap '' INT TERM; while :; do sleep 0.1; done"
      const missing = yield* look(dir.path, { command: ["sh", "-c", script], timeLimit: "500 millis" })
      assert.include(missing?.found, "it took longer than 500ms")
      const pid = Number(readFileSync(join(dir.path, "pid"), "utf8"))
      assert.throws(() => process.kill(pid, 0))
    })
  )

  it.live("by command is not given what is secret", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const env = {
        PATH,
        PLAIN: "plain",
        SECRET: Redacted.make("s3cret"),
        ANTHROPIC_API_KEY: "s3cret",
        CLAUDE_CONFIG_DIR: "/s3cret"
      }
      const command = ["sh", "-c", "env > env"]
      assert.isUndefined(yield* look(dir.path, { command }, { env }))
      const seen = readFileSync(join(dir.path, "env"), "utf8")
      assert.include(seen, "PLAIN=plain")
      assert.notInclude(seen, "s3cret")
    })
  )

  it.live("by file holds when it is in the workspace and matches", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const workspace = join(dir.path, "workspace")
      mkdirSync(workspace)
      writeFileSync(join(dir.path, "outside"), "yes")
      writeFileSync(join(workspace, "out.txt"), "first\nsecond\n")
      symlinkSync("../outside", join(workspace, "link"))
      symlinkSync("out.txt", join(workspace, "inner"))
      execFileSync("mkfifo", [join(workspace, "pipe")])
      const found = (file: string, matches?: string) =>
        Effect.map(look(workspace, matches === undefined ? { file } : { file, matches }), (missing) => missing?.found)
      assert.isUndefined(yield* found("out.txt"))
      assert.isUndefined(yield* found("inner", "^second$"))
      assert.strictEqual(yield* found("out.txt", "third"), "its text does not match")
      assert.strictEqual(yield* found("none.txt"), "there is no such file")
      assert.strictEqual(yield* found("link"), "it is a link that leads out of the workspace")
      assert.strictEqual(yield* found("../outside"), "it is a link that leads out of the workspace")
      assert.strictEqual(yield* found("."), "it is not a file")
      assert.strictEqual(yield* found("pipe", "x"), "it is not a file")
    })
  )

  it.live("by git holds when nothing is uncommitted, or when there are commits", (context) =>
    Effect.gen(function* () {
      using dir = tempDir()
      const git = (...args: ReadonlyArray<string>) =>
        execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", ...args], {
          cwd: dir.path,
          env: { PATH, HOME: dir.path },
          stdio: "pipe"
        })
      try {
        git("--version")
      } catch {
        console.log("skipped: there is no git here")
        return context.skip()
      }
      const clean = look(dir.path, { git: "clean" })
      const ahead = look(dir.path, { git: "ahead", of: "main" })
      assert.strictEqual((yield* clean)?.found, "it exited with 128")
      git("init", "-q", "-b", "main")
      git("commit", "-q", "--allow-empty", "-m", "first")
      git("checkout", "-q", "-b", "work")
      assert.isUndefined(yield* clean)
      assert.strictEqual((yield* ahead)?.found, "HEAD has no commit that main has not")
      writeFileSync(join(dir.path, "new"), "x")
      assert.deepInclude(yield* clean, { found: "there are changes not committed", output: "?? new" })
      git("add", "new")
      git("commit", "-q", "-m", "second")
      assert.isUndefined(yield* clean)
      assert.isUndefined(yield* ahead)
      assert.strictEqual((yield* look(dir.path, { git: "ahead", of: "nowhere" }))?.found, "it exited with 128")
    })
  )

  it.live("that nothing was denied names what was", () =>
    Effect.gen(function* () {
      assert.isUndefined(yield* look("/", { denied: "none" }))
      const missing = yield* look("/", { denied: "none" }, { denied: ["Bash", "Write"] })
      assert.strictEqual(missing?.found, "denied were Bash, Write")
    })
  )
})

describe("what is declared", () => {
  const problem = (evidence: unknown) =>
    Effect.map(
      Effect.flip(Schema.decodeUnknownEffect(EvidenceSpec, { onExcessProperty: "error" })(evidence)),
      ({ message }) => message
    )

  it.effect("is refused with its reason and its place", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<readonly [unknown, string, string]> = [
        [{}, "exactly one of", "[1]"],
        [{ file: "a", git: "clean" }, "exactly one of", "[1]"],
        [{ command: [] }, "a program and its arguments", '["command"]'],
        [{ command: ["x\0"] }, "NUL", '["command"][0]'],
        [{ command: ["x"], timeLimit: "soon" }, "a duration", '["timeLimit"]'],
        [{ command: ["x"], matches: "x" }, "goes with file", "[1]"],
        [{ file: "/etc/passwd" }, "within the workspace", '["file"]'],
        [{ file: "a/../../b" }, "within the workspace", '["file"]'],
        [{ file: "a", matches: "(" }, "regular expression", '["matches"]'],
        [{ file: "a", matches: "x".repeat(1001) }, "at most 1000", '["matches"]'],
        [{ git: "ahead" }, 'needs "of"', "[1]"],
        [{ git: "ahead", of: "--output=x" }, "a branch", '["of"]'],
        [{ git: "clean", of: "main" }, 'needs "of"', "[1]"]
      ]
      for (const [proof, reason, place] of wrong) {
        const said = yield* problem([{ file: "fine" }, proof])
        assert.include(said, reason)
        assert.include(said, place)
      }
      assert.include(yield* problem(Array(11).fill({ file: "x" })), "at most 10 proofs")
    })
  )

  it.effect("is a mistake of the config at its place", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        makeConfig({
          agents: [{ id: "one" }],
          tasks: [{ prompt: "x", evidence: [{ file: "a" }, { file: "b", matches: "(" }] }]
        })
      )
      assert.include(error.message, "tasks[0].evidence[1].matches")
      assert.include(error.message, "expected a regular expression")
    })
  )
})

const command = resolve("test/fixtures/fake-claude.sh")

const perform = (dir: string, task: TaskInput, events: Array<Published> = [], fake = "mends") =>
  Effect.gen(function* () {
    const stream = yield* (yield* EventBus).subscribe
    yield* Effect.forkScoped(Stream.runForEach(stream, (event) => Effect.sync(() => events.push(event))))
    const config = yield* makeConfig(
      {
        agents: [{ id: "one", workspace: dir }],
        claude: { command, env: { FAKE: fake } },
        dataDir: join(dir, "data"),
        retry: { delay: "50 millis" }
      },
      { baseDir: dir, env: process.env }
    )
    const node = MisterSmith.layerWithEvents(config).pipe(Layer.provide(NodeServices.layer))
    return yield* Effect.flatMap(MisterSmith, (smith) => smith.perform(task)).pipe(Effect.provide(node))
  }).pipe(Effect.scoped, Effect.provide(EventBus.layer), Effect.provideService(HostEnvironment, process.env))

const turns = (dir: string) => readFileSync(join(dir, "turns"), "utf8").trim().split("\n").length

describe("a task that declares evidence", () => {
  it.live("goes back to its agent once, with what was found, and succeeds when it is put right", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const events: Array<Published> = []
      const evidence: TaskInput["evidence"] = [
        { file: "out.txt", matches: "well" },
        { command: ["sh", "-c", "cat out.txt || { echo my own words; false; }"] }
      ]
      const result = yield* perform(dir.path, { prompt: "x", evidence }, events)
      assert.deepInclude(result, { status: "succeeded", attempts: 1 })
      assert.strictEqual(result.usage.turns, 2)
      assert.strictEqual(turns(dir.path), 2)
      const told = readFileSync(join(dir.path, "told"), "utf8")
      assert.include(told, "file out.txt matches well: there is no such file")
      assert.include(told, "my own words")
      const unverified = events.filter(({ type }) => type === "task.unverified")
      assert.deepEqual(
        unverified.map((event) => event.type === "task.unverified" && [event.sentBack, event.missing.length]),
        [[true, 2]]
      )
    })
  )

  it.live("that holds at once is not asked about", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const result = yield* perform(dir.path, { prompt: "x", evidence: [{ command: ["test", "-e", "turns"] }] })
      assert.strictEqual(result.status, "succeeded")
      assert.strictEqual(turns(dir.path), 1)
    })
  )

  it.live("fails after the second turn where something is missing still, and is not tried again", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const events: Array<Published> = []
      const evidence: TaskInput["evidence"] = [{ file: "out.txt" }, { file: "never.txt" }]
      const result = yield* perform(dir.path, { id: "t", prompt: "x", evidence }, events)
      assert.deepInclude(result, { status: "failed", attempts: 1 })
      assert.deepInclude(result.fault, {
        kind: "EvidenceMissing",
        message: 'task "t" is not proven to be complete: file never.txt: there is no such file',
        recovery: "ignore"
      })
      assert.strictEqual(turns(dir.path), 2)
      const sentBack = events.flatMap((event) => (event.type === "task.unverified" ? [event.sentBack] : []))
      assert.deepEqual(sentBack, [true, false])
    })
  )

  it.live("can be cancelled while it is verified, and the command ends with it", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const pid = join(dir.path, "pid")
      yield* Effect.gen(function* () {
        const config = yield* makeConfig(
          {
            agents: [{ id: "one", workspace: dir.path }],
            claude: { command, env: { FAKE: "fine" } },
            dataDir: join(dir.path, "data")
          },
          { baseDir: dir.path, env: process.env }
        )
        const node = MisterSmith.layer(config).pipe(Layer.provide(NodeServices.layer))
        yield* Effect.gen(function* () {
          const smith = yield* MisterSmith
          const script = "echo $$ > pid.new; mv pid.new pid; exec sleep 1000"
          const { id } = yield* smith.submit({ prompt: "x", evidence: [{ command: ["sh", "-c", script] }] })
          yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => Effect.sync(() => existsSync(pid)) })
          yield* smith.cancel(id)
          // The next is given to the agent only when the former is over.
          assert.strictEqual((yield* smith.perform({ prompt: "y" })).status, "succeeded")
          assert.throws(() => process.kill(Number(readFileSync(pid, "utf8")), 0))
        }).pipe(Effect.provide(node))
      }).pipe(Effect.provideService(HostEnvironment, process.env))
    })
  )

  it.live("is known with it in the next run, and is another task where it has changed", () =>
    Effect.gen(function* () {
      using dir = tempDir()
      const task: TaskInput = { id: "t", prompt: "x", evidence: [{ command: ["true"], timeLimit: "1 minute" }] }
      const first = yield* perform(dir.path, task)
      const again = yield* perform(dir.path, task)
      assert.deepEqual(again, first)
      const other = yield* Effect.flip(perform(dir.path, { ...task, evidence: [{ file: "out.txt" }] }))
      assert.strictEqual(other._tag, "TaskConflict")
    })
  )
})
