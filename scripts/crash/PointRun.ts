/**
 * One crash point: a node of the test build that dies there, and the next one, which knows nothing of it. A short story is
 * told to the node, with all that has a point: tasks that succeed, fail, wait for each other, are proven and are cancelled,
 * an agent that is stopped and started again; for the points of workspaces, also tasks in worktrees, one of which is
 * removed and others archived. It is told again from its beginning until all of it was answered.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { CrashPoint } from "../../src/state/CrashPoint.ts"
import { configOf } from "./CrashRun.ts"
import { check, type Report } from "./check.ts"
import { checkWorktrees, doingOf, untidy } from "./checkWorktrees.ts"
import * as Node from "./Node.ts"
import type { PlannedTask } from "./Plan.ts"
import * as Repository from "./Repository.ts"

export interface PointRunOptions {
  /** The build with crash points. */
  readonly binary: string
  /** A directory of its own. */
  readonly dir: string
  readonly point: CrashPoint
  /** The how manieth time it comes there. Default 1. */
  readonly nth?: number
}

export interface PointReport {
  /** How the first node ended: it was to be by SIGKILL. */
  readonly ended: number | string
  /** What the point itself has written down. */
  readonly mark: string
  readonly check: Report
  readonly problems: ReadonlyArray<string>
}

/** How long the story may take, in milliseconds: many times what it takes. */
const PATIENCE = 60_000

const first: ReadonlyArray<PlannedTask> = [
  { id: "plain", agent: "worker", prompt: "Do it. [task plain] [work 5]" },
  { id: "failing", agent: "worker", prompt: "Do it. [task failing] [fail 1]", priority: 5 },
  {
    id: "proven",
    agent: "worker",
    prompt: "Do it. [task proven] [write out] [late]",
    evidence: [{ file: "out" }, { command: ["test", "-s", "out"] }]
  },
  { id: "next", agent: "worker", prompt: "Do it. [task next]", after: ["plain", "failing"] }
]
/** In worktrees, one after the other: the first leaves nothing, and the others more than may be kept. */
const placed: ReadonlyArray<PlannedTask> = [
  { id: "idle", prompt: "Do it. [task idle]", agent: "coder" },
  { id: "loose", prompt: "Do it. [task loose] [leave a]", agent: "coder", after: ["idle"] },
  { id: "kept", prompt: "Do it. [task kept] [commit b] [leave c]", agent: "coder", after: ["loose"] },
  { id: "last", prompt: "Do it. [task last] [commit d]", agent: "coder", after: ["kept"] }
]
/** Of those. */
const KEPT = 1
const asked: ReadonlyArray<PlannedTask> = [
  { id: "asked", agent: "worker", prompt: "Do it. [task asked] [work 5]" },
  { id: "endless", agent: "worker", prompt: "Do it. [task endless] [work 1000000]" },
  { id: "hopeless", agent: "worker", prompt: "Do it. [task hopeless]", after: ["endless"] }
]

/** Where the life before must have died: only one that finds something comes to this point with anything to do. */
const pastOf = (point: CrashPoint): CrashPoint | undefined => {
  if (point.startsWith("workspace.settle.")) return "workspace.make.after"
  return point.startsWith("ledger.recover.") || point.startsWith("sweep.") ? "turn.sent" : undefined
}

/** Ended tasks are forgotten in this story. */
const forgets = (point: CrashPoint) => point.startsWith("ledger.forget.")

