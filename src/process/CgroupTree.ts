/**
 * The part of the cgroup v2 hierarchy that is this process's to manage (CgroupPlace.ts finds it): the subtree of one life of
 * the runtime with a group per run, and what earlier lives left beside it.
 *
 * Promises: synchronous, bounded, throws for nothing the kernel may answer; where something is not to be had it says why,
 * in words an operator can act on. No process but our own is ever moved, and no controller is turned off that was on
 * before. Which names are an earlier life's is left to the caller.
 *
 *   <own cgroup>/mister-smith-runtime-<pid>   the runtime itself, where it had to make room
 *   <own cgroup>/<name>/<run>                 everything that one run has started
 */
import { existsSync, mkdirSync } from "node:fs"
import { Result } from "effect"
import { childrenOf, codeOf, type Group, group, procsOf, readText, writeText } from "./Cgroup.ts"
import { DELEGATE, type Found, RUNTIME, words } from "./CgroupPlace.ts"
import { CgroupRefused } from "./ProcessError.ts"
import * as ProcessTable from "./ProcessTable.ts"

export type Controller = "memory" | "cpu" | "pids" | "io"
export const CONTROLLERS: ReadonlyArray<Controller> = ["memory", "cpu", "pids", "io"]

/** What a life of the runtime has of the hierarchy. */
export interface Subtree {
  readonly path: string
  /** Usable in every leaf. */
  readonly controllers: ReadonlySet<Controller>
  readonly missing: ReadonlyMap<Controller, string>
  /** False on a kernel before 5.14: a kill then goes from process to process. */
  readonly killsAtOnce: boolean
  /** Makes the group of one run. */
  leaf(run: string): Result.Result<Group, CgroupRefused>
  /** Kills what is left, removes all that was made and puts the runtime back. May be called again where not all went. */
  close(options?: Patience): Closed
}

export interface Patience {
  /** How long the thread may wait for what was killed to be gone. Default 100. */
  readonly waitMillis?: number
}

export interface Closed {
  readonly gone: boolean
  /** What would not go. */
  readonly left: ReadonlyArray<{ readonly pid: number; readonly name: string }>
}

export interface SubtreeOptions {
  /** Pids that are as much ours as our own, and may be moved with it. */
  readonly pids?: ReadonlyArray<number>
}

const isName = (name: string) => /^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,199}$/.test(name)

const make = (path: string, name: string): Result.Result<Group, CgroupRefused> => {
  const fail = (code: string) => Result.fail(new CgroupRefused({ action: `make the cgroup ${name}`, path, code }))
  if (!isName(name)) return fail("EINVAL")
  try {
    mkdirSync(`${path}/${name}`)
    return Result.succeed(group(`${path}/${name}`))
  } catch (error) {
    return fail(codeOf(error))
  }
}

/** Makes `<own cgroup>/<name>`, with all the controllers that are to be had. */
export const openSubtree = (
  found: Found,
  name: string,
  options: SubtreeOptions = {}
): Result.Result<Subtree, CgroupRefused> => {
  const made = make(found.path, name)
  if (Result.isFailure(made)) return Result.fail(made.failure)
  const subtree = made.success
  const own = enableAtOwn(found, new Set([process.pid, ...(options.pids ?? [])]))
  const missing = new Map(own.missing)
  const controllers = new Set<Controller>()
  for (const controller of own.controllers) {
    const code = writeText(`${subtree.path}/cgroup.subtree_control`, `+${controller}`)
    if (code === undefined) controllers.add(controller)
    else missing.set(controller, `could not be handed on in ${subtree.path} (${code})`)
  }
  return Result.succeed({
    path: subtree.path,
    controllers,
    missing,
    killsAtOnce: existsSync(`${subtree.path}/cgroup.kill`),
    leaf: (run) => make(subtree.path, run),
    close: (patience) => {
      const left = clear([subtree], patience).get(subtree.path) ?? []
      const gone = subtree.remove()
      if (gone) own.undo()
      return { gone, left: gone ? [] : left }
    }
  })
}

interface Enabled {
  readonly controllers: ReadonlySet<Controller>
  readonly missing: ReadonlyMap<Controller, string>
  /** Turns off what was turned on, and moves back what was moved. */
  readonly undo: () => void
}

/**
 * Hands the controllers on from our own cgroup. The kernel allows that in no group but the root while it holds processes
 * of its own ("no internal processes"), so where these are ours only, they make room first.
 */
