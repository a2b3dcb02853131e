/** An idle agent and a queued task as the router sees them, for tests that need one thing of them. */
import type { AgentSnapshot } from "../../src/agent/AgentPool.ts"
import { TaskId } from "../../src/domain/Ids.ts"
import { fresh } from "../../src/task/Move.ts"
import type { TaskRecord } from "../../src/task/TaskRecord.ts"
import { task } from "./Specs.ts"

export const agent = (id: string, change: Partial<AgentSnapshot> = {}): AgentSnapshot => ({
  id,
  group: id,
  taskTypes: [],
  capabilities: [],
  weight: 1,
  state: "idle",
  gone: change.state === "terminated",
  holds: undefined,
  ...change
})

export const record = (change: Partial<TaskRecord> = {}, spec: Parameters<typeof task>[0] = {}): TaskRecord => ({
  ...fresh({ ...task({ id: "t", ...spec }), id: TaskId.make("t") }, 0, false),
  ...change
})
