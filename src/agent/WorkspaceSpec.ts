/**
 * Where an agent works: in one directory for all its tasks, in a fresh directory for each, or in a git worktree and on a
 * branch for each. And how much of what tasks leave behind is kept on this node.
 */
import { Effect, Schema } from "effect"
import { ByteSizeFromString, PositiveDurationFromString } from "../domain/Quantity.ts"
import { wholeNumber } from "../domain/Setting.ts"
import { Text } from "../domain/Text.ts"

/** Where the name of the task goes in the name of a branch. */
export const TASK = "{task}"

const Branch = Schema.String.pipe(
  Schema.check(
    // What git takes as a name, and no more: no space, no "..", no component that begins with a dot or a dash.
    Schema.isPattern(
      /^(?!.*(?:\.\.|\/\/|\.lock(?:\/|$)|[./]$))(?:[A-Za-z0-9_][\w.-]*\/)*[\w.-]*\{task\}[\w-]*(?:\/[A-Za-z0-9_][\w.-]*)*$/,
      { message: 'expected the name of a branch with {task} in it, such as "mister-smith/{task}"' }
    ),
    Schema.isPattern(/^[A-Za-z0-9_{]/, { message: "expected a name that begins with a letter or a digit" }),
    Schema.isMaxLength(200, { message: "expected at most 200 characters" })
  )
)

export const WorktreeSpec = Schema.Struct({
  kind: Schema.Literal("worktree").annotateKey({ description: "A git worktree and a branch for each task" }),
  repository: Text.annotateKey({
    description: "The repository, relative to the config file: a clone, or a bare one; it must exist"
  }),
  base: Schema.optionalKey(
    Text.pipe(Schema.check(Schema.isPattern(/^[^-]/, { message: "expected the name of a branch, a tag or a commit" })))
  ).annotateKey({
    description: "What a task begins from, and what its work must be merged into. Default: the repository's HEAD"
  }),
  branch: Branch.pipe(Schema.withDecodingDefaultKey(Effect.succeed(`mister-smith/${TASK}`))).annotateKey({
    description: 'The name of the branch; {task} is the task\'s id. Default "mister-smith/{task}"'
  }),
  keep: Schema.Literals(["unmerged", "always"])
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("unmerged" as const)))
    .annotateKey({
      description:
        "unmerged: removed after its task where it is clean and its commits are in the base or pushed to its upstream. always: kept until it is over a limit. Default unmerged"
    })
})
export type WorktreeSpec = typeof WorktreeSpec.Type

export const WorkspaceSpec = Schema.Union([
  Text,
  Schema.Struct({
    kind: Schema.Literal("directory").annotateKey({ description: "One directory for all tasks" }),
    path: Text.annotateKey({ description: "The directory, relative to the config file; it must exist" })
  }),
  Schema.Struct({
    kind: Schema.Literal("fresh").annotateKey({ description: "An empty directory under dataDir for each task" })
  }),
  WorktreeSpec
])
export type WorkspaceSpec = typeof WorkspaceSpec.Type

/** One that each task has for itself. */
export type OwnSpec = Extract<WorkspaceSpec, { readonly kind: "fresh" | "worktree" }>

export const ownOf = (spec: WorkspaceSpec | undefined): OwnSpec | undefined =>
  typeof spec === "object" && spec.kind !== "directory" ? spec : undefined

/** The directory for all tasks, where one is named. */
export const fixedOf = (spec: WorkspaceSpec | undefined): string | undefined =>
  typeof spec === "string" ? spec : spec?.kind === "directory" ? spec.path : undefined

/** The same with every path made absolute. */
export const resolved = (spec: WorkspaceSpec, absolute: (path: string) => string): WorkspaceSpec =>
  typeof spec === "string"
    ? absolute(spec)
    : spec.kind === "directory"
      ? { ...spec, path: absolute(spec.path) }
      : spec.kind === "worktree"
        ? { ...spec, repository: absolute(spec.repository) }
        : spec

const count = wholeNumber(1, 10_000)

/** Bounds on what ended tasks leave behind. What runs is not counted. */
export const WorkspaceSettings = Schema.Struct({
  kept: count.pipe(Schema.withDecodingDefaultKey(Effect.succeed(50))).annotateKey({
    description:
      "How many workspaces of tasks are kept that nothing runs in; of more, the oldest worktrees of ended tasks are archived to a ref and removed. Default 50"
  }),
  size: ByteSizeFromString.pipe(Schema.withDecodingDefaultKey(Effect.succeed("20 GiB" as const))).annotateKey({
    description: 'How much room those may take together. Default "20 GiB"'
  }),
  age: Schema.optionalKey(PositiveDurationFromString).annotateKey({
    description: "How long a worktree is kept after its task has ended, before it is archived. Default: no such bound"
  })
})
export type WorkspaceSettings = typeof WorkspaceSettings.Type
