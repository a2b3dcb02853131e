/**
 * A fake of the Claude CLI, for simulations: the protocol without a model, in no time of its own, and every fault that a
 * real one may have. What it does it decides by the world's dice.
 */
import { type Context, Deferred, Effect, Fiber, Queue } from "effect"
import type { Done } from "effect/Cause"
import type { ProcessExit, ProcessSpec } from "../../src/process/ProcessTree.ts"
import type { World } from "./World.ts"

interface Turn {
  readonly task: string | undefined
  readonly fiber: Fiber.Fiber<void>
}

const encoder = new TextEncoder()

export class Cli {
  readonly pid: number
  readonly exited = Deferred.makeUnsafe<ProcessExit>()
  readonly out: Queue.Queue<Uint8Array, Done>
  readonly isDeaf: boolean
  session: string
  isPaused = false
  pausedSince = 0
  pausedMillis = 0
  #resumed = Deferred.makeUnsafe<void>()
  #turn: Turn | undefined
  #isAlive = true
  #turns = 0
  #cost = 0

  readonly world: World
  readonly context: Context.Context<never>
  readonly spec: ProcessSpec

  constructor(world: World, context: Context.Context<never>, spec: ProcessSpec, queue: Queue.Queue<Uint8Array, Done>) {
    this.world = world
    this.context = context
    this.spec = spec
    this.pid = world.pids++
    this.out = queue
    this.isDeaf = world.faults && world.dice.chance(0.02)
    this.session = this.flag("resume") ?? this.newSession()
    world.clis.add(this)
    const open = [...world.clis].find((other) => other !== this && other.#isAlive && other.session === this.session)
    if (open !== undefined) world.violated(`session ${this.session} is open in ${open.pid} and ${this.pid}`)
    if (this.flag("resume") !== undefined && this.transcript === undefined) this.after(50, () => this.die(1, null))
    else if (world.faults && world.dice.chance(0.02)) this.after(world.dice.between(1, 900), () => this.die(3, null))
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  get performing(): string | undefined {
    return this.#turn?.task
  }

  die(code: number | null, signal: string | null): void {
    if (!this.#isAlive) return
    this.#isAlive = false
    this.world.clis.delete(this)
    this.world.note(`cli ${this.pid} ends with ${signal ?? code}`)
    const turn = this.#turn
    this.#turn = undefined
    if (turn !== undefined) this.fork(Fiber.interrupt(turn.fiber))
    Queue.endUnsafe(this.out)
    Deferred.doneUnsafe(this.exited, Effect.succeed({ code, signal }))
  }

  pause(): void {
    if (this.isPaused) return
    this.isPaused = true
    this.pausedSince = this.world.now()
    this.#resumed = Deferred.makeUnsafe()
  }

  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    this.pausedMillis += this.world.now() - this.pausedSince
    Deferred.doneUnsafe(this.#resumed, Effect.void)
  }

  /** What comes on its stdin, in whole lines. */
  write(text: string): boolean {
    if (!this.#isAlive) return false
    for (const line of text.split("\n")) if (line !== "") this.hear(JSON.parse(line))
    return true
  }

  private fork(effect: Effect.Effect<unknown>) {
    return Effect.runForkWith(this.context)(effect)
  }

  private after(millis: number, act: () => void) {
    this.fork(Effect.andThen(this.lasts(millis), Effect.sync(act)))
  }

  /** Time that passes only while it is not paused. */
  private lasts(millis: number): Effect.Effect<void> {
    return Effect.andThen(
      Effect.sleep(millis),
      Effect.suspend(() => (this.isPaused ? Deferred.await(this.#resumed) : Effect.void))
    )
  }

  private flag(name: string): string | undefined {
    return this.spec.args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3)
  }

  private newSession() {
    return `s${this.world.pids++}`
  }

  private get file(): string {
    return `${String(this.spec.env["CLAUDE_CONFIG_DIR"])}/projects/p/${this.session}.jsonl`
  }

  private get transcript(): string | undefined {
    return this.world.files.get(this.file)
  }

  private say(message: unknown): void {
    if (!this.#isAlive) return
    const bytes = encoder.encode(`${JSON.stringify(message)}\n`)
    // A pipe does not keep lines together.
    const cut = this.world.dice.between(0, bytes.length)
    for (const part of [bytes.slice(0, cut), bytes.slice(cut)]) if (part.length > 0) Queue.offerUnsafe(this.out, part)
  }

  // biome-ignore lint/suspicious/noExplicitAny: a fake reads only what it needs
  private hear(message: any): void {
    if (message.type === "control_request") {
      if (this.isDeaf && this.#turns > 0) return
      const { request, request_id } = message
      const response = request.subtype === "get_binary_version" ? { version: "2.1.197" } : {}
      this.after(this.world.dice.between(1, 800), () => {
        this.say({ type: "control_response", response: { subtype: "success", request_id, response } })
        if (request.subtype === "interrupt") this.interrupted()
        if (request.subtype === "end_session") this.after(50, () => this.die(0, null))
      })
    } else if (message.type === "user") {
      const prompt = String(message.message.content)
      if (prompt === "/clear") {
        this.session = this.newSession()
        this.begin()
        this.result({ result: "" })
        return
      }
      const known = [...(this.transcript ?? "").matchAll(/^TASK (\S+)$/gm)].at(-1)?.[1]
      const task = /do task (\S+)/.exec(prompt)?.[1] ?? known
      if (task === undefined) this.world.violated(`cli ${this.pid} is told "${prompt}" without a task before it`)
      const twice = [...this.world.clis].find((other) => other !== this && other.performing === task)
      if (twice !== undefined)
        this.world.violated(`task ${task} is begun by cli ${this.pid} while cli ${twice.pid} works on it`)
      this.#turns++
      const fiber = this.fork(this.perform(task ?? "?", prompt, message.uuid)) as Fiber.Fiber<void>
      this.#turn = { task, fiber }
    }
  }

  private interrupted(): void {
    const turn = this.#turn
    if (turn === undefined) return
    this.#turn = undefined
    this.fork(Fiber.interrupt(turn.fiber))
    this.result({ subtype: "error_during_execution", is_error: true, terminal_reason: "aborted_streaming" })
  }

  private begin(): void {
    this.say({
      type: "system",
      subtype: "init",
      session_id: this.session,
      cwd: "/",
      model: "m",
      permissionMode: "default",
      claude_code_version: "2.1.197",
      apiKeySource: "none",
      tools: [],
      mcp_servers: []
    })
  }

  private result(more: object): void {
    this.#turn = undefined
    this.#cost += 0.01
    this.say({
      type: "result",
      subtype: "success",
      is_error: false,
      session_id: this.session,
      num_turns: 1,
      duration_ms: 1,
      total_cost_usd: this.#cost,
      usage: { input_tokens: 1, output_tokens: 1 },
      modelUsage: {},
      ...more
    })
  }

  private perform(task: string, prompt: string, uuid: string): Effect.Effect<void> {
    const { dice, faults } = this.world
    const self = this
    return Effect.gen(function* () {
      yield* self.lasts(dice.between(1, 2_000))
      const before = self.transcript
      self.world.files.set(self.file, `${before ?? ""}TASK ${task}\n${uuid} ${prompt}\n`)
      self.begin()
      self.say({ type: "user", isReplay: true, uuid, message: { role: "user", content: prompt } })
      for (let step = dice.between(0, 3); step > 0; step--) {
        yield* self.lasts(dice.between(10, 20_000))
        const content = [{ type: "text", text: `${task}, step ${step}` }]
        self.say({ type: "assistant", message: { id: "m", model: "m", content }, parent_tool_use_id: null })
      }
      yield* self.lasts(dice.between(1, 10_000))
      const fate = faults && self.world.faults ? dice.next() : 1
      if (fate < 0.08) return self.die(dice.pick([1, 3, 137]), null)
      if (fate < 0.14) return self.die(null, dice.pick(["SIGKILL", "SIGSEGV"]))
      if (fate < 0.17) return yield* Effect.never
      if (fate < 0.24)
        return self.result({ is_error: true, api_error_status: 529, result: "API Error: 529 overloaded" })
      if (fate < 0.28) return self.result({ is_error: true, api_error_status: 500, result: "API Error: 500" })
      if (fate < 0.31) return self.say({ type: "result", subtype: "success", is_error: "perhaps" })
      if (fate < 0.34) Queue.offerUnsafe(self.out, encoder.encode('not json\n{"type":"newer_kind"}\n{}\nnull\n[1\n'))
      self.world.said.add(task)
      self.world.note(`cli ${self.pid} has done ${task}`)
      self.result({ result: `did ${task}` })
      if (fate < 0.37) self.result({ result: "once more" })
      if (fate < 0.4) self.die(0, null)
    })
  }
}
