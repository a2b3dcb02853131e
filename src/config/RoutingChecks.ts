/**
 * What no single field can know of who gets which task: requirements that no agent meets, spokes that lead nowhere or
 * to an agent that does not take their type, and keys that the chosen strategy does not read. Pure.
 */
import { MAX_CAPABILITIES } from "../task/Needs.ts"
import { DEFAULT_STRATEGY } from "../task/RoutingSettings.ts"
import { didYouMean, type Finding, nearest, shown } from "./Finding.ts"
import { byId, type Group, groupNamed, list, text } from "./Groups.ts"
import { type Path, printable, valueAt } from "./Place.ts"

/** Capabilities that a message names. */
const NAMED = 20

const found = (value: unknown, path: Path): Pick<Finding, "found"> => {
  const text = shown(value, path)
  return text === undefined ? {} : { found: text }
}

const texts = (value: unknown): ReadonlyArray<string> => list(value).flatMap((each) => text(each) ?? [])

/** Every requirement must be met by one of the agents that would take the task. */
export function* capable(
  root: unknown,
  groups: ReadonlyArray<Group>,
  tasks: ReadonlyArray<unknown>
): Iterable<Finding> {
  const ids = byId(groups)
  const able = new Map(
    groups.map((group) => [group, new Set(texts(valueAt(root, ["agents", group.index, "capabilities"])))])
  )
  const verdict = (needs: ReadonlyArray<string>, type: string, wanted: string | undefined) => {
    const named = wanted === undefined ? undefined : (ids.get(wanted) ?? groupNamed(wanted, ids))
    const candidates = (wanted === undefined ? groups : named === undefined ? [] : [named]).filter(
      ({ types }) => types.size === 0 || types.has(type)
    )
    // That nobody takes it at all, or a standby only, is told of its type or its agent.
    if (candidates.every(({ standby }) => standby)) return undefined
    const can = candidates.filter((group) => needs.every((need) => able.get(group)?.has(need)))
    if (can.some(({ standby }) => !standby)) return undefined
    if (can.length > 0) return { expected: "only a standby has all of these, and it may never be started" }
    const known = [...new Set(candidates.flatMap((group) => [...(able.get(group) ?? [])]))]
    const nobodys = needs.filter((need) => !known.includes(need))
    const [first] = nobodys
    const meant = first === undefined ? undefined : nearest(first, known)
    const names = (all: ReadonlyArray<string>) => all.slice(0, NAMED).map(printable).join(", ")
    return {
      expected:
        first === undefined
          ? `no single agent that takes this task has all of ${names(needs)}`
          : `no agent that takes this task has ${names(nobodys)}`,
      ...(meant !== undefined
        ? didYouMean(meant)
        : { suggestion: known.length === 0 ? "no such agent has any capabilities" : `known are ${names(known)}` })
    }
  }
  // Many tasks require the same.
  const verdicts = new Map<string, ReturnType<typeof verdict>>()
  for (const [index, task] of tasks.entries()) {
    const needs = texts(valueAt(task, ["capabilities"])).slice(0, MAX_CAPABILITIES)
    if (needs.length === 0) continue
    const type = text(valueAt(task, ["type"]) ?? "task") ?? ""
    const wanted = text(valueAt(task, ["agent"]))
    const key = JSON.stringify([type, wanted, needs])
    if (!verdicts.has(key)) verdicts.set(key, verdict(needs, type, wanted))
    const wrong = verdicts.get(key)
    if (wrong !== undefined) yield { path: ["tasks", index, "capabilities"], ...wrong }
  }
}

/** The strategy and the keys that belong to it. */
export function* routing(root: unknown, groups: ReadonlyArray<Group>): Iterable<Finding> {
  const strategy = valueAt(root, ["routing", "strategy"]) ?? DEFAULT_STRATEGY
  const plugin = valueAt(root, ["routing", "plugin"])
  if (strategy === "plugin" && plugin === undefined)
    yield { path: ["routing", "plugin"], expected: 'is missing: the strategy "plugin" needs a file' }
  const belongs = (key: string, to: string): Finding | undefined =>
    valueAt(root, ["routing", key]) === undefined || strategy === to
      ? undefined
      : {
          path: ["routing", key],
          expected: `is read by the strategy "${to}" only`,
          suggestion: `set routing.strategy to "${to}", or leave this out`
        }
  for (const unread of [
    belongs("plugin", "plugin"),
    belongs("spokes", "hub_and_spoke"),
    belongs("default", "hub_and_spoke")
  ])
    if (unread !== undefined) yield unread
  if (groups.some(({ id }) => id === undefined)) return
  const ids = byId(groups)
  const named = (name: string) => ids.get(name) ?? groupNamed(name, ids)
  const nobody = (name: string, path: Path): Finding => ({
    path,
    expected: "there is no such agent",
    ...found(name, path),
    ...didYouMean(nearest(name, [...ids.keys()]))
  })
  const never = (name: string, path: Path): Finding => ({
    path,
    expected: "this agent is a standby, for which tasks would wait until it is started",
    ...found(name, path)
  })
  const hub = text(valueAt(root, ["routing", "default"]))
  if (hub !== undefined) {
    const group = named(hub)
    if (group === undefined) yield nobody(hub, ["routing", "default"])
    else if (group.standby) yield never(hub, ["routing", "default"])
  }
  const spokes = valueAt(root, ["routing", "spokes"])
  if (typeof spokes !== "object" || spokes === null) return
  for (const [type, name] of Object.entries(spokes).slice(0, MAX_LOOKED_AT)) {
    if (typeof name !== "string") continue
    const path = ["routing", "spokes", type]
    const group = named(name)
    if (group === undefined) yield nobody(name, path)
    else if (group.standby) yield never(name, path)
    else if (group.types.size > 0 && !group.types.has(type))
      yield { path, expected: `the agent "${printable(name)}" does not take tasks of this type`, ...found(name, path) }
  }
}

/** A config of nonsense may name very many; the schema says that they are too many. */
const MAX_LOOKED_AT = 1000
