/**
 * What may be written in the config file, and what the runtime makes of it. The rooms own the settings; this file puts
 * them together.
 */
import { Effect, type Redacted, Schema } from "effect"
import { AgentSpec } from "../agent/AgentSpec.ts"
import { WorkspaceSettings } from "../agent/WorkspaceSpec.ts"
import { ClaudeSettings } from "../claude/ClaudeSettings.ts"
import type { TaskId } from "../domain/Ids.ts"
import { wholeNumber } from "../domain/Setting.ts"
import { Text } from "../domain/Text.ts"
import { FleetSettings } from "../fleet/FleetSettings.ts"
import { LogSettings } from "../observability/LogSettings.ts"
import { ProcessSettings } from "../process/ProcessSettings.ts"
import { SupervisionSettings } from "../supervision/SupervisionSettings.ts"
import { KEPT } from "../task/LedgerStore.ts"
import { RetrySettings } from "../task/RetrySettings.ts"
import { RoutingSettings } from "../task/RoutingSettings.ts"
import { TaskSpec } from "../task/TaskSpec.ts"
import { TransportSettings } from "../transport/TransportSettings.ts"

export const MAX_AGENTS = 1000
export const MAX_TASKS = 10_000
/** Beside the config file. */
export const DATA_DIR = ".mister-smith"

/** The file. Every key but `agents` may be left out. */
export const ConfigFile = Schema.Struct({
  $schema: Schema.optionalKey(Schema.String).annotateKey({
    description: "Where an editor finds the JSON Schema of this file (`mister-smith schema` prints it)"
  }),
  name: Text.pipe(Schema.withDecodingDefaultKey(Effect.succeed("mister-smith"))).annotateKey({
    description: 'What this node is called. Default "mister-smith"'
  }),
  dataDir: Text.pipe(Schema.withDecodingDefaultKey(Effect.succeed(DATA_DIR))).annotateKey({
    description: 'Where state is kept, relative to this file; made when it is not there. Default ".mister-smith"'
  }),
  tasksKept: wholeNumber(1, 1_000_000)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(KEPT.tasks)))
    .annotateKey({
      description:
        "How many tasks that have ended are kept under dataDir with their results, which together may be 1 GiB of text; the oldest go first. Default 10000"
    }),
  deadTasksKept: wholeNumber(1, 1_000_000)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(KEPT.dead)))
    .annotateKey({
      description:
        "How many tasks that were given up are kept as dead letters, beside tasksKept others; the oldest go first. Default 10000"
    }),
  claude: ClaudeSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "The Claude CLI"
  }),
  process: ProcessSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "How processes are kept, measured and ended"
  }),
  supervision: SupervisionSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "What happens when agents fail"
  }),
  retry: RetrySettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "When a task is tried again"
  }),
  routing: RoutingSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "Who gets which task"
  }),
  transport: TransportSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "How nodes reach each other"
  }),
  fleet: FleetSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "This node among others"
  }),
  logs: LogSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "What is logged, and the files it goes to"
  }),
  workspaces: WorkspaceSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "How much is kept of what tasks leave in workspaces of their own"
  }),
  agents: Schema.Array(AgentSpec)
    .pipe(
      Schema.check(
        Schema.isMinLength(1, { message: "expected at least one agent" }),
        Schema.isMaxLength(MAX_AGENTS, { message: `expected at most ${MAX_AGENTS} entries` })
      )
    )
    .annotateKey({ description: "Who works" }),
  tasks: Schema.Array(TaskSpec)
    .pipe(
      Schema.check(Schema.isMaxLength(MAX_TASKS, { message: `expected at most ${MAX_TASKS} entries` })),
      Schema.withDecodingDefaultKey(Effect.succeed([]))
    )
    .annotateKey({ description: "What is done first. Default none" })
})
export type ConfigFile = typeof ConfigFile.Type

/** As it is written. */
export type ConfigInput = typeof ConfigFile.Encoded

/** What the runtime works with: paths are absolute, secrets are found and Redacted, tasks have ids. */
export interface Config extends Omit<ConfigFile, "claude" | "fleet" | "tasks"> {
  /** The directory of the config file. */
  readonly baseDir: string
  readonly claude: Omit<ClaudeSettings, "env"> & { readonly env: Readonly<Record<string, Redacted.Redacted>> }
  /** `seed` is what `signing.seed` refers to. */
  readonly fleet: FleetSettings & { readonly seed?: Redacted.Redacted }
  readonly tasks: ReadonlyArray<TaskSpec & { readonly id: TaskId }>
}
