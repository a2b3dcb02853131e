/**
 * Looks into a ledger's file, without any code of the runtime's, and says what is wrong with it: what a crash may never
 * leave behind. The journal of the fake CLIs is the second witness, the list of what was acknowledged the third.
 * `bun scripts/crash/check.ts DATA_DIR [JOURNAL_DIR [ACKNOWLEDGED_FILE]]` prints JSON and exits 1 where something is wrong.
 */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Journal from "./Journal.ts"

export interface CheckInput {
  readonly dataDir: string
  /** Of the fake CLIs. */
  readonly journal?: string
  /** A file with the id of a task on each line that its submitter was told is accepted. */
  readonly acknowledged?: string
  /** Ids that must be there, whoever submitted them. */
  readonly expected?: ReadonlyArray<string>
  /** The node was to go on until all had ended. Default true. */
  readonly ended?: boolean
  /** The node forgets what has ended: what is not there may have ended, and what is asked for again is done again. */
  readonly forgets?: boolean
}

export interface Report {
  /** A sentence each; empty where all is as it must be. */
  readonly problems: ReadonlyArray<string>
  readonly tasks: number
  readonly acknowledged: number
  readonly states: Readonly<Record<string, number>>
  readonly attempts: number
  /** Attempts that were cut off and begun again. */
  readonly abandoned: number
  /** Tasks whose work the journal has as done more than once, because a crash came between the work and its record. */
  readonly doneAgain: number
}

interface Task {
  readonly seq: number
  readonly id: string
  readonly state: string
  readonly attempt: number
  readonly before: number
  readonly agent: string | null
  readonly submitted_at: number
  readonly started_at: number | null
  readonly ended_at: number | null
  readonly due_at: number | null
  readonly after: string | null
  readonly evidence: string | null
}

interface Attempt {
  readonly attempt: number
  readonly agent: string
  readonly begun_at: number
  readonly ended_at: number | null
  readonly ended: string | null
  readonly fault: string | null
}

interface Result {
  readonly task: string
  readonly status: string
  readonly text: string
  readonly attempts: number
  readonly agent?: string
  readonly fault?: { readonly kind: string }
}

const FINAL = new Set(["succeeded", "failed", "cancelled", "dead"])
const STATES = new Set(["queued", "running", "parked", "waiting", ...FINAL])
/** What an attempt may end with where the task is not over. */
const GIVEN_BACK = new Set(["queued", "parked", "waiting"])
/** Older attempts are forgotten. */
const KEPT_ATTEMPTS = 100

export const check = (input: CheckInput): Report => {
  const { dataDir, ended = true, forgets = false } = input
  const problems: Array<string> = []
  const db = new DatabaseSync(join(dataDir, "ledger.db"), { readOnly: true })
  const all = <Row>(sql: string) => db.prepare(sql).all() as unknown as ReadonlyArray<Row>
  try {
    const whole = all<{ integrity_check: string }>("PRAGMA integrity_check")
    if (whole[0]?.integrity_check !== "ok") problems.push(`the file is damaged: ${JSON.stringify(whole)}`)
    const tasks = all<Task>("SELECT t.*, c.after, c.evidence FROM tasks t LEFT JOIN contents c ON c.seq = t.seq")
    const results = Map.groupBy(
      all<{ seq: number; result: string }>("SELECT seq, result FROM results"),
      ({ seq }) => seq
    )
    const attempts = Map.groupBy(
      all<Attempt & { seq: number }>("SELECT * FROM attempts ORDER BY seq, attempt"),
      ({ seq }) => seq
    )
    const waits = Map.groupBy(all<{ seq: number; on_id: string }>("SELECT seq, on_id FROM waits"), ({ seq }) => seq)
    const byId = new Map(tasks.map((task) => [task.id, task]))
    const seqs = new Set(tasks.map(({ seq }) => seq))
    if (byId.size !== tasks.length) problems.push("two tasks have one id")
    for (const [table, rows] of [
      ["results", results],
      ["attempts", attempts],
      ["waits", waits]
    ] as const)
      for (const seq of rows.keys()) if (!seqs.has(seq)) problems.push(`${table} has a row of no task (${seq})`)

    for (const task of tasks) {
      const wrong = (what: string) => problems.push(`${task.id} (${task.state}): ${what}`)
      const tried = attempts.get(task.seq) ?? []
      checkState(task, ended, waits.has(task.seq), wrong)
      checkAttempts(task, tried, wrong)
      checkResult(task, results.get(task.seq) ?? [], wrong)
      checkWaits(task, waits.get(task.seq) ?? [], tried, byId, forgets, wrong)
      if (task.state === "succeeded") checkEvidence(task, dataDir, wrong)
    }

    const acknowledged =
      input.acknowledged === undefined || !existsSync(input.acknowledged)
        ? []
        : readFileSync(input.acknowledged, "utf8").split("\n").slice(0, -1)
    for (const id of [...acknowledged, ...(input.expected ?? [])])
      if (!byId.has(id) && !forgets) problems.push(`${id}: it was accepted, and it is not there`)

    const texts = new Map(tasks.map(({ id, seq }) => [id, parse(results.get(seq)?.[0]?.result)?.text]))
    const doneAgain =
      input.journal === undefined ? 0 : checkJournal(input.journal, byId, attempts, texts, forgets, problems)
    const states: Record<string, number> = {}
    for (const { state } of tasks) states[state] = (states[state] ?? 0) + 1
    const made = [...attempts.values()].flat()
    return {
      problems,
      tasks: tasks.length,
      acknowledged: new Set(acknowledged).size,
      states,
      attempts: made.length,
      abandoned: made.filter(isAbandoned).length,
      doneAgain
    }
  } finally {
    db.close()
  }
}

