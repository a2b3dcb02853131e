/**
 * Places at which a test build of the runtime can be told to die, as by SIGKILL and at that very instruction: before and
 * after whatever must not be lost by it. `MISTER_SMITH_CRASH_AT=name[:nth]` names one, `MISTER_SMITH_CRASH_MARK` a file
 * into which it writes its name first, as the proof that it was there.
 *
 * In a release no call of `crashPoint` is left (scripts/build.ts); run from its sources, the runtime heeds none unless
 * `MISTER_SMITH_CRASH_POINTS` is `on`.
 */
import { appendFileSync } from "node:fs"

/** What moves tasks in the ledger: each is one transaction. */
export const LEDGER_STEPS = ["submit", "claim", "renew", "complete", "park", "cancel", "recover", "due"] as const
export type LedgerStep = (typeof LEDGER_STEPS)[number]

/** What of a transaction is over: nothing; all but the commit; the commit; and it was told. */
const LEDGER_MOMENTS = ["before", "within", "written", "told"] as const

/** No node takes a lease on its own ledger. */
type Unreached = "renew"

const OTHERS = [
  // The data directory: its id, and who holds it.
  "dir.id.before",
  "dir.id.within",
  "dir.id.after",
  "dir.held",
  // The ledger's file and its schema.
  "database.schema.before",
  "database.schema.within",
  "database.schema.after",
  "ledger.forget.before",
  "ledger.forget.within",
  "ledger.forget.after",
  // What earlier lives have left, and who outlives this one.
  "sweep.before",
  "sweep.ended",
  "sweep.after",
  "guardian.before",
  "guardian.after",
  // A process: made, recorded, proven gone, forgotten.
  "spawn.before",
  "spawn.after",
  "spawn.recorded",
  "spawn.gone",
  "spawn.forgotten",
  // An agent: its settings, and the list of those who are kept down.
  "agent.settings.before",
  "agent.settings.after",
  "agent.stopped.before",
  "agent.stopped.within",
  "agent.stopped.after",
  // A task's workspace. Its record: meant, on the disk under another name, written; and what is done between two records.
  "workspace.record.before",
  "workspace.record.within",
  "workspace.record.after",
  "workspace.make.before",
  "workspace.make.after",
  "workspace.archive.before",
  "workspace.archive.after",
  "workspace.remove.before",
  "workspace.stand.within",
  "workspace.stand.after",
  "workspace.remove.after",
  "workspace.branch.after",
  "workspace.forget.before",
  "workspace.forget.after",
  "workspace.settle.before",
  "workspace.settle.after",
  // A turn: sent, answered, verified, and about to be written down.
  "turn.before",
  "turn.sent",
  "turn.answered",
  "verify.before",
  "verify.after",
  "settle.before",
  "settle.after",
  // Events.
  "publish.before",
  "publish.after",
  // The door, and the answer to who submits: it was heard, it is kept, it was answered.
  "socket.before",
  "socket.after",
  "ack.before",
  "ack.kept",
  "ack.sent"
] as const

/** Of a node that is cut off from its fleet: what it keeps, what it delivers, and tasks of its own that go there. */
export const EDGE_POINTS = [
  "edge.keep.before",
  "edge.keep.after",
  "edge.deliver.before",
  "edge.deliver.within",
  "edge.deliver.after",
  "edge.leave.before",
  "edge.leave.within",
  "edge.leave.after",
  "edge.adopt.within",
  "edge.adopt.after"
] as const

export type CrashPoint =
  | `ledger.${Exclude<LedgerStep, Unreached>}.${(typeof LEDGER_MOMENTS)[number]}`
  | (typeof OTHERS)[number]

/** All that a node alone comes by. */
export const CRASH_POINTS: ReadonlyArray<CrashPoint> = [
  ...LEDGER_STEPS.flatMap((step) =>
    step === "renew" ? [] : LEDGER_MOMENTS.map((moment) => `ledger.${step}.${moment}` as const)
  ),
  ...OTHERS
]

let times = 0

/** Dies here, where it was told to. */
export function crashPoint(
  name: CrashPoint | (typeof EDGE_POINTS)[number] | `ledger.${Unreached}.${(typeof LEDGER_MOMENTS)[number]}`
): void {
  // Written out, so that a build can put a constant in its place.
  if (process.env.MISTER_SMITH_CRASH_POINTS !== "on") return
  const [at = "", nth = "1"] = (process.env["MISTER_SMITH_CRASH_AT"] ?? "").split(":")
  if (at !== name || ++times < Number(nth)) return
  const mark = process.env["MISTER_SMITH_CRASH_MARK"]
  if (mark !== undefined) appendFileSync(mark, `${name} ${process.pid}\n`)
  process.kill(process.pid, "SIGKILL")
  // Nobody comes here; should the signal take its time, nothing more is done.
  while (true);
}
