/**
 * What no single field can know: names used twice, names that lead nowhere, tasks that nobody would ever take. Each check
 * reads what is readable and leaves the rest to the schema, so that one mistake does not hide another. Pure.
 */
import { Duration, Option, Schema } from "effect"
import { ByteSizeFromString, DurationFromString } from "../domain/Quantity.ts"
import { LogSettings } from "../observability/LogSettings.ts"
import * as RestartPolicy from "../supervision/RestartPolicy.ts"
import { circle } from "../task/After.ts"
import { RetrySettings } from "../task/RetrySettings.ts"
import { didYouMean, type Finding, MAX_TOLD, nearest, shown } from "./Finding.ts"
import { fleetChecks, shares } from "./FleetChecks.ts"
import { byId, type Group, groupNamed, groupOfReplica, groupsOf, list, namesOf, text } from "./Groups.ts"
import { type Path, printable, valueAt } from "./Place.ts"
import { capable, routing } from "./RoutingChecks.ts"
import { transportChecks } from "./TransportChecks.ts"

export const crossChecks = (root: unknown): ReadonlyArray<Finding> => {
  const groups = groupsOf(root)
  const tasks = list(valueAt(root, ["tasks"]))
  return [
    ...agentNames(groups),
    ...taskNames(tasks),
    ...first(MAX_TOLD + 1, order(tasks)),
    // What nobody here takes others of the fleet may.
    ...(shares(root) ? [] : first(MAX_TOLD + 1, takers(groups, tasks))),
    ...(shares(root) ? [] : first(MAX_TOLD + 1, capable(root, groups, tasks))),
    ...first(MAX_TOLD + 1, routing(root, groups)),
    ...delays(root),
    ...first(MAX_TOLD + 1, taskTimes(root, tasks)),
    ...logSizes(root),
    ...logStream(root),
    ...transportChecks(root),
    ...fleetChecks(root),
    ...conversations(root),
    ...standbys(groups, list(valueAt(root, ["supervision", "escalation"])))
  ]
}

/** No more than will be told: each of them looks for what was meant, and there may be very many. */
function* first<A>(count: number, all: Iterable<A>): Iterable<A> {
  let taken = 0
  for (const each of all) {
    yield each
    if (++taken === count) return
  }
}

const found = (value: unknown, path: Path): Pick<Finding, "found"> => {
  const text = shown(value, path)
  return text === undefined ? {} : { found: text }
}

/** More agents than this on one node are a slip of the keyboard: each is a process of its own. */
export const MAX_FLEET = 10_000
/** The longest name, as in AgentId. */
const LONGEST_NAME = 63

function* agentNames(groups: ReadonlyArray<Group>): Iterable<Finding> {
  const firsts = byId(groups)
  for (const group of groups) {
    const { id, index, replicas } = group
    if (id === undefined) continue
    const same = firsts.get(id)
    const other = same !== undefined && same !== group ? same : replicas === 1 ? groupOfReplica(id, firsts) : undefined
    if (other !== undefined) {
      yield {
        path: ["agents", Math.max(index, other.index), "id"],
        expected: `the name "${id}" is taken by agents[${Math.min(index, other.index)}]`,
        suggestion: "every agent, replicas included, needs a name of its own"
      }
    }
    const longest = LONGEST_NAME - `-${replicas}`.length
    if (replicas > 1 && id.length > longest && id.length <= LONGEST_NAME) {
      yield {
        path: ["agents", index, "id"],
        expected: `expected at most ${longest} characters, because replicas add their number`,
        found: String(id.length)
      }
    }
  }
  const all = groups.reduce((sum, { replicas }) => sum + replicas, 0)
  if (all > MAX_FLEET) {
    yield { path: ["agents"], expected: `expected at most ${MAX_FLEET} agents, replicas included`, found: String(all) }
  }
}

