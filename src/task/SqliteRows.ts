/** How a task stands in the tables of the ledger's file. */
import type { FaultReport } from "../domain/Fault.ts"
import { noUsage, type TaskResult, type TaskState, type TaskUsage } from "../domain/Task.ts"
import type { Row, Value } from "../state/Database.ts"
import { ofLane } from "./Needs.ts"
import type { AttemptRecord, MissingProof, TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"

/** Names the ledger in the file's head: "MSml". */
export const APPLICATION_ID = 0x4d536d6c

/**
 * The schema, step by step. A row of `tasks` is small, because every move writes it anew; long prompts and the results
 * stand beside it. `fresh`, `turn` and `place` are the order of the queue: what was begun before first, then see Turn.ts.
 */
export const MIGRATIONS: ReadonlyArray<string> = [
  `
  CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    wanted TEXT NOT NULL,
    state TEXT NOT NULL,
    fresh INTEGER NOT NULL,
    place INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    before INTEGER NOT NULL,
    agent TEXT,
    submitted_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    due_at INTEGER,
    usage TEXT,
    fault TEXT,
    prompt TEXT
  ) STRICT;
  CREATE INDEX queue ON tasks (type, wanted, fresh, place) WHERE state = 'queued';
  CREATE INDEX due ON tasks (due_at) WHERE due_at IS NOT NULL;
  CREATE INDEX running ON tasks (seq) WHERE state = 'running';
  CREATE INDEX ended ON tasks (ended_at, seq) WHERE ended_at IS NOT NULL;
  CREATE TABLE contents (seq INTEGER PRIMARY KEY, prompt TEXT, schema TEXT) STRICT;
  CREATE TABLE results (seq INTEGER PRIMARY KEY, text INTEGER NOT NULL, result TEXT NOT NULL) STRICT;
  CREATE TABLE attempts (
    seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    agent TEXT NOT NULL,
    begun_at INTEGER NOT NULL,
    ended_at INTEGER,
    ended TEXT,
    fault TEXT,
    PRIMARY KEY (seq, attempt)
  ) STRICT, WITHOUT ROWID;
  `,
  "ALTER TABLE contents ADD COLUMN evidence TEXT",
  // What was there is in its order, and counts as having come when the last of it was submitted.
  `
  ALTER TABLE tasks ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE tasks ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
  UPDATE tasks SET turn = (SELECT max(submitted_at) FROM tasks) WHERE state = 'queued';
  DROP INDEX queue;
  CREATE INDEX queue ON tasks (type, wanted, fresh, turn, place) WHERE state = 'queued';
  ALTER TABLE contents ADD COLUMN not_before TEXT;
  ALTER TABLE contents ADD COLUMN after TEXT;
  CREATE TABLE waits (seq INTEGER NOT NULL, on_id TEXT NOT NULL, PRIMARY KEY (seq, on_id)) STRICT, WITHOUT ROWID;
  CREATE INDEX waiters ON waits (on_id, seq);
  `,
  // What a task requires is part of its lane.
  `
  ALTER TABLE tasks ADD COLUMN needs TEXT NOT NULL DEFAULT '';
  DROP INDEX queue;
  CREATE INDEX queue ON tasks (type, wanted, needs, fresh, turn, place) WHERE state = 'queued';
  `,
  // What is rarely said, as one object: see `more`.
  "ALTER TABLE contents ADD COLUMN more TEXT",
  `
  ALTER TABLE tasks ADD COLUMN interruptions INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE tasks ADD COLUMN begin_by INTEGER;
  ALTER TABLE tasks ADD COLUMN end_by INTEGER;
  CREATE INDEX begin_by ON tasks (begin_by) WHERE begin_by IS NOT NULL;
  CREATE INDEX end_by ON tasks (end_by) WHERE end_by IS NOT NULL;
  ALTER TABLE tasks ADD COLUMN series TEXT;
  ALTER TABLE tasks ADD COLUMN occurs_at INTEGER;
  CREATE INDEX series ON tasks (series) WHERE series IS NOT NULL AND ended_at IS NULL;
  ALTER TABLE attempts ADD COLUMN words TEXT;
  ALTER TABLE attempts ADD COLUMN missing TEXT;
  DROP INDEX ended;
  CREATE INDEX ended ON tasks (ended_at, seq) WHERE ended_at IS NOT NULL AND state <> 'dead';
  CREATE INDEX dead ON tasks (ended_at, seq) WHERE ended_at IS NOT NULL AND state = 'dead';
  `
]

/** All of a task, of which `t` is the row. */
export const COLUMNS = `t.seq, t.id, t.type, t.wanted, t.needs, t.state, t.attempt, t.before, t.interruptions, t.agent, t.submitted_at, t.started_at,
  t.ended_at, t.due_at, t.begin_by, t.end_by, t.series, t.occurs_at, t.usage, t.fault, t.priority, coalesce(t.prompt, c.prompt) AS prompt, c.schema,
  c.evidence, c.not_before, c.after, c.more, r.result`
export const JOINS = "LEFT JOIN contents c ON c.seq = t.seq LEFT JOIN results r ON r.seq = t.seq"

/** Longer prompts stand beside the row, in characters. */
export const INLINE = 1_000

const parsed = <A>(text: Value | undefined): A | undefined =>
  typeof text === "string" ? (JSON.parse(text) as A) : undefined
export const json = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value))
const number = (value: Value | undefined) => (typeof value === "number" ? value : undefined)
const string = (value: Value | undefined) => (typeof value === "string" ? value : undefined)

