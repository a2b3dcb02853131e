import type { Duration } from "effect"
export interface AgentSpec {
  readonly id: string
  readonly replicas: number
  readonly taskTypes: ReadonlyArray<string>
  readonly capabilities: ReadonlyArray<string>
  readonly model?: string
  readonly systemPrompt?: string
  readonly appendSystemPrompt?: string
  readonly workspace?: string
  readonly session: "per_task" | "keep"
  readonly permissions: {
    readonly mode: string
    readonly allow: ReadonlyArray<string>
    readonly deny: ReadonlyArray<string>
  }
  readonly limits: { readonly turns?: number; readonly taskTime: Duration.Duration }
  readonly restart: never
}