const enableAtOwn = (found: Found, ours: ReadonlySet<number>): Enabled => {
  const { path } = found
  const control = `${path}/cgroup.subtree_control`
  const enabled = new Set(words(readText(control)))
  const missing = new Map<Controller, string>()
  const wanted: Array<Controller> = []
  for (const controller of CONTROLLERS) {
    if (!found.controllers.has(controller)) missing.set(controller, absent(found, controller))
    else if (!enabled.has(controller)) wanted.push(controller)
  }
  const turnedOn: Array<Controller> = []
  const room = wanted.length === 0 ? STAY : makeRoom(path, ours)
  for (const controller of wanted) {
    if (room.why !== undefined) {
      missing.set(controller, room.why)
      continue
    }
    const code = writeText(control, `+${controller}`)
    if (code === undefined) turnedOn.push(controller)
    else missing.set(controller, `could not be handed on in ${path} (${code})`)
  }
  let undone = false
  const undo = () => {
    // Only once: what is on by then is another's.
    if (undone) return
    undone = true
    for (const controller of turnedOn) writeText(control, `-${controller}`)
    room.undo()
  }
  if (turnedOn.length === 0) undo()
  return { controllers: new Set(CONTROLLERS.filter((controller) => !missing.has(controller))), missing, undo }
}

const absent = ({ legacy, path }: Found, controller: Controller): string => {
  if (legacy.has(controller) || (controller === "io" && legacy.has("blkio"))) {
    return "the kernel has it on cgroup v1; boot with systemd.unified_cgroup_hierarchy=1 or cgroup_no_v1=all"
  }
  return isRoot(path)
    ? `this kernel does not offer it${controller === "memory" ? "; on a Raspberry Pi boot with cgroup_enable=memory" : ""}`
    : `it is not delegated to ${path}; see Delegate= in systemd.resource-control(5), for the user's own units in user@.service`
}

/** The root of the hierarchy has no type; that of a cgroup namespace or a container has. */
const isRoot = (path: string) => readText(`${path}/cgroup.type`) === undefined

interface Room {
  /** Why there is none. */
  readonly why?: string
  readonly undo: () => void
}
const STAY: Room = { undo: () => {} }

const makeRoom = (path: string, ours: ReadonlySet<number>): Room => {
  if (isRoot(path)) return STAY
  const inside = procsOf(path)
  if (inside.length === 0) return STAY
  const others = inside.filter((pid) => !ours.has(pid))
  if (others.length > 0) {
    const names = others.slice(0, 5).map((pid) => `${ProcessTable.read(pid)?.name ?? "?"} (${pid})`)
    return {
      why: `other processes are in ${path} too: ${names.join(", ")}${others.length > 5 ? ", ..." : ""}; ${DELEGATE}`,
      undo: STAY.undo
    }
  }
  const name = `${RUNTIME}${process.pid}`
  const made = make(path, name)
  // Where it is there, it is ours: we were executed anew, or have opened another subtree.
  const room = Result.isSuccess(made) ? made.success : group(`${path}/${name}`)
  const undo = () => {
    for (const pid of room.pids()) group(path).join(pid)
    room.remove()
  }
  for (const pid of inside) {
    const joined = room.join(pid)
    // One of ours that has ended meanwhile is no obstacle.
    if (Result.isFailure(joined) && joined.failure.code !== "ESRCH") {
      undo()
      return { why: joined.failure.message, undo: STAY.undo }
    }
  }
  return { undo }
}

/** What an earlier life had left. */
export interface Swept {
  readonly name: string
  readonly path: string
  readonly processes: ReadonlyArray<{ readonly pid: number; readonly name: string }>
  /** False where some of it would not go: see `left`, and ask again. */
  readonly gone: boolean
  readonly left: ReadonlyArray<{ readonly pid: number; readonly name: string }>
}

/** Kills and removes every group in our own cgroup whose name is stale. Never one that we are in ourselves. */
export const sweepSubtrees = (
  found: Found,
  isStale: (name: string) => boolean,
  patience?: Patience
): ReadonlyArray<Swept> => {
  const names = childrenOf(found.path)
  const stale = names.flatMap((name) => {
    if (!isStale(name)) return []
    const subtree = group(`${found.path}/${name}`)
    const pids = subtree.pids()
    return pids.includes(process.pid) ? [] : [{ name, subtree, processes: named(pids) }]
  })
  const left = clear(
    stale.map(({ subtree }) => subtree),
    patience
  )
  // The room of a runtime that is no more. Removing an empty group harms nobody.
  for (const name of names) {
    const pid = name.startsWith(RUNTIME) ? Number(name.slice(RUNTIME.length)) : Number.NaN
    if (pid > 0 && ProcessTable.read(pid) === undefined) group(`${found.path}/${name}`).remove()
  }
  return stale.map(({ name, processes, subtree }) => {
    const gone = subtree.remove()
    return { name, path: subtree.path, processes, gone, left: gone ? [] : (left.get(subtree.path) ?? []) }
  })
}

const named = (pids: ReadonlyArray<number>) => pids.map((pid) => ({ pid, name: ProcessTable.read(pid)?.name ?? "?" }))

/** Kills all of them, and waits until they are empty or patience ends. By path, who is left. */
const clear = (groups: ReadonlyArray<Group>, { waitMillis = 100 }: Patience = {}) => {
  for (const each of groups) each.kill()
  for (let waited = 0; waited < waitMillis && groups.some((each) => each.populated()); waited++) pause(1)
  return new Map(groups.map((each) => [each.path, named(each.pids())]))
}

/** A SIGKILL is carried out by the kernel within a moment, and there is nothing to be told of it synchronously. */
const pause = (millis: number) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)