function* taskNames(tasks: ReadonlyArray<unknown>): Iterable<Finding> {
  const owner = new Map<string, number>()
  for (const [index, task] of tasks.entries()) {
    // One that cannot be read is the schema's business; it takes no name.
    const id = valueAt(task, ["id"]) === undefined ? `task-${index + 1}` : text(valueAt(task, ["id"]))
    if (id === undefined) continue
    const other = owner.get(id)
    if (other === undefined) owner.set(id, index)
    else {
      const named = valueAt(task, ["id"]) === undefined ? other : index
      yield {
        path: ["tasks", named, "id"],
        expected: `the id "${id}" is taken by tasks[${named === index ? other : index}]`
      }
    }
  }
}

/** A task waits for others of the config that have ids of their own, and never for itself. */
function* order(tasks: ReadonlyArray<unknown>): Iterable<Finding> {
  const byName = new Map<string, number>()
  for (const [index, task] of tasks.entries()) {
    const id = text(valueAt(task, ["id"]))
    if (id !== undefined && !byName.has(id)) byName.set(id, index)
  }
  const edges = tasks.map((task, index) => [
    ...list(valueAt(task, ["after"])).flatMap((edge, place) => {
      const plain = typeof edge === "string"
      const on = text(plain ? edge : valueAt(edge, ["task"]))
      const path: Path = ["tasks", index, "after", place, ...(plain ? [] : ["task"])]
      return on === undefined ? [] : [{ on, path }]
    }),
    ...conversation(task, index)
  ])
  for (const { on, path } of edges.flat()) {
    if (byName.has(on)) continue
    yield {
      path,
      expected: "there is no task of this id",
      ...found(on, path),
      ...didYouMean(nearest(on, [...byName.keys()]))
    }
  }
  const round = circle(edges.keys(), (index) => (edges[index] ?? []).flatMap(({ on }) => byName.get(on) ?? []))
  const [one, next = one] = round ?? []
  if (round === undefined || one === undefined || next === undefined) return
  const names = round.slice(0, LONGEST_CIRCLE).map((index) => text(valueAt(tasks[index], ["id"])) ?? "")
  const path = edges[one]?.find(({ on }) => byName.get(on) === next)?.path ?? ["tasks", one, "after"]
  yield {
    path,
    expected: `it would wait for itself: ${[...names, round.length > LONGEST_CIRCLE ? "…" : (names[0] ?? "")].join(" → ")}`,
    ...found(text(valueAt(tasks[next], ["id"])), path)
  }
}

/** With whose conversation it goes on: for its end it waits too. */
const conversation = (task: unknown, index: number) => {
  const plain = text(valueAt(task, ["session"]))
  const on = plain ?? text(valueAt(task, ["session", "of"]))
  const path: Path = ["tasks", index, "session", ...(plain === undefined ? ["of"] : [])]
  return on === undefined ? [] : [{ on, path }]
}

/** Tasks of a circle that are named. */
const LONGEST_CIRCLE = 10

const takes = ({ types }: Group, type: string) => types.size === 0 || types.has(type)

