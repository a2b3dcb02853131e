/**
 * What no single field can know: names used twice, names that lead nowhere, tasks that nobody would ever take. Each check
 * reads what is readable and leaves the rest to the schema, so that one mistake does not hide another. Pure.
 */
import { Duration, Option, Schema } from "effect"
import { MAX_REPLICAS } from "../agent/AgentSpec.ts"
import { DurationFromString } from "../domain/Quantity.ts"
import type { Mistake } from "./ConfigError.ts"
import { nearest } from "./Mistakes.ts"
import { valueAt } from "./Place.ts"

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)
/** Without the holes that an array made by a program may have. */
const list = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? Array.from(value) : [])

export const crossChecks = (root: unknown): ReadonlyArray<Mistake> => {
  const agents = list(valueAt(root, ["agents"]))
  const tasks = list(valueAt(root, ["tasks"]))
  return [
    ...agentNames(agents),
    ...taskNames(tasks),
    ...takers(agents, tasks),
    ...delays(agents, root),
    ...standbys(agents, root)
  ]
}

/** The names under which an agent runs. */
const namesOf = (agent: unknown): ReadonlyArray<string> => {
  const id = text(valueAt(agent, ["id"]))
  const replicas = valueAt(agent, ["replicas"])
  if (id === undefined) return []
  if (typeof replicas !== "number" || !(replicas > 1) || replicas > MAX_REPLICAS) return [id]
  return Array.from({ length: Math.floor(replicas) }, (_, index) => `${id}-${index + 1}`)
}

function* agentNames(agents: ReadonlyArray<unknown>): Iterable<Mistake> {
  const owner = new Map<string, number>()
  const groups = new Map<string, number>()
  for (const [index, agent] of agents.entries()) {
    const id = text(valueAt(agent, ["id"]))
    const same = id === undefined ? undefined : groups.get(id)
    if (id !== undefined && same === undefined) groups.set(id, index)
    const taken = same === undefined ? namesOf(agent).find((name) => owner.has(name)) : id
    if (taken !== undefined) {
      yield {
        at: `agents[${index}].id`,
        expected: `the name "${taken}" is taken by agents[${same ?? owner.get(taken)}]`,
        suggestion: "every agent, replicas included, needs a name of its own"
      }
    }
    for (const name of namesOf(agent)) if (!owner.has(name)) owner.set(name, index)
  }
}

function* taskNames(tasks: ReadonlyArray<unknown>): Iterable<Mistake> {
  const owner = new Map<string, number>()
  for (const [index, task] of tasks.entries()) {
    const id = text(valueAt(task, ["id"]))
    if (id === undefined) continue
    const other = owner.get(id)
    if (other === undefined) owner.set(id, index)
    else yield { at: `tasks[${index}].id`, expected: `the id "${id}" is taken by tasks[${other}]` }
  }
}

/** Every task needs an agent that takes it, or it would wait for ever. */
function* takers(agents: ReadonlyArray<unknown>, tasks: ReadonlyArray<unknown>): Iterable<Mistake> {
  const known = agents.flatMap((agent) => {
    const id = text(valueAt(agent, ["id"]))
    return id === undefined
      ? []
      : [{ id, names: namesOf(agent), types: list(valueAt(agent, ["taskTypes"])).flatMap((type) => text(type) ?? []) }]
  })
  if (known.length < agents.length || known.length === 0) return
  for (const [index, task] of tasks.entries()) {
    const type = text(valueAt(task, ["type"]) ?? "task")
    const wanted = text(valueAt(task, ["agent"]))
    const named =
      wanted === undefined ? known : known.filter(({ id, names }) => id === wanted || names.includes(wanted))
    if (wanted !== undefined && named.length === 0) {
      const meant = nearest(
        wanted,
        known.map(({ id }) => id)
      )
      yield {
        at: `tasks[${index}].agent`,
        expected: "there is no such agent",
        found: JSON.stringify(wanted),
        ...(meant === undefined ? {} : { suggestion: `did you mean "${meant}"?` })
      }
    } else if (type !== undefined && !named.some(({ types }) => types.length === 0 || types.includes(type))) {
      const types = [...new Set(named.flatMap((agent) => agent.types))]
      yield {
        at: `tasks[${index}].type`,
        expected:
          wanted === undefined
            ? "no agent takes tasks of this type"
            : `the agent "${wanted}" does not take tasks of this type`,
        found: JSON.stringify(type),
        suggestion: `taken are ${types.join(", ")}`
      }
    }
  }
}

const parse = Schema.decodeUnknownOption(DurationFromString)

/** A longest pause that is shorter than the first. */
function* delays(agents: ReadonlyArray<unknown>, root: unknown): Iterable<Mistake> {
  const places = [
    {
      at: "retry",
      first: valueAt(root, ["retry", "delay"]),
      last: valueAt(root, ["retry", "maxDelay"]),
      name: "delay"
    },
    ...agents.map((agent, index) => ({
      at: `agents[${index}].restart`,
      first: valueAt(agent, ["restart", "initialDelay"]),
      last: valueAt(agent, ["restart", "maxDelay"]),
      name: "initialDelay"
    }))
  ]
  for (const { at, first, last, name } of places) {
    const [from, to] = [parse(first), parse(last)]
    if (Option.isSome(from) && Option.isSome(to) && Duration.isGreaterThan(from.value, to.value)) {
      yield {
        at: `${at}.maxDelay`,
        expected: `expected at least ${name} (${String(first)})`,
        found: JSON.stringify(last)
      }
    }
  }
}

/** A step that starts a standby must name an agent that is one, and a standby needs a step that starts it. */
function* standbys(agents: ReadonlyArray<unknown>, root: unknown): Iterable<Mistake> {
  const isStandby = (agent: unknown) => valueAt(agent, ["standby"]) === true
  const waiting = agents.filter(isStandby).flatMap(namesOf)
  const started = new Set<string>()
  for (const [index, step] of list(valueAt(root, ["supervision", "escalation"])).entries()) {
    const child = text(valueAt(step, ["child"]))
    if (valueAt(step, ["do"]) !== "start_standby" || child === undefined) continue
    started.add(child)
    if (waiting.includes(child)) continue
    yield {
      at: `supervision.escalation[${index}].child`,
      expected: 'expected the name of an agent with "standby": true',
      found: JSON.stringify(child)
    }
  }
  for (const [index, agent] of agents.entries()) {
    const idle = isStandby(agent) ? namesOf(agent).find((name) => !started.has(name)) : undefined
    if (idle === undefined) continue
    yield {
      at: `agents[${index}].standby`,
      expected: `nothing would ever start "${idle}"`,
      suggestion: `add { "do": "start_standby", "child": "${idle}" } to supervision.escalation`
    }
  }
}
