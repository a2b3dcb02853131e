/** What a person may set about an agent, and what it is if they do not. */
import { Effect, Schema } from "effect"
import { AgentId, TaskType } from "../domain/Ids.ts"
import { duration, wholeNumber } from "../domain/Setting.ts"
import { Text } from "../domain/Text.ts"
import * as ProcessLimits from "../process/ProcessLimits.ts"
import { RestartPolicy } from "../supervision/RestartPolicy.ts"
import { WorkspaceSpec } from "./WorkspaceSpec.ts"

const none: ReadonlyArray<never> = []
const rules = Schema.Array(Text).pipe(Schema.withDecodingDefaultKey(Effect.succeed(none)))

/** Goes to the CLI as a message, at any length. */
const prompt = Schema.String.pipe(Schema.check(Schema.isNonEmpty({ message: "expected text that is not empty" })))

/** The CLI's own words for what an agent may do without being asked about it. */
export const PermissionMode = Schema.Literals([
  "default",
  "acceptEdits",
  "plan",
  "dontAsk",
  "auto",
  "bypassPermissions"
])

export const Permissions = Schema.Struct({
  mode: PermissionMode.pipe(Schema.withDecodingDefaultKey(Effect.succeed("default" as const))).annotateKey({
    description:
      "Claude's permission mode. What would have to be asked is denied, and the task's result lists it. bypassPermissions as root needs IS_SANDBOX=1 in claude.env. Default default"
  }),
  allow: rules.annotateKey({ description: 'Permission rules that allow, such as "Bash(git *)". Default none' }),
  deny: rules.annotateKey({ description: 'Permission rules that deny, such as "Read(./.env)". Default none' })
})

export const Limits = Schema.Struct({
  turns: Schema.optionalKey(
    Schema.Int.pipe(Schema.check(Schema.isGreaterThanOrEqualTo(1, { message: "expected a whole number of 1 or more" })))
  ).annotateKey({ description: "Round trips to the model for one attempt at a task. Default: no limit" }),
  taskTime: duration("30 minutes", "How long one attempt at a task may take."),
  silence: duration(
    "10 minutes",
    "How long its CLI may print nothing in a turn, beyond its own rhythm and while no tool runs, before it counts as stalled and is restarted. The CLI itself waits up to 6 minutes for a silent API."
  ),
  ...ProcessLimits.fields
})

/** More replicas than this are a slip of the keyboard. */
export const MAX_REPLICAS = 1000

export const MAX_WEIGHT = 1000

/** Never a secret: it is told in events, and written where other nodes see it. */
export const AccountName = Schema.String.pipe(
  Schema.check(
    Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, {
      message: 'expected a name of at most 63 letters, digits, dashes and underscores, such as "team-1"'
    })
  )
)

export const AgentSpec = Schema.Struct({
  id: AgentId.annotateKey({ description: "Its name" }),
  replicas: wholeNumber(1, MAX_REPLICAS)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(1)))
    .annotateKey({ description: "How many agents of this kind. More than one are named id-1, id-2, … Default 1" }),
  standby: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(false))).annotateKey({
    description:
      "Waits until a step start_standby of supervision.escalation starts it in the place of one that failed. Default false"
  }),
  taskTypes: Schema.Array(TaskType)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(none)))
    .annotateKey({ description: "The types of tasks that it takes. Default: any" }),
  account: Schema.optionalKey(AccountName).annotateKey({
    description:
      "What the account is called whose credentials it uses. Agents of one name wait together when one of them meets a limit, on all nodes of the fleet. Default: an account of this node's own, with all agents that name none"
  }),
  capabilities: Schema.Array(Text)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(none)))
    .annotateKey({
      description: "What it can do, in words of your own: tasks that require it come to such agents only. Default none"
    }),
  weight: Schema.optionalKey(wholeNumber(1, MAX_WEIGHT)).annotateKey({
    description:
      "How good it is among the others: with the routing strategy priority, what is most important gets the highest. Default 1"
  }),
  model: Schema.optionalKey(Text).annotateKey({ description: "Its model. Default: claude.model" }),
  systemPrompt: Schema.optionalKey(prompt).annotateKey({
    description: "In place of Claude's own system prompt. Default: Claude's own"
  }),
  appendSystemPrompt: Schema.optionalKey(prompt).annotateKey({
    description: "After the system prompt. Default none"
  }),
  workspace: Schema.optionalKey(WorkspaceSpec).annotateKey({
    description:
      'Where it works: a directory, relative to the config file, which must exist; { "kind": "fresh" }, an empty one for each task; { "kind": "worktree", "repository": path }, a git worktree and branch for each task. Default: a directory of its own under dataDir, made when it is needed'
  }),
  session: Schema.Literals(["per_task", "keep"])
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("per_task" as const)))
    .annotateKey({
      description:
        "per_task: every task begins a conversation of its own. keep: one conversation for all, which grows and costs more with each. Default per_task"
    }),
  permissions: Permissions.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "What it may do"
  }),
  limits: Limits.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "What it may use"
  }),
  restart: RestartPolicy.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "What happens when it has ended"
  })
})
export type AgentSpec = typeof AgentSpec.Type
