/** How a task may have ended, for tests and benches that need not say more. */
import { noUsage, type TaskResult } from "../../src/domain/Task.ts"

export const fault = { kind: "RateLimited", message: "wait", severity: "medium", recovery: "retry" } as const

export const done = (task: string, change: Partial<TaskResult> = {}): TaskResult => ({
  task,
  status: "succeeded",
  text: "done",
  output: undefined,
  fault: undefined,
  agent: "a",
  session: undefined,
  attempts: 1,
  denied: [],
  usage: noUsage,
  tookMillis: 1,
  ...change
})

export const failed = (task: string): TaskResult => done(task, { status: "failed", text: "", fault })
