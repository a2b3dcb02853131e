/**
 * What is told of an attempt where the fleet cannot hold the report as it was made: that it is over must be known there, or
 * its task would be held by this node for as long as that lives. First goes what only explains; an answer that cannot be
 * kept makes of the task a dead letter that says so.
 */
import { type Fault, report as faultReport } from "../domain/Fault.ts"
import type { TaskResult } from "../domain/Task.ts"
import type { Report } from "./Outbox.ts"
import { MAX_WORDS } from "./TaskRecord.ts"

const bare = (result: TaskResult): TaskResult => ({ ...result, text: "", output: undefined, denied: [] })

/** Less and less of a report, to be tried in this order. The last is as short as a report can be. */
export const lesser = (report: Report, fault: Fault): ReadonlyArray<Report> => {
  const without = { words: undefined, missing: undefined }
  if (report.kind === "park") return [{ kind: "park", why: { ...report.why, ...without } }]
  if (report.kind === "awaitPerson") return [{ kind: "awaitPerson", why: { ...report.why, ...without } }]
  const { kind, result } = report
  // What it failed with says more than that there was no room for its words.
  if (result.status !== "succeeded") return [{ kind, result: bare(result) }]
  const dead: TaskResult = { ...bare(result), status: "failed", fault: faultReport(fault) }
  return [
    { kind: "giveUp", result: dead, remains: { words: result.text.slice(-MAX_WORDS) } },
    { kind: "giveUp", result: dead }
  ]
}