/** What has no column of its own. */
export const more = (spec: TaskSpec): string | null => {
  const { budget, files, labels, node, prefer, retry, schedule, session, timeouts, traceparent } = spec
  const text = JSON.stringify({ budget, files, labels, node, prefer, retry, schedule, session, timeouts, traceparent })
  return text === "{}" ? null : text
}

export const recordOf = (row: Row): TaskRecord => {
  const state = row["state"] as TaskState
  const schema = parsed<unknown>(row["schema"])
  const evidence = parsed<unknown>(row["evidence"])
  const after = parsed<unknown>(row["after"])
  const [wanted] = String(row["wanted"]).split(" ")
  const due = number(row["due_at"])
  const spec = {
    id: row["id"],
    type: row["type"],
    prompt: row["prompt"],
    ...(wanted === "" ? {} : { agent: wanted }),
    ...ofLane(String(row["needs"])),
    ...(schema === undefined ? {} : { schema }),
    ...(evidence === undefined ? {} : { evidence }),
    ...(row["priority"] === 0 ? {} : { priority: row["priority"] }),
    ...(row["not_before"] === null ? {} : { notBefore: row["not_before"] }),
    ...(after === undefined ? {} : { after }),
    ...parsed<object>(row["more"])
  } as TaskSpec
  return {
    id: String(row["id"]),
    spec,
    state,
    attempt: Number(row["attempt"]),
    before: Number(row["before"]),
    interruptions: Number(row["interruptions"]),
    agent: string(row["agent"]),
    // Whose file this is: there is no other.
    node: undefined,
    submittedAt: Number(row["submitted_at"]),
    startedAt: number(row["started_at"]),
    endedAt: number(row["ended_at"]),
    // One column, one index: a date on which something must be done about it.
    dueAt: state === "running" ? undefined : due,
    leaseUntil: state === "running" ? due : undefined,
    beginBy: number(row["begin_by"]),
    endBy: number(row["end_by"]),
    series: string(row["series"]),
    occursAt: number(row["occurs_at"]),
    lastFault: parsed<FaultReport>(row["fault"]),
    usage: parsed<TaskUsage>(row["usage"]) ?? noUsage,
    result: resultOf(row["result"])
  }
}

/** JSON leaves out what is undefined. */
const resultOf = (text: Value | undefined): TaskResult | undefined => {
  const result = parsed<TaskResult>(text)
  return result === undefined
    ? undefined
    : { ...result, output: result.output, fault: result.fault, agent: result.agent, session: result.session }
}

export const attemptOf = (row: Row): AttemptRecord => {
  const words = string(row["words"])
  const missing = parsed<ReadonlyArray<MissingProof>>(row["missing"])
  return {
    attempt: Number(row["attempt"]),
    agent: String(row["agent"]),
    begunAt: Number(row["begun_at"]),
    endedAt: number(row["ended_at"]),
    ended: string(row["ended"]) as TaskState | undefined,
    fault: parsed<FaultReport>(row["fault"]),
    ...(words === undefined ? {} : { words }),
    ...(missing === undefined ? {} : { missing })
  }
}
