/**
 * What a process tree may use, as a person writes it, and who enforces it: the cgroup's controllers from the first
 * instruction on, or, for memory and processes without a controller, a look every now and then that ends the tree.
 *
 * prlimit(2) is no help: its limits are for single processes (or all of a user), and the CLI alone reserves 70 GB of
 * address space, of which it uses 150 MB.
 */
import { Effect, Schema } from "effect"
import { byteSizeBetween } from "../domain/Quantity.ts"
import { wholeNumber } from "../domain/Setting.ts"
import { type Group, type Limits, writeText } from "./Cgroup.ts"
import type { Controller, Subtree } from "./CgroupTree.ts"

const bytes = byteSizeBetween("16 MiB", "64 TiB")

/** The keys that say what a tree may use. */
export const fields = {
  memory: Schema.optionalKey(bytes).annotateKey({
    description:
      "Memory of its CLI and all that it has started, together; above it the tree is ended. Default: no limit"
  }),
  memoryHigh: Schema.optionalKey(bytes).annotateKey({
    description: "Memory above which it is slowed down, so that it is seldom ended. Default: no limit"
  }),
  cpus: Schema.optionalKey(
    Schema.Finite.pipe(
      Schema.check(
        Schema.isBetween({ minimum: 0.01, maximum: 1024 }, { message: "expected a number from 0.01 to 1024" })
      )
    )
  ).annotateKey({ description: "Cores, such as 1.5. Default: no limit" }),
  processes: Schema.optionalKey(wholeNumber(8, 1_000_000)).annotateKey({
    description: "Processes and threads together; the CLI alone has about 20. Default: no limit"
  }),
  ioWeight: Schema.optionalKey(wholeNumber(1, 10_000)).annotateKey({
    description: "Its share of the disk against others' 100. Default: 100"
  }),
  enforce: Schema.Literals(["best_effort", "required"])
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("best_effort" as const)))
    .annotateKey({
      description:
        "Where the machine cannot enforce one of these limits: best_effort says so and runs it all the same, required does not start it. Default best_effort"
    })
}

export interface ProcessLimits {
  /** Bytes. */
  readonly memory?: number
  /** Bytes. */
  readonly memoryHigh?: number
  readonly cpus?: number
  readonly processes?: number
  readonly ioWeight?: number
  readonly enforce: "best_effort" | "required"
}

/** A limit that the kernel does not enforce, and what is done instead. */
export interface Unenforced {
  readonly limit: string
  readonly why: string
  readonly instead: "sampled" | "nothing"
}

type LimitKey = Exclude<keyof ProcessLimits, "enforce">

const controllerOf: Record<LimitKey, Controller> = {
  memory: "memory",
  memoryHigh: "memory",
  cpus: "cpu",
  processes: "pids",
  ioWeight: "io"
}
const keyOf: Partial<Record<keyof Limits, LimitKey>> = {
  memoryMax: "memory",
  memoryHigh: "memoryHigh",
  cpus: "cpus",
  processes: "processes",
  ioWeight: "ioWeight"
}

/** Sets the limits of a group, which may be running, and says which of them the kernel does not enforce. */
export const apply = (
  limits: ProcessLimits,
  group: Group | undefined,
  subtree: Subtree | undefined,
  noCgroup: string
): ReadonlyArray<Unenforced> => {
  const unenforced: Array<Unenforced> = []
  const lacks = (limit: LimitKey, why: string) =>
    unenforced.push({ limit, why, instead: limit === "memory" || limit === "processes" ? "sampled" : "nothing" })
  for (const limit of Object.keys(controllerOf) as ReadonlyArray<LimitKey>) {
    if (limits[limit] === undefined) continue
    if (group === undefined || subtree === undefined) lacks(limit, noCgroup)
    else {
      const controller = controllerOf[limit]
      if (!subtree.controllers.has(controller)) {
        lacks(limit, `no ${controller} controller: ${subtree.missing.get(controller) ?? "unknown"}`)
      }
    }
  }
  if (group === undefined || subtree === undefined) return unenforced
  // All of a tree or nothing: a CLI that has lost a child to the kernel does not know what it has lost.
  if (subtree.controllers.has("memory")) {
    writeText(`${group.path}/memory.oom.group`, limits.memory === undefined ? "0" : "1")
  }
  const has = (controller: Controller) => subtree.controllers.has(controller)
  const refused = group.limit({
    // Swap would only put off the end, at the cost of all others.
    ...(has("memory") ? { memoryMax: limits.memory, memoryHigh: limits.memoryHigh } : {}),
    ...(has("memory") && limits.memory !== undefined ? { swapMax: 0 } : {}),
    ...(has("cpu") ? { cpus: limits.cpus } : {}),
    ...(has("pids") ? { processes: limits.processes } : {}),
    ...(has("io") ? { ioWeight: limits.ioWeight } : {})
  })
  for (const { limit, why } of refused) {
    const key = keyOf[limit]
    if (key !== undefined && limits[key] !== undefined) lacks(key, why)
  }
  return unenforced
}
