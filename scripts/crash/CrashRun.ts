/**
 * A fleet of fake CLIs under a node that is killed again and again, at moments that nobody chose, and started again; then
 * it may finish, and check.ts looks whether everything is there once.
 *
 * What is sent to the node comes from a process of its own (submitter.ts), which goes on while there is no node. With some
 * of the kills the guardian is killed too, so that nobody but the next start can end what was left.
 */
import { spawn } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { check, type Report } from "./check.ts"
import { checkWorktrees, doingOf, untidy, type WorktreeReport } from "./checkWorktrees.ts"
import * as Node from "./Node.ts"
import * as Plan from "./Plan.ts"
import * as Random from "./Random.ts"
import * as Repository from "./Repository.ts"

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(dirname(here))
export const fakeClaude = join(root, "test/fixtures/fake-claude.pl")

export interface CrashRunOptions {
  readonly binary: string
  /** A directory of its own. */
  readonly dir: string
  /** Of which a third works in worktrees. */
  readonly agents: number
  readonly tasks: number
  readonly kills: number
  readonly seed: number
  /** Runs the submitter. */
  readonly bun: string
  readonly log: (line: string) => void
  /** Of the node's config, beside what is the test's own. */
  readonly config?: Record<string, unknown>
  /** Looks at more than the ledger when all is over, such as what a feature keeps beside it: a sentence for what is wrong. */
  readonly alsoCheck?: (dataDir: string) => ReadonlyArray<string>
}

export interface CrashReport {
  readonly seed: number
  readonly kills: number
  /** With the guardian, so that the next start had to sweep. */
  readonly withGuardian: number
  readonly tookSeconds: number
  /** Of lives that came so far, from the start of the process, in milliseconds. */
  readonly recovery: {
    /** What an earlier life has left is ended, and the ledger is recovered. */
    readonly started: Distribution
    /** A task is being performed. */
    readonly working: Distribution
    /** It answers on its socket. */
    readonly answering: Distribution
  }
  readonly check: Report
  readonly worktrees: WorktreeReport
  /** At the worktrees, as they are by now. */
  readonly lookAgain: () => WorktreeReport
  readonly problems: ReadonlyArray<string>
}

export interface Distribution {
  readonly count: number
  readonly p50: number
  readonly p95: number
  readonly max: number
}

/** How long what is left may take when nobody kills any more, in milliseconds. */
const PATIENCE = 300_000
/** And for each task. */
const PATIENCE_EACH = 1_000

/** Workspaces of ended tasks that are kept: few, so that some are archived. */
const KEPT = 4

/** Agents that work in worktrees, beside the others. */
export interface Coders {
  readonly repository: Repository.Repository
  readonly replicas: number
  /** Of ended tasks. */
  readonly kept: number
}

export const configOf = (options: {
  readonly agents: number
  readonly coders?: Coders
  readonly tasks: ReadonlyArray<Plan.PlannedTask>
  readonly journal: string
  readonly more?: Record<string, unknown>
}) => {
  const { agents, coders, journal, more, tasks } = options
  const restart = { initialDelay: "20 millis", maxDelay: "200 millis" }
  const workspace = { kind: "worktree", repository: coders?.repository.path, base: Repository.BASE }
  return {
    dataDir: "data",
    claude: { command: fakeClaude, env: { FAKE_JOURNAL: journal } },
    // How often it is killed is not what is tried.
    retry: { attempts: 100, interruptions: 1_000, delay: "20 millis", maxDelay: "200 millis" },
    supervision: { maxRestarts: 10_000, within: "60 seconds" },
    agents: [
      { id: "worker", replicas: agents, restart },
      ...(coders === undefined ? [] : [{ id: "coder", replicas: coders.replicas, restart, workspace }])
    ],
    ...(coders === undefined ? {} : { workspaces: { kept: coders.kept } }),
    tasks,
    ...more
  }
}

