import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { findCgroup } from "../../src/process/CgroupPlace.ts"
import { CONTROLLERS } from "../../src/process/CgroupTree.ts"
import { available } from "../../src/process/ProcessTable.ts"
import * as Rungs from "../../src/process/Rungs.ts"
import * as UserLimits from "../../src/process/UserLimits.ts"
import { root } from "../utils/Binary.ts"
import { zoo } from "../utils/Zoo.ts"

const NO_CGROUP = { why: "cgroups are gone fishing", hint: "wait for them" }
const NO_NAMESPACE = { why: "no namespaces today", hint: "ask tomorrow" }
const here = findCgroup()
const path = "why" in here ? undefined : here.path
if (path === undefined) console.log(`no cgroup can be made here: ${"why" in here ? here.why : ""}`)

/** The groups beside which a probe makes its own. */
const probes = () => readdirSync(path ?? "/").filter((name) => name.startsWith("mister-smith-doctor-"))

describe("Rungs", () => {
  it("says why there is no cgroup, and that no limit is enforced without one", () => {
    const rungs = Rungs.probe({ cgroup: NO_CGROUP, pidNamespace: NO_NAMESPACE })
    assert.deepInclude(rungs.cgroup, { available: false, says: NO_CGROUP.why, hint: NO_CGROUP.hint, kills: false })
    assert.deepStrictEqual(rungs.cgroup.controllers, [])
    assert.sameMembers(Object.keys(rungs.cgroup.missing), [...CONTROLLERS])
    assert.sameMembers(
      rungs.unenforced.map(({ limit }) => limit),
      [...Rungs.LIMITS]
    )
    for (const { limit, why, instead } of rungs.unenforced) {
      assert.strictEqual(why, NO_CGROUP.why)
      assert.strictEqual(instead, limit === "memory" || limit === "processes" ? "sampled" : "nothing")
    }
    assert.deepStrictEqual(rungs.pidNamespace, { available: false, says: NO_NAMESPACE.why, hint: NO_NAMESPACE.hint })
  })

  it("names of an agent's limits those that the kernel does not enforce, and no others", () => {
    const rungs = Rungs.probe({ cgroup: NO_CGROUP, pidNamespace: NO_NAMESPACE })
    const of = (limits: object, noCgroup?: string) =>
      Rungs.unenforced(rungs, { enforce: "best_effort", ...limits }, noCgroup).map(({ limit, why }) => [limit, why])
    assert.deepStrictEqual(of({}), [])
    assert.deepStrictEqual(of({ cpus: 2 }), [["cpus", NO_CGROUP.why]])
    assert.deepStrictEqual(of({ cpus: 2, memory: 2 ** 30 }, "off"), [
      ["memory", "off"],
      ["cpus", "off"]
    ])
  })

  it.skipIf(path === undefined)("tries the cgroup, and leaves nothing of the trial", () => {
    const before = probes()
    const { cgroup, unenforced } = Rungs.probe({ pidNamespace: NO_NAMESPACE })
    assert.isTrue(cgroup.available, cgroup.says)
    assert.strictEqual(cgroup.path, path)
    assert.deepStrictEqual(probes(), before)
    // Each controller is usable, or it is told why not; and a limit is enforced by its controller or by nobody.
    assert.sameMembers([...cgroup.controllers, ...Object.keys(cgroup.missing)], [...CONTROLLERS])
    const lacking = new Set(unenforced.map(({ limit }) => limit))
    assert.strictEqual(lacking.has("memory"), !cgroup.controllers.includes("memory"))
    assert.strictEqual(lacking.has("processes"), !cgroup.controllers.includes("pids"))
    const version = /^(\d+)\.(\d+)/.exec(readFileSync("/proc/sys/kernel/osrelease", "utf8"))
    const isAtLeast514 = Number(version?.[1]) > 5 || (Number(version?.[1]) === 5 && Number(version?.[2]) >= 14)
    assert.strictEqual(cgroup.kills, isAtLeast514)
  })

  it.skipIf(path === undefined)("removes what a probe that was killed has left", () => {
    const left = `${path}/mister-smith-doctor-${2 ** 30}`
    mkdirSync(left)
    try {
      Rungs.probe({ pidNamespace: NO_NAMESPACE })
      assert.isFalse(existsSync(left))
    } finally {
      if (existsSync(left)) rmdirSync(left)
    }
  })

  it.runIf(available)("finds /proc, groups and the guardian's tools on a Linux machine", () => {
    const { groups, guardian, processes } = Rungs.probe({ cgroup: NO_CGROUP, pidNamespace: NO_NAMESPACE })
    assert.isTrue(processes.available)
    assert.isTrue(groups.available)
    assert.isTrue(guardian.available, guardian.says)
  })

  it("answers for the pressure what the kernel tells", () => {
    const { pressure } = Rungs.probe({ cgroup: NO_CGROUP, pidNamespace: NO_NAMESPACE })
    assert.strictEqual(pressure.available, readable("/proc/pressure/cpu"))
  })
})

const readable = (file: string) => {
  try {
    return readFileSync(file, "utf8").includes("some")
  } catch {
    return false
  }
}

describe("docs/processes.md", () => {
  it("says of every program of the zoo what it is reached by", () => {
    const docs = readFileSync(join(root, "docs/processes.md"), "utf8")
    const told = [...docs.matchAll(/^\| `([a-z-]+)` \| [^|]+ \| ([^|]+) \|$/gm)].map(([, name, by]) => [name, by])
    const words = { group_kill: "one signal to the group" } as Readonly<Record<string, string>>
    const reached = zoo.map(({ name, reachedBy }) => [
      name,
      reachedBy.map((reach) => words[reach] ?? reach).join(", ") || "nothing"
    ])
    const animals = new Set(zoo.map(({ name }) => name))
    assert.sameDeepMembers(
      told.filter(([name]) => animals.has(name ?? "")),
      reached
    )
  })
})

describe("UserLimits", () => {
  const table = (files: string, processes: string) =>
    `Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max processes             ${processes}                96365                processes 
Max open files            ${files}                524288               files     
`
  it("reads the soft limits, and none where there is none", () => {
    assert.deepStrictEqual(UserLimits.parse(table("1024", "4096")), { openFiles: 1024, processes: 4096 })
    assert.deepStrictEqual(UserLimits.parse(table("20000", "unlimited")), { openFiles: 20000, processes: undefined })
    assert.deepStrictEqual(UserLimits.parse(""), { openFiles: undefined, processes: undefined })
  })

  it.runIf(available)("answers for this process what the kernel says", () => {
    const { openFiles } = UserLimits.own()
    const line = /^Max open files\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]
    assert.strictEqual(openFiles === undefined ? "unlimited" : String(openFiles), line)
  })
})