type Wrong = (what: string) => unknown

const parse = (text: string | undefined) => (text === undefined ? undefined : (JSON.parse(text) as Result))

const isAbandoned = ({ fault }: Attempt) => fault !== null && JSON.parse(fault).kind === "AttemptAbandoned"

const checkState = (task: Task, ended: boolean, waits: boolean, wrong: Wrong) => {
  const { due_at, ended_at, state } = task
  if (!STATES.has(state)) wrong("no such state")
  if (ended && !FINAL.has(state)) wrong("it has not ended")
  if (FINAL.has(state) !== (ended_at !== null)) wrong(`its end is at ${ended_at}`)
  if (due_at !== null && state !== "parked" && state !== "running") wrong("it is due, and nothing waits for that")
  // Nobody would ever look at it again.
  if (state === "parked" && due_at === null && !waits) wrong("it is parked without a date, and waits for no task")
  if (state === "running" && due_at !== null) wrong("no node takes a lease on its own ledger")
}

const checkAttempts = ({ attempt, before, state }: Task, tried: ReadonlyArray<Attempt>, wrong: Wrong) => {
  const first = Math.max(1, attempt - KEPT_ATTEMPTS + 1)
  const numbers = tried.map((each) => each.attempt)
  const expected = Array.from({ length: attempt - first + 1 }, (_, index) => first + index)
  if (JSON.stringify(numbers) !== JSON.stringify(expected)) wrong(`attempts ${numbers} instead of ${expected}`)
  if (before > attempt) wrong(`${before} attempts before, of ${attempt}`)
  if (state === "running" && tried.at(-1)?.ended !== null) wrong("it runs in an attempt that has ended")
  for (const [index, each] of tried.entries()) {
    const { attempt: number, begun_at, ended, ended_at } = each
    const isLast = index === tried.length - 1
    if ((ended === null) !== (ended_at === null)) wrong(`attempt ${number} has half an end`)
    if (ended === null && (state !== "running" || !isLast)) wrong(`attempt ${number} has no end`)
    if (ended_at !== null && ended_at < begun_at) wrong(`attempt ${number} ended before it began`)
    const next = tried[index + 1]
    if (next !== undefined && ended_at !== null && next.begun_at < ended_at)
      wrong(`attempt ${next.attempt} began before attempt ${number} had ended`)
    if (ended === null || GIVEN_BACK.has(ended)) continue
    // A former life of a task that was asked for again may have ended in any way but well.
    if (number <= before ? ended === "succeeded" : !isLast || ended !== state)
      wrong(`attempt ${number} of ${tried.length} ended as ${ended}`)
  }
  const last = tried.at(-1)
  if ((state === "succeeded" || state === "failed") && last?.ended !== state)
    wrong(`its last attempt is ${last?.ended}`)
}

const checkResult = (
  { attempt, before, id, state }: Task,
  rows: ReadonlyArray<{ readonly result: string }>,
  wrong: Wrong
) => {
  if (rows.length !== (FINAL.has(state) ? 1 : 0)) return wrong(`it has ${rows.length} results`)
  const result = parse(rows[0]?.result)
  if (result === undefined) return
  if (result.task !== id) wrong(`its result is that of ${result.task}`)
  if (result.status !== (state === "succeeded" ? "succeeded" : "failed")) wrong(`its result says ${result.status}`)
  if (result.attempts !== attempt - before) wrong(`its result says ${result.attempts} attempts of ${attempt - before}`)
  if ((result.fault === undefined) !== (state === "succeeded")) wrong("its result has the wrong fault, or none")
}

