/**
 * The agents of a config that may still be wrong: their names, replicas included, and what they take. An agent of n > 1
 * replicas runs as id-1 … id-n; names are reckoned with, not listed, for there may be a million. Pure.
 */
import { Schema } from "effect"
import { MAX_REPLICAS } from "../agent/AgentSpec.ts"
import { TaskType } from "../domain/Ids.ts"
import { valueAt } from "./Place.ts"

export const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

/** Without the holes that an array made by a program may have. */
export const list = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? Array.from(value) : [])

const isType = Schema.is(TaskType)

/** One entry of `agents`. */
export interface Group {
  readonly index: number
  /** Undefined where it is not readable. */
  readonly id: string | undefined
  readonly replicas: number
  /** Empty: any, or it is not readable. */
  readonly types: ReadonlySet<string>
  readonly standby: boolean
}

export const groupsOf = (root: unknown): ReadonlyArray<Group> =>
  list(valueAt(root, ["agents"])).map((agent, index) => {
    const replicas = valueAt(agent, ["replicas"])
    const types = list(valueAt(agent, ["taskTypes"]))
    return {
      index,
      id: text(valueAt(agent, ["id"])),
      replicas: typeof replicas === "number" && replicas > 1 && replicas <= MAX_REPLICAS ? Math.floor(replicas) : 1,
      types: new Set(types.every(isType) ? types : []),
      standby: valueAt(agent, ["standby"]) === true
    }
  })

/** The first group of each id. */
export const byId = (groups: ReadonlyArray<Group>): ReadonlyMap<string, Group> => {
  const found = new Map<string, Group>()
  for (const group of groups) if (group.id !== undefined && !found.has(group.id)) found.set(group.id, group)
  return found
}

/** The names under which a group runs. */
export function* namesOf({ id, replicas }: Group): Iterable<string> {
  if (id === undefined) return
  if (replicas === 1) yield id
  else for (let number = 1; number <= replicas; number++) yield `${id}-${number}`
}

/** The group of several that has a replica of this name. */
export const groupOfReplica = (name: string, groups: ReadonlyMap<string, Group>): Group | undefined => {
  const [, id = "", number] = /^(.*)-([1-9]\d{0,3})$/.exec(name) ?? []
  const group = groups.get(id)
  return group !== undefined && group.replicas > 1 && Number(number) <= group.replicas ? group : undefined
}

/** The group that has an agent of exactly this name. */
export const groupNamed = (name: string, groups: ReadonlyMap<string, Group>): Group | undefined => {
  const group = groups.get(name)
  return group?.replicas === 1 ? group : groupOfReplica(name, groups)
}