export const pointRun = async ({ binary, dir, nth = 1, point }: PointRunOptions): Promise<PointReport> => {
  const dataDir = join(dir, "data")
  const journal = join(dir, "journal")
  const config = join(dir, "config.json")
  const markFile = join(dir, "mark")
  mkdirSync(journal, { recursive: true })
  const repository = point.startsWith("workspace.") ? Repository.make(dir) : undefined
  const begun = repository === undefined ? first : [...first, ...placed]
  const coders = repository === undefined ? {} : { coders: { repository, replicas: 1, kept: KEPT } }
  const more = forgets(point) ? { tasksKept: 2 } : {}
  writeFileSync(config, JSON.stringify(configOf({ agents: 2, ...coders, tasks: begun, journal, more })))
  const problems: Array<string> = []
  const acknowledged = new Set<string>()

  /** Until all was told and all has ended, or the node is gone. */
  const tell = async (life: Node.Life): Promise<boolean> => {
    const until = performance.now() + PATIENCE
    let over = false
    void life.exit.then(() => {
      over = true
    })
    /** Undefined where it is gone. */
    const ask = async (
      method: string,
      path: string,
      isRight: (answer: Node.Answer) => boolean,
      body?: unknown
    ): Promise<Node.Answer | undefined> => {
      let last: Node.Answer | undefined
      while (!over && performance.now() < until) {
        last = await Node.ask(dataDir, method, path, body)
        if (last !== undefined && isRight(last)) return last
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      if (!over) problems.push(`${method} ${path} was answered with ${JSON.stringify(last)} for too long`)
      return undefined
    }
    const stateOf = ({ body }: Node.Answer) => (body as { readonly state?: string } | undefined)?.state
    const has =
      (...states: ReadonlyArray<string>) =>
      (answer: Node.Answer) =>
        states.includes(stateOf(answer) ?? "") || (forgets(point) && answer.status === 404)
    const done = (answer: Node.Answer) => answer.status < 300
    for (const task of asked) {
      if ((await ask("POST", "/tasks", done, task)) === undefined) return false
      acknowledged.add(task.id)
    }
    const began = await ask("GET", "/tasks/endless", has("running", "cancelled"))
    if (began === undefined) return false
    const cancelled = ({ status }: Node.Answer) => status < 300 || status === 409 || status === 404
    if ((await ask("POST", "/tasks/endless/cancel", cancelled, {})) === undefined) return false
    for (const { id } of [...begun, ...asked])
      if ((await ask("GET", `/tasks/${id}`, has("succeeded", "failed", "cancelled"))) === undefined) return false
    if ((await ask("POST", "/agents/worker-2/stop", done)) === undefined) return false
    const isUp = ({ status }: Node.Answer) => status < 300 || status === 409
    if ((await ask("POST", "/agents/worker-2/start", isUp)) === undefined) return false
    return (
      repository === undefined ||
      (await ask("GET", "/node", () => untidy({ dataDir, kept: KEPT }) === undefined)) !== undefined
    )
  }

  const live = async (env: Readonly<Record<string, string>>) => {
    const life = Node.start(binary, config, env)
    const told = await tell(life)
    // Nothing that is left to be hit but at the end.
    if (life.child.exitCode === null && life.child.signalCode === null) life.child.kill("SIGTERM")
    return { ended: await life.exit, told, stderr: life.stderr() }
  }

  const past = pastOf(point)
  if (past !== undefined) await live({ MISTER_SMITH_CRASH_AT: past })
  const { ended } = await live({ MISTER_SMITH_CRASH_AT: `${point}:${nth}`, MISTER_SMITH_CRASH_MARK: markFile })
  const last = await live({})
  if (!last.told || last.ended !== 143)
    problems.push(
      `the life after it ended with ${last.ended}, and was ${last.told ? "" : "not "}told all: ${last.stderr}`
    )
  problems.push(...Node.leftOf(dataDir))
  const checked = check({
    dataDir,
    journal,
    expected: [...begun.map(({ id }) => id), ...acknowledged],
    forgets: forgets(point)
  })
  const places =
    repository === undefined
      ? []
      : checkWorktrees({ dataDir, journal, repository, doing: doingOf(placed), kept: KEPT }).problems
  return {
    ended,
    mark: existsSync(markFile) ? readFileSync(markFile, "utf8").trim() : "",
    check: checked,
    problems: [...problems, ...checked.problems, ...places]
  }
}
