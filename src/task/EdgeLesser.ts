/**
 * What is told of an attempt where the fleet cannot hold the report as it was made: that it is over must be known there, or
 * its task would be held by this node for as long as that lives. First goes what only explains; an answer that cannot be
 * kept makes of the task a dead letter that says so.
 */
import { type Fault, type FaultReport, report as faultReport } from "../domain/Fault.ts"
import type { TaskResult } from "../domain/Task.ts"
import { endedSo } from "./Adopting.ts"
import type { Report } from "./Outbox.ts"
import { MAX_WORDS, type TaskRecord } from "./TaskRecord.ts"

const bare = (result: TaskResult): TaskResult => ({ ...result, text: "", output: undefined, denied: [] })

/** An answer that is lost is a failure. What failed before says more by that than that there was no room for its words. */
const bareEnd = (result: TaskResult, fault: FaultReport): TaskResult =>
  result.status === "succeeded" ? { ...bare(result), status: "failed", fault } : bare(result)

/** Less and less of a report, to be tried in this order. The last is as short as a report can be. */
export const lesser = (report: Report, fault: Fault): ReadonlyArray<Report> => {
  const without = { words: undefined, missing: undefined }
  if (report.kind === "park") return [{ kind: "park", why: { ...report.why, ...without } }]
  if (report.kind === "awaitPerson") return [{ kind: "awaitPerson", why: { ...report.why, ...without } }]
  const { kind, result } = report
  const end = bareEnd(result, faultReport(fault))
  if (result.status !== "succeeded") return [{ kind, result: end }]
  return [
    { kind: "giveUp", result: end, remains: { words: result.text.slice(-MAX_WORDS) } },
    { kind: "giveUp", result: end }
  ]
}

/** Has the task ended with less of this very report? With what was said of why, or of what it failed with. */
export const endedLess = (record: TaskRecord, report: Report): FaultReport | undefined => {
  const fault = record.result?.fault
  if (fault === undefined || !("result" in report)) return undefined
  return endedSo(record, { result: bareEnd(report.result, fault) }) ? fault : undefined
}
