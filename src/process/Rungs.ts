/**
 * What this machine offers to keep, measure, limit and end process trees, and why not where it does not.
 *
 * Promises: what can be tried is tried and not guessed (a cgroup is made and limited, a PID namespace is started, the
 * guardian's shell is asked for its tools); nothing of that remains, and no other process is touched. Which of it is
 * needed is left to the caller. Takes some milliseconds; synchronous.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { Result } from "effect"
import { type Found, findCgroup, type Unavailable } from "./CgroupPlace.ts"
import { CONTROLLERS, type Controller, openSubtree, type Subtree, sweepSubtrees } from "./CgroupTree.ts"
import * as PidNamespace from "./PidNamespace.ts"
import { machinePressure } from "./Pressure.ts"
import * as Limits from "./ProcessLimits.ts"
import * as ProcessTable from "./ProcessTable.ts"
import * as ProcFs from "./ProcFs.ts"

/** One of the ways. */
export interface Offer {
  readonly available: boolean
  /** What is there, or why it is not. */
  readonly says: string
  /** What an operator can do about it. */
  readonly hint?: string
}

export interface CgroupOffer extends Offer {
  /** Where the groups would be made. */
  readonly path?: string
  /** Usable for limits in every run's group. */
  readonly controllers: ReadonlyArray<Controller>
  /** Why the others are not, by controller. */
  readonly missing: Readonly<Partial<Record<Controller, string>>>
  /** cgroup.kill: all of a run ends at one instant. */
  readonly kills: boolean
  /** cgroup.freeze: all of a run halts at one instant. */
  readonly freezes: boolean
}

export interface Rungs {
  /** Every process of the machine and its parent, group and session; in /proc its marker too. */
  readonly processes: Offer
  readonly groups: Offer
  readonly cgroup: CgroupOffer
  readonly pidNamespace: Offer
  readonly guardian: Offer
  readonly pressure: Offer
  /** Of all that a config may limit, what the kernel would not enforce. */
  readonly unenforced: ReadonlyArray<Limits.Unenforced>
}

/** What to take in place of what is looked for. */
export interface ProbeOptions {
  readonly cgroup?: Found | Unavailable
  readonly pidNamespace?: PidNamespace.PidNamespace | PidNamespace.NoPidNamespace
}

export const probe = (options: ProbeOptions = {}): Rungs => {
  const { offer, unenforced } = cgroup(options.cgroup ?? findCgroup())
  return {
    processes: processes(),
    groups: groups(),
    cgroup: offer,
    pidNamespace: pidNamespace(options.pidNamespace ?? PidNamespace.find()),
    guardian: guardian(),
    pressure: pressure(),
    unenforced
  }
}

/** Of these limits, what the kernel would not enforce; `noCgroup` says why no groups are made, where they are not. */
export const unenforced = (
  rungs: Rungs,
  limits: Limits.ProcessLimits,
  noCgroup?: string
): ReadonlyArray<Limits.Unenforced> =>
  noCgroup === undefined
    ? rungs.unenforced.filter(({ limit }) => limits[limit as keyof Limits.ProcessLimits] !== undefined)
    : Limits.apply(limits, undefined, undefined, noCgroup)

const processes = (): Offer => {
  const self = ProcFs.walk().get(process.pid)
  if (self === undefined) {
    return {
      available: false,
      says: "there is no /proc, and ps tells nothing: of a tree only its process group is reached",
      hint: "mount /proc (in a container: do not hide it)"
    }
  }
  return ProcessTable.available
    ? { available: true, says: "/proc: by marker, group, session and descent" }
    : {
        available: false,
        says: "there is no /proc: by group and descent, as ps tells them, but not by marker",
        hint: "a process that leaves its group and outlives its parent is not found on this system"
      }
}

const groups = (): Offer =>
  process.platform === "win32"
    ? { available: false, says: "this system has none", hint: "run it on Linux" }
    : { available: true, says: "each run leads a session and a group of its own" }

/** Every limit there is, for a group that stays empty. */
const ALL = {
  memory: 16 * 1024 ** 2,
  memoryHigh: 16 * 1024 ** 2,
  cpus: 1,
  processes: 8,
  ioWeight: 100,
  enforce: "best_effort"
} as const satisfies Limits.ProcessLimits

