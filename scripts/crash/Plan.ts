/**
 * The tasks of a crash test, from a seed: of all priorities, with dependencies, evidence, tries that fail and CLIs that die.
 * A third is done in worktrees, where by its number it commits a file, leaves one, does both or nothing.
 * Those of the config all succeed in the end, because a config asks anew for what has failed whenever it is started.
 */
import type { Random } from "./Random.ts"

export interface PlannedTask {
  readonly id: string
  readonly prompt: string
  readonly agent?: string
  readonly priority?: number
  readonly after?: ReadonlyArray<string | { readonly task: string; readonly onFailure: "cancel" | "run" }>
  readonly evidence?: ReadonlyArray<Record<string, unknown>>
}

export interface Plan {
  /** In the config. */
  readonly first: ReadonlyArray<PlannedTask>
  /** Submitted to the running node, in this order. */
  readonly asked: ReadonlyArray<PlannedTask>
}

/** How long the work of a task takes at the longest, in milliseconds: lives are not much longer. */
const LONGEST = 400

/** What tasks do there, by turns. One that does nothing leaves a worktree that is removed. */
const IN_WORKTREES: ReadonlyArray<ReadonlyArray<"commit" | "leave">> = [["commit"], ["leave"], ["commit", "leave"], []]

export const make = (random: Random, count: number): Plan => {
  const first: Array<PlannedTask> = []
  const asked: Array<PlannedTask> = []
  while (first.length < Math.ceil(count / 2)) first.push(one(random, `c${first.length}`, first, []))
  while (asked.length < Math.floor(count / 2)) asked.push(one(random, `s${asked.length}`, first, asked))
  return { first, asked }
}

const one = (
  random: Random,
  id: string,
  first: ReadonlyArray<PlannedTask>,
  asked: ReadonlyArray<PlannedTask>
): PlannedTask => {
  const isAsked = id.startsWith("s")
  const words = [`[task ${id}]`, `[work ${random.between(1, LONGEST)}]`]
  if (random.chance(0.12)) words.push(`[fail ${random.between(1, 2)}]`)
  if (random.chance(0.04)) words.push("[die 1]")
  if (isAsked && random.chance(0.04)) words.push("[refuse]")
  const file = `out-${id}`
  const evidence: Array<Record<string, unknown>> = []
  const number = Number(id.slice(1))
  const inWorktree = number % 3 === 0
  if (inWorktree)
    words.push(...(IN_WORKTREES[(number / 3) % IN_WORKTREES.length] ?? []).map((does) => `[${does} ${file}.${does}]`))
  else if (random.chance(0.2)) {
    words.push(`[write ${file}]`)
    if (random.chance(0.3)) words.push("[late]")
    evidence.push({ file, matches: `^${id} ` })
    if (random.chance(0.3)) evidence.push({ command: ["test", "-s", file] })
  }
  const before = [...first.slice(-30), ...asked.slice(-30)]
  const after = random.chance(0.25)
    ? [random.pick(before), random.chance(0.5) ? random.pick(before) : undefined].flatMap((task) => {
        if (task === undefined) return []
        return [isAsked && random.chance(0.3) ? { task: task.id, onFailure: "run" as const } : task.id]
      })
    : []
  return {
    id,
    prompt: `Do it. ${words.join(" ")}`,
    agent: inWorktree ? "coder" : "worker",
    ...(random.chance(0.3) ? { priority: random.between(-10, 10) } : {}),
    ...(after.length > 0 ? { after } : {}),
    ...(evidence.length > 0 ? { evidence } : {})
  }
}