/** Every task needs an agent that takes it, or it would wait for ever. */
function* takers(groups: ReadonlyArray<Group>, tasks: ReadonlyArray<unknown>): Iterable<Finding> {
  if (groups.length === 0) return
  const ids = byId(groups)
  const takesAll = groups.some(({ types }) => types.size === 0)
  const taken = new Set(groups.flatMap(({ types }) => [...types]))
  const up = groups.filter(({ standby }) => !standby)
  const takesAllUp = up.some(({ types }) => types.size === 0)
  const takenUp = new Set(up.flatMap(({ types }) => [...types]))
  for (const [index, task] of tasks.entries()) {
    const type = text(valueAt(task, ["type"]) ?? "task")
    const wanted = text(valueAt(task, ["agent"]))
    const named = wanted === undefined ? undefined : (ids.get(wanted) ?? groupNamed(wanted, ids))
    const preferred = text(valueAt(task, ["prefer"]))
    if (preferred !== undefined && !groups.some(({ id }) => id === undefined)) {
      if (ids.get(preferred) === undefined && groupNamed(preferred, ids) === undefined) {
        yield {
          path: ["tasks", index, "prefer"],
          expected: "there is no such agent",
          ...found(preferred, ["tasks", index, "prefer"]),
          ...didYouMean(nearest(preferred, [...ids.keys()]))
        }
      }
    }
    if (wanted !== undefined && named === undefined) {
      // It may be meant for an agent whose own name is wrong.
      if (groups.some(({ id }) => id === undefined)) continue
      yield {
        path: ["tasks", index, "agent"],
        expected: "there is no such agent",
        ...found(wanted, ["tasks", index, "agent"]),
        ...didYouMean(nearest(wanted, [...ids.keys()]))
      }
    } else if (type !== undefined && !(named === undefined ? takesAll || taken.has(type) : takes(named, type))) {
      const types = [...(named === undefined ? taken : named.types)]
      const meant = nearest(type, types)
      yield {
        path: ["tasks", index, "type"],
        expected:
          named === undefined
            ? "no agent takes tasks of this type"
            : `the agent "${printable(wanted ?? "")}" does not take tasks of this type`,
        ...found(type, ["tasks", index, "type"]),
        ...(meant === undefined ? { suggestion: `taken are ${types.slice(0, 20).join(", ")}` } : didYouMean(meant))
      }
    } else if (type !== undefined && (named === undefined ? !takesAllUp && !takenUp.has(type) : named.standby)) {
      const path = ["tasks", index, named === undefined ? "type" : "agent"]
      yield {
        path,
        expected: "only a standby takes this task, and it may never be started",
        ...found(named === undefined ? type : wanted, path)
      }
    }
  }
}

const duration = Schema.decodeUnknownOption(DurationFromString)
const restart = Schema.decodeUnknownOption(RestartPolicy.RestartPolicy)

/** A longest pause that is shorter than the first; what is not written counts with its default. */
function* delays(root: unknown): Iterable<Finding> {
  yield* pauses(root, ["retry"], "delay", () => retryPauses())
  for (const index of list(valueAt(root, ["agents"])).keys()) {
    const path = ["agents", index, "restart"]
    yield* pauses(root, path, "initialDelay", () => restartPauses(valueAt(root, [...path, "policy"])))
  }
}

/** What a task says about its own pauses, and parts of it that may take longer than all of it. */
function* taskTimes(root: unknown, tasks: ReadonlyArray<unknown>): Iterable<Finding> {
  const [delay, maxDelay] = retryPauses()
  const general = (key: string, otherwise: Duration.Duration | undefined) =>
    valueAt(root, ["retry", key]) === undefined
      ? otherwise
      : Option.getOrUndefined(duration(valueAt(root, ["retry", key])))
  const defaults: Pauses = [general("delay", delay), general("maxDelay", maxDelay)]
  for (const [index, task] of tasks.entries()) {
    yield* pauses(root, ["tasks", index, "retry"], "delay", () => defaults)
    const whole = Option.getOrUndefined(duration(valueAt(task, ["timeouts", "whole"])))
    for (const key of ["queue", "attempt"]) {
      const path = ["tasks", index, "timeouts", key]
      const part = Option.getOrUndefined(duration(valueAt(root, path)))
      if (part !== undefined && whole !== undefined && Duration.isGreaterThan(part, whole))
        yield {
          path,
          expected: `expected at most timeouts.whole (${printable(String(valueAt(task, ["timeouts", "whole"])))})`,
          ...found(valueAt(root, path), path)
        }
    }
  }
}

/** A conversation is resumed only in the directory in which it began. */
function* conversations(root: unknown): Iterable<Finding> {
  for (const [index, agent] of list(valueAt(root, ["agents"])).entries()) {
    const kind = text(valueAt(agent, ["workspace", "kind"]))
    if (valueAt(agent, ["session"]) !== "keep" || (kind !== "fresh" && kind !== "worktree")) continue
    const path = ["agents", index, "session"]
    yield {
      path,
      expected: `expected per_task, because each task has a workspace of its own (${kind})`,
      ...found("keep", path)
    }
  }
}

type Pauses = readonly [first: Duration.Duration | undefined, longest: Duration.Duration | undefined]

const retryPauses = (): Pauses => {
  const { delay, maxDelay } = Schema.decodeSync(RetrySettings)({})
  return [delay, maxDelay]
}