const checkWaits = (
  task: Task,
  waits: ReadonlyArray<{ readonly on_id: string }>,
  tried: ReadonlyArray<Attempt>,
  byId: ReadonlyMap<string, Task>,
  forgets: boolean,
  wrong: Wrong
) => {
  if (waits.length > 0 && task.state !== "parked") wrong(`it waits for ${waits.map(({ on_id }) => on_id)}`)
  for (const { on_id } of waits) {
    const on = byId.get(on_id)
    if (on === undefined || FINAL.has(on.state)) wrong(`it waits for ${on_id}, which has ended or is not there`)
  }
  const edges = (JSON.parse(task.after ?? "[]") as ReadonlyArray<string | { task: string; onFailure?: string }>).map(
    (edge) => (typeof edge === "string" ? { task: edge } : edge)
  )
  const begun = tried[0]?.begun_at
  for (const edge of edges) {
    const on = byId.get(edge.task)
    if (on === undefined) {
      if (!forgets) wrong(`it is to come after ${edge.task}, which is not there`)
      continue
    }
    if (!forgets && begun !== undefined && (on.ended_at === null || on.ended_at > begun))
      wrong(`it began before ${on.id} had ended`)
    const cancels = FINAL.has(on.state) && on.state !== "succeeded" && edge.onFailure !== "run"
    if (cancels && task.state !== "cancelled") wrong(`${on.id} is ${on.state}`)
  }
}

/** The files that were to prove it; commands are not run again. */
const checkEvidence = ({ agent, evidence }: Task, dataDir: string, wrong: Wrong) => {
  for (const { file } of JSON.parse(evidence ?? "[]") as ReadonlyArray<{ readonly file?: string }>)
    if (file !== undefined && !existsSync(join(dataDir, "agents", agent ?? "", "workspace", file)))
      wrong(`its evidence ${file} is not in the workspace of ${agent}`)
}

/** How many were done more than once. */
const checkJournal = (
  directory: string,
  byId: ReadonlyMap<string, Task>,
  attempts: ReadonlyMap<number, ReadonlyArray<Attempt>>,
  texts: ReadonlyMap<string, string | undefined>,
  forgets: boolean,
  problems: Array<string>
): number => {
  const { works, wrong } = Journal.read(directory)
  for (const line of wrong) problems.push(`the journal has "${line}"`)
  let doneAgain = 0
  for (const [id, all] of works) {
    const task = byId.get(id)
    if (task === undefined) {
      if (!forgets) problems.push(`${id}: it was worked on, and it is not there`)
      continue
    }
    const tried = attempts.get(task.seq) ?? []
    const say = (what: string) => problems.push(`${id} (${task.state}): ${what}`)
    const overtaken = all.filter(({ overtaken }) => overtaken)
    if (overtaken.length > 0) say(`the work ${overtaken.map(({ run }) => run)} went on when the next had begun`)
    const done = all.filter((work) => work.done)
    if (done.length > 1) {
      doneAgain++
      // Only what was cut off may be done once more: at most once for each time.
      const cutOff = tried.filter(({ ended }) => ended !== null && GIVEN_BACK.has(ended)).length
      if (!forgets && done.length - 1 > cutOff) say(`it was done ${done.length} times, and cut off ${cutOff} times`)
    }
  }
  for (const task of byId.values()) {
    if (task.state !== "succeeded") continue
    const done = (works.get(task.id) ?? []).filter((work) => work.done)
    const text = texts.get(task.id)?.split(" ").slice(0, 4).join(" ")
    if (text !== `did ${task.id} in ${done.at(-1)?.run}`)
      problems.push(`${task.id}: its result is "${text}", and the last that was done is ${done.at(-1)?.run}`)
  }
  return doneAgain
}

if (import.meta.main) {
  const [dataDir, journal, acknowledged] = process.argv.slice(2)
  if (dataDir === undefined) {
    console.error("usage: bun scripts/crash/check.ts DATA_DIR [JOURNAL_DIR [ACKNOWLEDGED_FILE]]")
    process.exit(2)
  }
  const report = check({
    dataDir,
    ...(journal === undefined ? {} : { journal }),
    ...(acknowledged === undefined ? {} : { acknowledged })
  })
  console.log(JSON.stringify(report, undefined, 2))
  process.exit(report.problems.length === 0 ? 0 : 1)
}
