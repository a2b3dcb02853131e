/** Settings as the config would decode them, for tests that need one thing of them. */
import { Duration } from "effect"
import { AgentId, TaskId, TaskType } from "../../src/domain/Ids.ts"
import type { RetrySettings } from "../../src/task/RetrySettings.ts"
import type { TaskSpec } from "../../src/task/TaskSpec.ts"

export const task = ({
  agent,
  capabilities,
  id,
  labels,
  node,
  prefer,
  priority,
  prompt,
  type
}: {
  readonly capabilities?: ReadonlyArray<string>
  readonly labels?: Readonly<Record<string, string>>
  readonly node?: string
  readonly prefer?: string
  readonly priority?: number
  readonly id?: string
  readonly prompt?: string
  readonly type?: string
  readonly agent?: string
} = {}): TaskSpec => ({
  ...(id === undefined ? {} : { id: TaskId.make(id) }),
  ...(agent === undefined ? {} : { agent: AgentId.make(agent) }),
  ...(capabilities === undefined ? {} : { capabilities }),
  ...(labels === undefined ? {} : { labels }),
  ...(node === undefined ? {} : { node }),
  ...(prefer === undefined ? {} : { prefer: AgentId.make(prefer) }),
  ...(priority === undefined ? {} : { priority }),
  type: TaskType.make(type ?? "task"),
  prompt: prompt ?? "do it"
})

export const retry: RetrySettings = {
  attempts: 3,
  interruptions: 10,
  delay: Duration.seconds(5),
  factor: 2,
  maxDelay: Duration.minutes(5)
}
