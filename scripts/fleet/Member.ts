/** A node of a fleet under fire: its data directory, its model, its lives, and what it has said in all of them. */
import { type ChildProcess, spawn } from "node:child_process"
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { LinkedPlace, Place } from "../../test/utils/Netns.ts"
import * as Node from "../crash/Node.ts"

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const standinProgram = join(root, "scripts", "standin", "main.ts")
const claude = join(root, "node_modules", ".bin", "claude")

export interface MemberOptions {
  readonly name: string
  readonly dir: string
  readonly binary: string
  readonly place: Place | LinkedPlace
  readonly agents: number
  readonly config: Record<string, unknown>
}

export interface Called {
  readonly call: string
  readonly at: number
  readonly path: string
  readonly said: string
}

/** A node that is told to stop has its agents to end, in milliseconds. */
const STOP_TIME = 60_000

export class Member {
  readonly name: string
  readonly dir: string
  readonly dataDir: string
  readonly place: Place | LinkedPlace
  /** Something has befallen it. */
  busy = false
  lives = 0
  private readonly options: MemberOptions
  private readonly standin: ChildProcess
  private readonly problems: Array<string>
  private child: ChildProcess | undefined
  private exit: Promise<number | string> = Promise.resolve("never")

  private constructor(options: MemberOptions, standin: ChildProcess, problems: Array<string>) {
    this.options = options
    this.name = options.name
    this.dir = options.dir
    this.place = options.place
    this.dataDir = join(options.dir, "data")
    this.standin = standin
    this.problems = problems
  }

  static async make(options: MemberOptions, problems: Array<string>): Promise<Member> {
    const { agents, dir, name, place } = options
    mkdirSync(dir, { recursive: true })
    const [program = "", ...args] = [
      ...place.enter,
      ...[process.execPath, standinProgram, "--log", join(dir, "calls"), "--name", name]
    ]
    const standin = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] })
    const url = await new Promise<string>((resolve, reject) => {
      standin.once("exit", (code) => reject(new Error(`the stand-in ended with ${code}`)))
      createInterface({ input: standin.stdout }).once("line", (line) => resolve((JSON.parse(line) as Url).url))
    })
    const env = { ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: "sk-ant-test-key" }
    const config = {
      dataDir: "data",
      claude: { command: claude, env },
      // How often it is broken off is not what is tried.
      retry: { attempts: 100, interruptions: 1_000, delay: "50 millis", maxDelay: "500 millis" },
      supervision: { maxRestarts: 10_000, within: "60 seconds" },
      agents: [{ id: "worker", replicas: agents, restart: { initialDelay: "50 millis", maxDelay: "500 millis" } }],
      ...options.config
    }
    writeFileSync(join(dir, "config.json"), JSON.stringify(config, undefined, 2))
    return new Member(options, standin, problems)
  }

  get isUp(): boolean {
    const { child } = this
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  /** A life, which is to go on until it is ended. */
  start(): void {
    const { binary, dir, place } = this.options
    const [program = "", ...args] = [...place.enter, binary, "run", join(dir, "config.json"), "--json"]
    const child = spawn(program, args, {
      cwd: dir,
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: dir, LANG: "C.UTF-8" },
      stdio: ["ignore", "pipe", "pipe"]
    })
    this.child = child
    this.lives++
    child.stdout.on("data", (text: Buffer) => appendFileSync(join(dir, "events"), text))
    child.stderr.on("data", (text: Buffer) => appendFileSync(join(dir, "stderr"), text))
    this.exit = new Promise((resolve) => child.once("close", (code, signal) => resolve(signal ?? code ?? -1)))
  }

  async kill(): Promise<void> {
    if (!this.isUp) return this.died("before it was killed")
    this.child?.kill("SIGKILL")
    const ended = await this.exit
    if (ended !== "SIGKILL") this.died(`with ${ended} as it was killed`)
  }

  private died(how: string): void {
    this.problems.push(`${this.name} ended by itself ${how}: ${this.said().slice(-2_000)}`)
  }

  halt(): void {
    this.child?.kill("SIGSTOP")
  }

  goOn(): void {
    this.child?.kill("SIGCONT")
  }

  /** In order; nothing of it may be left then. */
  async stop(): Promise<void> {
    if (!this.isUp) return this.died("before it was told to stop")
    this.child?.kill("SIGTERM")
    const timer = setTimeout(() => this.child?.kill("SIGKILL"), STOP_TIME)
    const ended = await this.exit
    clearTimeout(timer)
    if (ended !== 143) this.problems.push(`${this.name} was told to stop, and ended with ${ended}`)
    for (const litter of Node.litter(this.dataDir)) this.problems.push(`${this.name} has left ${litter}`)
  }

  /** Whoever is still alive is ended; says who was. */
  async end(): Promise<ReadonlyArray<Node.Left>> {
    if (this.isUp) this.child?.kill("SIGKILL")
    await this.exit
    const left = Node.alive(Node.ownerOf(this.dataDir) ?? "none")
    for (const { pid } of left) {
      try {
        process.kill(pid, "SIGKILL")
      } catch {
        // It has ended by now.
      }
    }
    this.standin.kill("SIGKILL")
    return left
  }

  /** Nodes of earlier lives have guardians, which end what those had started. */
  alive(): ReadonlyArray<Node.Left> {
    return Node.alive(Node.ownerOf(this.dataDir) ?? "none")
  }

  events(): ReadonlyArray<Record<string, unknown>> {
    // A life that was killed may end in the middle of a line.
    return read(join(this.dir, "events")).flatMap((line) => {
      const at = line.lastIndexOf('{"type":')
      try {
        return at < 0 ? [] : [JSON.parse(line.slice(at)) as Record<string, unknown>]
      } catch {
        return []
      }
    })
  }

  said(): string {
    const file = join(this.dir, "stderr")
    return existsSync(file) ? readFileSync(file, "utf8") : ""
  }

  /** What its model was asked, in order. */
  calls(): ReadonlyArray<Called> {
    return read(join(this.dir, "calls"))
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Called)
  }
}

interface Url {
  readonly url: string
}

const read = (file: string) => (existsSync(file) ? readFileSync(file, "utf8").split("\n") : [])