export const crashRun = async (options: CrashRunOptions): Promise<CrashReport> => {
  const { binary, dir, kills, log, seed } = options
  const began = performance.now()
  const random = Random.make(seed)
  const plan = Plan.make(random, options.tasks)
  const dataDir = join(dir, "data")
  const journal = join(dir, "journal")
  const acknowledged = join(dir, "acknowledged")
  const config = join(dir, "config.json")
  mkdirSync(journal, { recursive: true })
  const more = options.config ?? {}
  const repository = Repository.make(dir)
  const coders: Coders = { repository, replicas: Math.round(options.agents / 3), kept: KEPT }
  const agents = options.agents - coders.replicas
  writeFileSync(config, JSON.stringify(configOf({ agents, coders, tasks: plan.first, journal, more })))
  writeFileSync(join(dir, "asked.json"), JSON.stringify(plan.asked))

  const problems: Array<string> = []
  const started: Array<number> = []
  const working: Array<number> = []
  const answering: Array<number> = []
  const lives = new Set<string>()
  let withGuardian = 0
  let life: Node.Life | undefined

  const submitter = spawn(
    options.bun,
    [join(here, "submitter.ts"), dataDir, join(dir, "asked.json"), acknowledged, String(seed)],
    { stdio: ["pipe", "inherit", "pipe"] }
  )
  let submitterSaid = ""
  submitter.stderr.setEncoding("utf8").on("data", (text: string) => {
    submitterSaid += text
  })
  let submitterEnded: number | string | undefined
  const submitted = new Promise<void>((resolve) => {
    submitter.once("close", (code, signal) => {
      submitterEnded = signal ?? code ?? -1
      resolve()
    })
  })
  const allow = (count: number) => void submitter.stdin.write(`${count}\n`)

  /** Starts a node and takes its times. */
  const begin = () => {
    const one = Node.start(binary, config)
    life = one
    const since = () => performance.now() - one.startedAt
    // That it has started may be read only after it was killed, when it is one of them itself.
    const earlier = new Set(lives)
    let told = () => {}
    const isUp = new Promise<void>((resolve) => {
      told = resolve
    })
    let works = false
    let begins = () => {}
    const isWorking = new Promise<void>((resolve) => {
      begins = resolve
    })
    one.onEvent((event) => {
      if (event["type"] === "runtime.started") {
        started.push(since())
        const owner = Node.ownerOf(dataDir) ?? ""
        // What this life has may be alive already; what others had may not.
        const left = Node.alive(owner)
        if (left.some((each) => earlier.has(each.life)) || new Set(left.map((each) => each.life)).size > 1)
          problems.push(`alive after a new start: ${JSON.stringify(left)}`)
        told()
      }
      if (event["type"] === "task.state" && event["to"] === "running" && !works) {
        works = true
        working.push(since())
        begins()
      }
    })
    let over = false
    void one.exit.then(() => {
      over = true
      told()
    })
    const knock = async () => {
      while (!over) {
        const answer = await Node.ask(dataDir, "GET", "/node")
        if ((answer?.body as { readonly pid?: number } | undefined)?.pid === one.child.pid && !over)
          return void answering.push(since())
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    void isUp.then(knock)
    return { one, isUp, isWorking }
  }

  /** A moment of the start, or of the work after it; the first of all comes in the middle of work. */
  const moment = async ({ isUp, isWorking }: ReturnType<typeof begin>, kill: number) => {
    const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))
    if (kill === 1) return isWorking.then(() => sleep(random.next() * 200))
    if (random.chance(0.3)) return sleep(random.next() * 400)
    await isUp
    return sleep(random.next() * 1_000)
  }

  try {
    for (let kill = 1; kill <= kills; kill++) {
      allow(Math.ceil((plan.asked.length * kill) / kills))
      const begun = begin()
      const { one } = begun
      await Promise.race([moment(begun, kill), one.exit])
      const { pid } = one.child
      const owner = Node.ownerOf(dataDir)
      if (owner !== undefined) for (const each of Node.alive(owner)) lives.add(each.life)
      const guardian = pid !== undefined && random.chance(0.2) ? Node.guardianOf(pid) : undefined
      if (guardian !== undefined) {
        // Stopped first, so that neither sees the other's end.
        one.child.kill("SIGSTOP")
        process.kill(guardian, "SIGKILL")
        withGuardian++
      }
      const wasAlive = one.child.exitCode === null && one.child.signalCode === null
      one.child.kill("SIGKILL")
      const ended = await one.exit
      if (!wasAlive || ended !== "SIGKILL") {
        problems.push(`kill ${kill}: it ended by itself with ${ended}: ${one.stderr()}`)
        break
      }
      Repository.mergeSome(repository, dir, random)
      if (kill % 10 === 0 || kill === kills)
        log(`${kill} of ${kills} kills, ${Math.round(performance.now() - began)} ms`)
      if (submitterEnded !== undefined && submitterEnded !== 0) break
    }
    if (problems.length === 0) await finish()
  } finally {
    if (submitterEnded === undefined) submitter.kill("SIGKILL")
    await submitted
    if (life !== undefined && life.child.exitCode === null && life.child.signalCode === null) {
      life.child.kill("SIGKILL")
      await life.exit
    }
  }

  /** Nobody kills it any more: it does all that is left, and is stopped in order. */
  async function finish() {
    const { one } = begin()
    const patience = PATIENCE + options.tasks * PATIENCE_EACH
    const until = performance.now() + patience
    const open = async (): Promise<string | undefined> => {
      if (submitterEnded === undefined) return "not all is submitted"
      for (const state of ["queued", "running", "parked"]) {
        const answer = await Node.ask(dataDir, "GET", `/tasks?state=${state}&limit=1`)
        const { tasks } = (answer?.body ?? {}) as { readonly tasks?: ReadonlyArray<unknown> }
        if (tasks?.length !== 0) return tasks === undefined ? "it does not answer" : `a task is ${state}`
      }
      return untidy({ dataDir, kept: KEPT })
    }
    for (let why = await open(); why !== undefined; why = await open()) {
      if (performance.now() > until) {
        problems.push(`not all was done ${patience} ms after the last kill: ${why}`)
        break
      }
      if (one.child.exitCode !== null || one.child.signalCode !== null) {
        problems.push(`it ended by itself: ${one.stderr()}`)
        break
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    one.child.kill("SIGTERM")
    const ended = await one.exit
    if (ended !== 143) problems.push(`it was to stop, and ended with ${ended}: ${one.stderr()}`)
    problems.push(...Node.leftOf(dataDir))
  }

  if (submitterEnded !== 0) problems.push(`the submitter ended with ${submitterEnded}: ${submitterSaid}`)
  const checked = check({
    dataDir,
    journal,
    acknowledged,
    expected: [...plan.first, ...plan.asked].map(({ id }) => id)
  })
  const doing = doingOf([...plan.first, ...plan.asked].filter(({ agent }) => agent === "coder"))
  const lookAgain = () => checkWorktrees({ dataDir, journal, repository, doing, kept: KEPT })
  const worktrees = lookAgain()
  return {
    seed,
    kills,
    withGuardian,
    tookSeconds: Math.round((performance.now() - began) / 1000),
    recovery: { started: spread(started), working: spread(working), answering: spread(answering) },
    check: checked,
    worktrees,
    lookAgain,
    problems: [...problems, ...checked.problems, ...worktrees.problems, ...(options.alsoCheck?.(dataDir) ?? [])]
  }
}

const spread = (millis: ReadonlyArray<number>): Distribution => {
  const sorted = millis.toSorted((a, b) => a - b)
  const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0)
  return { count: sorted.length, p50: at(0.5), p95: at(0.95), max: at(1) }
}
