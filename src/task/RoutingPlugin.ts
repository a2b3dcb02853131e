/**
 * A strategy of the user's own: a file of TypeScript or JavaScript that is loaded once, at the start. What it may be told
 * is here as types; it is given copies, so that nothing it does to them changes anything. What becomes of its answers is
 * Routing.ts.
 */
import { accessSync, constants } from "node:fs"
import { pathToFileURL } from "node:url"
import { type Duration, Effect } from "effect"
import type { AgentLoad } from "./AgentLoad.ts"
import { PluginBroken, type PluginError, PluginMissing, PluginNotAFunction } from "./RoutingError.ts"
import type { Candidate } from "./Strategies.ts"
import type { TaskRecord } from "./TaskRecord.ts"

/** The task that is to be given to somebody. */
export interface RoutingTask {
  readonly id: string
  readonly type: string
  readonly prompt: string
  readonly agent: string | undefined
  readonly capabilities: ReadonlyArray<string>
  readonly labels: Readonly<Record<string, string>>
  readonly priority: number
  /** How often it was begun. */
  readonly attempt: number
  /** Milliseconds since the epoch. */
  readonly submittedAt: number
}

/** An agent that may take it, and is idle. */
export interface RoutingAgent {
  readonly id: string
  /** The id in the config, which replicas share. */
  readonly group: string
  readonly taskTypes: ReadonlyArray<string>
  readonly capabilities: ReadonlyArray<string>
  readonly weight: number
  readonly load: AgentLoad
  /** In bytes, and of one core; undefined where it was not measured. */
  readonly memory: number | undefined
  readonly cpuPercent: number | undefined
}

export interface RoutingContext {
  /** From 0 up to 1. */
  readonly random: number
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Who last worked for the task's label, idle or not. */
  readonly last: string | undefined
}

/**
 * Answers at once with the id of one of the agents, of which there is at least one; undefined leaves it to the default
 * strategy.
 */
export type RoutingPlugin = (
  task: RoutingTask,
  agents: ReadonlyArray<RoutingAgent>,
  context: RoutingContext
) => string | undefined

export const taskOf = ({ attempt, id, spec, submittedAt }: TaskRecord): RoutingTask => ({
  id,
  type: spec.type,
  prompt: spec.prompt,
  agent: spec.agent,
  capabilities: [...(spec.capabilities ?? [])],
  labels: spec.labels ?? {},
  priority: spec.priority ?? 0,
  attempt,
  submittedAt
})

export const agentOf = ({ capabilities, group, id, load, taskTypes, usage, weight }: Candidate): RoutingAgent => ({
  id,
  group,
  taskTypes: [...taskTypes],
  capabilities: [...capabilities],
  weight,
  load: { ...load },
  memory: usage?.memory,
  cpuPercent: usage?.cpuPercent
})

/** How long a file may take to be loaded: one that waits for something at its top may wait for ever. */
const LOADING: Duration.Input = "10 seconds"

/** Loads it. The runtimes read TypeScript themselves, the compiled binary too. */
export const load = Effect.fn("RoutingPlugin.load")(function* (
  file: string
): Effect.fn.Return<RoutingPlugin, PluginError> {
  yield* Effect.try({
    try: () => accessSync(file, constants.R_OK),
    catch: (error) => new PluginMissing({ file, reason: sentence(error) })
  })
  const url = pathToFileURL(file).href
  const module = yield* Effect.tryPromise({
    try: () => import(/* @vite-ignore */ url) as Promise<{ readonly default?: unknown }>,
    catch: (error) => new PluginBroken({ file, reason: sentence(error) })
  }).pipe(
    Effect.timeoutOrElse({
      duration: LOADING,
      orElse: () => Effect.fail(new PluginBroken({ file, reason: `it was not loaded within ${LOADING}` }))
    })
  )
  const plugin = module.default
  if (typeof plugin === "function") return plugin as RoutingPlugin
  return yield* new PluginNotAFunction({ file, found: plugin === undefined ? "none" : `a ${typeof plugin}` })
})

/** Of what was thrown, whatever it is, on one line. */
export const sentence = (error: unknown): string => {
  try {
    const text = error instanceof Error ? error.message : String(error)
    return text.replace(/\s+/g, " ").trim().slice(0, LONGEST)
  } catch {
    return "something that cannot be told was thrown"
  }
}

/** Of a reason, in characters. */
const LONGEST = 200
