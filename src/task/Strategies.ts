/**
 * Who gets a task, among the agents that may take it now: one pure function for each name in RoutingSettings.ts. All is
 * given to them, the chance too, so that the same question has the same answer. What no strategy may decide, who may take
 * a task at all, is Router.ts.
 */
import type { AgentSnapshot } from "../agent/AgentPool.ts"
import type { AgentLoad } from "./AgentLoad.ts"
import { HUB, type RoutingSettings, SPOKES, type StrategyName } from "./RoutingSettings.ts"
import type { TaskRecord } from "./TaskRecord.ts"

/** An agent that may take the task and is idle. */
export interface Candidate extends AgentSnapshot {
  readonly load: AgentLoad
}

export interface Situation {
  /** From 0 up to 1: the only chance there is. */
  readonly random: number
  /** Who last worked for the task's label, idle or not. */
  readonly last: string | undefined
}

/** One of the candidates, of which there is at least one; undefined: it has no opinion. */
export type Choose = (
  task: TaskRecord,
  candidates: ReadonlyArray<Candidate>,
  situation: Situation
) => Candidate | undefined

/** A plugin is none of these: it comes from a file. */
export type Named = Exclude<StrategyName, "plugin">

const GIB = 1024 ** 3

/**
 * What an agent has on its hands, in tasks: one given just now, all its time taken up lately, each whole core and each
 * whole GiB in use counts as one. What is not measured counts nothing, nor does the little that idle CLIs differ by.
 */
export const weigh = ({ load, usage }: Pick<Candidate, "load" | "usage">): number =>
  load.inFlight +
  load.lately +
  load.busy +
  Math.floor((usage?.cpuPercent ?? 0) / 100) +
  Math.floor((usage?.memory ?? 0) / GIB)

/** A failure that has just been counts as an attempt that took so long: who fails at once is not quick. */
const FAILURE_MILLIS = 600_000

/** Finagle's cost: what one more task would have to wait, were they done one after the other. */
export const cost = ({ load }: Pick<Candidate, "load">): number =>
  (load.latency + FAILURE_MILLIS * load.failures) * (load.inFlight + 1)

/** The first of those of which nothing is less. In the order of the config where all is equal. */
const least = (candidates: ReadonlyArray<Candidate>, ...by: ReadonlyArray<(candidate: Candidate) => number>) => {
  let best: Candidate | undefined
  for (const candidate of candidates) if (best === undefined || compare(candidate, best, by) < 0) best = candidate
  return best
}

const compare = (a: Candidate, b: Candidate, by: ReadonlyArray<(candidate: Candidate) => number>): number => {
  for (const measure of by) {
    const difference = measure(a) - measure(b)
    if (difference !== 0) return difference
  }
  return 0
}

/**
 * Two of them by chance, in their order: of n things there are n(n-1)/2 pairs. The better of two is nearly as good as the
 * best, and figures that are a little old do not send everything to one agent (Mitzenmacher, The power of two choices).
 */
export const two = (candidates: ReadonlyArray<Candidate>, random: number): ReadonlyArray<Candidate> => {
  const n = candidates.length
  if (n <= 2) return candidates
  let pair = Math.min(Math.floor(random * ((n * (n - 1)) / 2)), (n * (n - 1)) / 2 - 1)
  let first = 0
  while (pair >= n - 1 - first) {
    pair -= n - 1 - first
    first++
  }
  return [candidates[first], candidates[first + 1 + pair]].flatMap((each) => each ?? [])
}

const leastLoaded: Choose = (_task, candidates, { random }) => least(two(candidates, random), weigh)

/** Who has waited longest for a task: in turn, also where not all take all types, or one was down for a time. */
const roundRobin: Choose = (_task, candidates) => least(candidates, ({ load }) => load.turn)

/** All of them can do it; who can do the least beside it leaves the able ones to tasks that need them. */
const capability: Choose = (_task, candidates) =>
  least(candidates, ({ capabilities }) => new Set(capabilities).size, weigh)

/** Tasks come in the order of their priority, and the first takes the best. What has a priority below 0 takes the least. */
const priority: Choose = ({ spec }, candidates) =>
  (spec.priority ?? 0) < 0
    ? least(candidates, ({ weight }) => weight, weigh)
    : least(candidates, ({ weight }) => -weight, weigh)

/** Who holds its conversation is Router.ts's business and comes before; here is who knows the work. */
const sticky: Choose = (_task, candidates, { last }) => candidates.find(({ id }) => id === last)

const adaptive: Choose = (_task, candidates, { random }) => least(two(candidates, random), cost, weigh)

export const strategies: Readonly<Record<Named, Choose>> = {
  least_loaded: leastLoaded,
  round_robin: roundRobin,
  capability,
  priority,
  sticky,
  adaptive,
  // Whom it goes to is settled by `meant`; of several replicas of it, the least loaded.
  hub_and_spoke: leastLoaded
}

/** The agents for tasks of a type, by their ids in the config, the first that is able before the others. */
export type Spokes = (type: string) => ReadonlyArray<string>

export const spokesOf = ({ default: given, spokes }: Pick<RoutingSettings, "default" | "spokes">): Spokes => {
  const hub: string = given ?? HUB
  const named: Readonly<Record<string, string>> = spokes ?? SPOKES
  return (type) => [...(Object.hasOwn(named, type) ? [named[type] ?? hub] : []), hub]
}

/**
 * Those of the able who are meant for a type. It depends on nothing but the type and who is able, so that who may take the
 * first of a lane may take all of it. Where nobody able is meant for it, all are: no task waits for an agent that is not there.
 */
export const meant = (
  spokes: Spokes,
  type: string,
  able: ReadonlyArray<AgentSnapshot>
): ReadonlyArray<AgentSnapshot> => {
  for (const name of spokes(type)) {
    const theirs = able.filter(({ group, id }) => group === name || id === name)
    if (theirs.length > 0) return theirs
  }
  return able
}
