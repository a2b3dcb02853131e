import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Result, Schema } from "effect"
import { group } from "../../src/process/Cgroup.ts"
import { CONTROLLERS, type Controller, type Subtree } from "../../src/process/CgroupTree.ts"
import * as Limits from "../../src/process/ProcessLimits.ts"

/** A directory with the files of a group that has these controllers, and the subtree that says so. */
const withGroup = <A>(
  controllers: ReadonlyArray<Controller>,
  use: (apply: (limits: Limits.ProcessLimits) => ReturnType<typeof Limits.apply>, read: (name: string) => string) => A
): A => {
  const path = mkdtempSync(join(tmpdir(), "mister-smith-limits-"))
  const files: Record<Controller, ReadonlyArray<string>> = {
    memory: ["memory.max", "memory.high", "memory.swap.max", "memory.oom.group"],
    cpu: ["cpu.max"],
    pids: ["pids.max"],
    io: ["io.weight"]
  }
  try {
    for (const controller of controllers) for (const name of files[controller]) writeFileSync(join(path, name), "")
    const subtree: Subtree = {
      path,
      controllers: new Set(controllers),
      missing: new Map(
        CONTROLLERS.filter((each) => !controllers.includes(each)).map((each) => [each, `no ${each} for you`])
      ),
      killsAtOnce: true,
      leaf: () => Result.succeed(group(path)),
      close: () => ({ gone: true, left: [] })
    }
    return use(
      (limits) => Limits.apply(limits, group(path), subtree, "not asked for"),
      (name) => readFileSync(join(path, name), "utf8")
    )
  } finally {
    rmSync(path, { recursive: true })
  }
}

const all: Limits.ProcessLimits = {
  memory: 512 * 2 ** 20,
  memoryHigh: 256 * 2 ** 20,
  cpus: 1.5,
  processes: 100,
  ioWeight: 50,
  enforce: "best_effort"
}

describe("the limits of a tree", () => {
  it("are all the kernel's where it has the controllers; the tree is ended whole, and not swapped out", () => {
    withGroup(CONTROLLERS, (apply, read) => {
      assert.deepStrictEqual(apply(all), [])
      assert.strictEqual(read("memory.max"), String(512 * 2 ** 20))
      assert.strictEqual(read("memory.high"), String(256 * 2 ** 20))
      assert.strictEqual(read("memory.swap.max"), "0")
      assert.strictEqual(read("memory.oom.group"), "1")
      assert.strictEqual(read("cpu.max"), "150000 100000")
      assert.strictEqual(read("pids.max"), "100")
      assert.strictEqual(read("io.weight"), "default 50")
    })
  })

  it("are looked at every now and then where they are of memory or processes, and else not kept, and it is said why", () => {
    const unenforced = Limits.apply(all, undefined, undefined, "cgroups are off")
    assert.deepStrictEqual(
      unenforced.map(({ instead, limit, why }) => [limit, instead, why]),
      [
        ["memory", "sampled", "cgroups are off"],
        ["memoryHigh", "nothing", "cgroups are off"],
        ["cpus", "nothing", "cgroups are off"],
        ["processes", "sampled", "cgroups are off"],
        ["ioWeight", "nothing", "cgroups are off"]
      ]
    )
  })

  it("are told apart by controller, each once, with the reason for the one that is missing", () => {
    withGroup(["pids"], (apply, read) => {
      const unenforced = apply(all)
      assert.deepStrictEqual(
        unenforced.map(({ limit }) => limit),
        ["memory", "memoryHigh", "cpus", "ioWeight"]
      )
      assert.include(unenforced[0]?.why, "no memory for you")
      assert.strictEqual(read("pids.max"), "100")
    })
  })

  it("that the kernel refuses although it has the controller are named", () => {
    withGroup(CONTROLLERS, (apply) => {
      const refused = apply({ cpus: 0.001, enforce: "required" })
      assert.deepStrictEqual(
        refused.map(({ limit, instead }) => [limit, instead]),
        [["cpus", "nothing"]]
      )
      assert.include(refused[0]?.why, "0.001")
    })
  })

  it("are lifted when they are not said any more", () => {
    withGroup(CONTROLLERS, (apply, read) => {
      apply(all)
      assert.deepStrictEqual(apply({ enforce: "required" }), [])
      for (const name of ["memory.max", "memory.high", "cpu.max", "pids.max"]) assert.match(read(name), /^max/, name)
      assert.match(read("memory.swap.max"), /^max/)
      assert.match(read("memory.oom.group"), /^0/)
      assert.match(read("io.weight"), /^default 100/)
    })
  })

  it("ask for nothing where nothing is asked", () => {
    assert.deepStrictEqual(Limits.apply({ enforce: "required" }, undefined, undefined, "off"), [])
  })

  const decode = Schema.decodeUnknownExit(Schema.Struct(Limits.fields))
  it.effect.each([
    [{ memory: "512 MiB", cpus: 1.5, processes: 64, ioWeight: 1 }, true],
    [{}, true],
    [{ memory: "1 MiB" }, false],
    [{ memory: "much" }, false],
    [{ cpus: 0 }, false],
    [{ cpus: Number.NaN }, false],
    [{ processes: 7 }, false],
    [{ processes: 64.5 }, false],
    [{ ioWeight: 0 }, false],
    [{ ioWeight: 10_001 }, false],
    [{ enforce: "sometimes" }, false]
  ] as ReadonlyArray<readonly [object, boolean]>)("as written by a person: %j", ([written, fine]) =>
    Effect.sync(() => assert.strictEqual(Exit.isSuccess(decode(written)), fine))
  )
})