/** Their names. */
export const LIMITS: ReadonlyArray<string> = Object.keys(ALL).filter((limit) => limit !== "enforce")

const NAME = "mister-smith-doctor-"

const none = (found: Unavailable): ReturnType<typeof cgroup> => ({
  offer: {
    available: false,
    says: found.why,
    hint: found.hint,
    controllers: [],
    missing: Object.fromEntries(CONTROLLERS.map((controller) => [controller, "there is no cgroup"])),
    kills: false,
    freezes: false
  },
  unenforced: Limits.apply(ALL, undefined, undefined, found.why)
})

const cgroup = (
  found: Found | Unavailable
): { readonly offer: CgroupOffer; readonly unenforced: ReadonlyArray<Limits.Unenforced> } => {
  if ("why" in found) return none(found)
  // Of a probe that was killed: always empty.
  sweepSubtrees(
    found,
    (name) => name.startsWith(NAME) && ProcessTable.read(Number(name.slice(NAME.length))) === undefined
  )
  const opened = openSubtree(found, `${NAME}${process.pid}`)
  if (Result.isFailure(opened)) return none({ why: opened.failure.message, hint: opened.failure.hint })
  const subtree = opened.success
  try {
    return tried(found, subtree)
  } finally {
    subtree.close()
  }
}

const tried = (found: Found, subtree: Subtree): ReturnType<typeof cgroup> => {
  const leaf = subtree.leaf("probe")
  if (Result.isFailure(leaf)) return none({ why: leaf.failure.message, hint: leaf.failure.hint })
  const kills = subtree.killsAtOnce
  const freezes = existsSync(`${leaf.success.path}/cgroup.freeze`)
  const lacks = [
    ...(kills ? [] : ["without cgroup.kill (Linux 5.14), so killed one by one"]),
    ...(freezes ? [] : ["without cgroup.freeze (Linux 5.2), so paused one by one"])
  ]
  return {
    offer: {
      available: true,
      says: ["a group for each run", ...lacks, `in ${found.path}`].join(", "),
      path: found.path,
      controllers: [...subtree.controllers],
      missing: Object.fromEntries(subtree.missing),
      kills,
      freezes
    },
    unenforced: Limits.apply(ALL, leaf.success, subtree, "")
  }
}

const pidNamespace = (found: PidNamespace.PidNamespace | PidNamespace.NoPidNamespace): Offer =>
  "why" in found
    ? { available: false, says: found.why, hint: found.hint }
    : { available: true, says: "one can be made for each run" }

/** What its script calls beside what the shell has in itself. */
const TOOLS = ["grep", "sleep"]

const guardian = (): Offer => {
  const without = "a runtime that is killed leaves its trees until the next start"
  if (!ProcessTable.available) return { available: false, says: `it needs /proc; ${without}` }
  const script = TOOLS.map((tool) => `command -v ${tool} >/dev/null || echo ${tool}`).join("\n")
  const { error, stdout } = spawnSync("/bin/sh", ["-c", script], { env: {}, encoding: "utf8", timeout: 5000 })
  if (error !== undefined) {
    return { available: false, says: `/bin/sh cannot be run; ${without}`, hint: "install a POSIX shell as /bin/sh" }
  }
  const missing = stdout.split("\n").filter((line) => line !== "")
  return missing.length === 0
    ? { available: true, says: "a shell that ends all trees when the runtime is killed" }
    : {
        available: false,
        says: `it finds less without ${missing.join(" and ")}`,
        hint: `install ${missing.join(" and ")} in the shell's own default PATH`
      }
}

const pressure = (): Offer => {
  const known = Object.entries(machinePressure()).flatMap(([resource, told]) =>
    told?.some === undefined ? [] : [`${resource} ${told.some.avg10} %`]
  )
  return known.length === 0
    ? {
        available: false,
        says: "the kernel does not tell how much of its time the machine waits",
        hint: "boot Linux 4.20 or later with psi=1"
      }
    : { available: true, says: `of the last 10 seconds work has waited for ${known.join(", ")}` }
}