const restartPauses = (policy: unknown): Pauses =>
  Option.match(restart(policy === undefined ? {} : { policy }), {
    onNone: () => [undefined, undefined],
    onSome: (settings) => {
      const first = RestartPolicy.toChild(settings).backoff?.initialDelay
      return [first === undefined ? undefined : Duration.fromInputUnsafe(first), settings.maxDelay]
    }
  })

function* pauses(root: unknown, path: Path, firstKey: string, defaults: () => Pauses): Iterable<Finding> {
  const [first, longest] = [firstKey, "maxDelay"].map((key) => valueAt(root, [...path, key]))
  if (first === undefined && longest === undefined) return
  const read = (value: unknown, otherwise: Duration.Duration | undefined) =>
    value === undefined ? otherwise : Option.getOrUndefined(duration(value))
  const [defaultFirst, defaultLongest] = defaults()
  const [from, to] = [read(first, defaultFirst), read(longest, defaultLongest)]
  if (from === undefined || to === undefined || !Duration.isGreaterThan(from, to)) return
  const words = (value: unknown, time: Duration.Duration) =>
    value === undefined ? `${Schema.encodeSync(DurationFromString)(time)} by default` : printable(String(value))
  yield longest === undefined
    ? {
        path: [...path, firstKey],
        expected: `expected at most maxDelay (${words(longest, to)})`,
        ...found(first, [...path, firstKey])
      }
    : {
        path: [...path, "maxDelay"],
        expected: `expected at least ${firstKey} (${words(first, from)})`,
        ...found(longest, [...path, "maxDelay"])
      }
}

const size = Schema.decodeUnknownOption(ByteSizeFromString)

/** One log file must fit in what all of them may be. */
function* logSizes(root: unknown): Iterable<Finding> {
  const [one, all] = ["maxFile", "maxTotal"].map((key) => valueAt(root, ["logs", key]))
  if (one === undefined && all === undefined) return
  const defaults = Schema.decodeSync(LogSettings)({})
  const file = one === undefined ? defaults.maxFile : Option.getOrUndefined(size(one))
  const total = all === undefined ? defaults.maxTotal : Option.getOrUndefined(size(all))
  if (file === undefined || total === undefined || file <= total) return
  const path = ["logs", all === undefined ? "maxFile" : "maxTotal"]
  const words = (bytes: number) => Schema.encodeSync(ByteSizeFromString)(bytes)
  yield {
    path,
    expected:
      all === undefined ? `expected at most maxTotal (${words(total)})` : `expected at least maxFile (${words(file)})`,
    ...found(all ?? one, path)
  }
}

/** A stream is kept in a file. */
function* logStream(root: unknown): Iterable<Finding> {
  const [file, stream] = ["file", "stream"].map((key) => valueAt(root, ["logs", key]))
  if (file !== false || stream !== true) return
  const path = ["logs", "stream"]
  yield { path, expected: "expected logs.file to be true, or this to be false", ...found(stream, path) }
}

/** A step that starts a standby must name an agent that is one, and a standby needs a step that starts it. */
function* standbys(groups: ReadonlyArray<Group>, steps: ReadonlyArray<unknown>): Iterable<Finding> {
  const waiting = byId(groups.filter(({ standby }) => standby))
  const started = new Set<string>()
  for (const [index, step] of steps.entries()) {
    const child = text(valueAt(step, ["child"]))
    if (valueAt(step, ["do"]) !== "start_standby" || child === undefined) continue
    started.add(child)
    if (groupNamed(child, waiting) !== undefined) continue
    yield {
      path: ["supervision", "escalation", index, "child"],
      expected: 'expected the name of an agent with "standby": true',
      ...found(child, ["supervision", "escalation", index, "child"])
    }
  }
  for (const group of waiting.values()) {
    for (const name of namesOf(group)) {
      if (started.has(name)) continue
      yield {
        path: ["agents", group.index, "standby"],
        expected: `nothing would ever start "${printable(name)}"`,
        suggestion: `add { "do": "start_standby", "child": "${printable(name)}" } to supervision.escalation`
      }
      break
    }
  }
}
