/**
 * What another config would change on a running node: which agents come, go or change and by which keys, which settings
 * hold at once, which only from the next start of the node, which tasks are new. Pure; names keys and never values, of
 * which some are secret.
 */
import { Equal, Redacted } from "effect"
import { replicas } from "../agent/AgentPool.ts"
import type { AgentSpec } from "../agent/AgentSpec.ts"
import type { Config } from "./Config.ts"

export interface AgentStep {
  readonly agent: string
  readonly do: "add" | "change" | "remove" | "keep"
  /** Which keys differ, such as `limits.turns`; those of `claude` that it follows too. */
  readonly keys: ReadonlyArray<string>
  /** Whether this takes a new CLI. */
  readonly renews: boolean
}

export interface SettingChange {
  readonly key: string
  /** `next_cli`: each agent's next CLI has it. `node_restart`: nothing has it before the node is started anew. */
  readonly holds: "now" | "next_cli" | "node_restart"
}

export interface Plan {
  /** In the order of the new config; those to be removed come last. */
  readonly agents: ReadonlyArray<AgentStep>
  readonly settings: ReadonlyArray<SettingChange>
  /** The ids of tasks that the new config has and the old one has not, or not so. */
  readonly tasks: ReadonlyArray<string>
  /** The agents stay what they are, in another order. */
  readonly reordered: boolean
}

/** Of an agent's own keys: what its life takes over as it is. */
const LIVE =
  /^(taskTypes|capabilities|weight|restart(\..+)?|limits\.(taskTime|memory|memoryHigh|cpus|processes|ioWeight|enforce))$/
/** Which of those the CLI's processes are given anew. A limit that is no more cannot be taken back from them. */
export const PROCESS_LIMIT = /^limits\.(memory|memoryHigh|cpus|processes|ioWeight|enforce)$/

const NOW = /^(retry(\..+)?|tasksKept|deadTasksKept)$/
const NEXT_CLI = /^claude\.(startTimeout|maxLine)$/

/** Who runs under a config: names and specs, in order. */
export const membersOf = ({ agents }: Config): ReadonlyMap<string, AgentSpec> => new Map(agents.flatMap(replicas))

export const plan = (old: Config, next: Config): Plan => {
  const before = membersOf(old)
  const after = membersOf(next)
  const claude = differing(old.claude, next.claude, "claude").filter((key) => !NEXT_CLI.test(key))
  const agents = [...after].map(([agent, spec]): AgentStep => {
    const was = before.get(agent)
    if (was === undefined) return { agent, do: "add", keys: [], renews: true }
    const own = differing(shared(was), shared(spec), "")
    const followed = claude.filter((key) => key !== "claude.model" || modelOf(was, old) !== modelOf(spec, next))
    const renews =
      followed.length > 0 || own.some((key) => !LIVE.test(key) || (PROCESS_LIMIT.test(key) && !has(spec, key)))
    const keys = [...own, ...followed]
    return { agent, do: keys.length === 0 ? "keep" : "change", keys, renews }
  })
  const gone = [...before.keys()].filter((agent) => !after.has(agent))
  const kept = (all: ReadonlyMap<string, unknown>, others: ReadonlyMap<string, unknown>) =>
    [...all.keys()].filter((agent) => others.has(agent))
  const earlier = new Map(old.tasks.map((task) => [task.id, task]))
  return {
    agents: [...agents, ...gone.map((agent): AgentStep => ({ agent, do: "remove", keys: [], renews: false }))],
    settings: differing(settingsOf(old), settingsOf(next), "").map((key) => ({ key, holds: holdsOf(key) })),
    tasks: next.tasks.filter((task) => !Equal.equals(plain(task), plain(earlier.get(task.id)))).map(({ id }) => id),
    reordered: !Equal.equals(kept(before, after), kept(after, before))
  }
}

/** The config that holds once the plan is carried out: what only a start of the node changes is as it was. */
export const accepted = (old: Config, { agents, claude, deadTasksKept, retry, tasks, tasksKept }: Config): Config => ({
  ...old,
  agents,
  claude,
  deadTasksKept,
  retry,
  tasks,
  tasksKept
})

/** Does anything differ that all agents share, so that they need another host? */
export const sharesDiffer = (old: Config, next: Config): boolean => differing(old.claude, next.claude, "").length > 0

const holdsOf = (key: string): SettingChange["holds"] =>
  NOW.test(key) ? "now" : NEXT_CLI.test(key) ? "next_cli" : "node_restart"

/** What concerns no single agent: all but what is compared one by one. */
const settingsOf = ({ $schema: _schema, agents: _agents, baseDir: _dir, claude, tasks: _tasks, ...rest }: Config) => ({
  ...rest,
  claude: { startTimeout: claude.startTimeout, maxLine: claude.maxLine }
})

/** How many there are, and what their group is called, is no concern of one of them. */
const shared = ({ id: _id, replicas: _replicas, ...rest }: AgentSpec) => rest

const modelOf = ({ model }: AgentSpec, { claude }: Config) => model ?? claude.model

const has = (spec: AgentSpec, key: string): boolean => Object.hasOwn(spec.limits, key.replace("limits.", ""))

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** The places, written with dots, at which two values differ. */
const differing = (old: unknown, next: unknown, at: string): ReadonlyArray<string> => {
  if (isPlain(old) && isPlain(next)) {
    const keys = new Set([...Object.keys(old), ...Object.keys(next)])
    return [...keys].flatMap((key) => differing(old[key], next[key], at === "" ? key : `${at}.${key}`))
  }
  return Equal.equals(plain(old), plain(next)) ? [] : [at]
}

/** As it can be compared: without keys that hold nothing, and secrets by what they hide. */
const plain = (value: unknown): unknown => {
  if (Redacted.isRedacted(value)) return { secret: Redacted.value(value) }
  if (Array.isArray(value)) return value.map(plain)
  if (!isPlain(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, each]) => (each === undefined ? [] : [[key, plain(each)]]))
  )
}
