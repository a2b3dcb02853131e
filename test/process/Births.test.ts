import { spawnSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import * as Births from "../../src/process/Births.ts"
import * as ProcFs from "../../src/process/ProcFs.ts"

const entry = (pid: number, more: Partial<ProcFs.ProcEntry> = {}): ProcFs.ProcEntry => ({
  pid,
  startTime: "1",
  parent: 1,
  group: pid,
  session: pid,
  state: "S",
  name: "p",
  cpuTicks: 0,
  reapedTicks: 0,
  threads: 1,
  rssPages: 100,
  ...more
})

/** A machine whose processes and count are what a test says; it keeps what was asked of it. */
const machine = (count: number | undefined, processes: ReadonlyArray<ProcFs.ProcEntry>) => {
  const it = {
    count,
    processes: new Map(processes.map((each) => [each.pid, each])),
    /** Cannot be read, though they are there. */
    unreadable: new Set<number>(),
    onRead: () => {},
    walks: 0,
    reads: [] as Array<number>
  }
  const births = Births.make({
    count: () => it.count,
    walk: () => {
      it.walks++
      return new Map(it.processes)
    },
    read: (pid) => {
      it.reads.push(pid)
      it.onRead()
      return it.unreadable.has(pid) ? undefined : it.processes.get(pid)
    },
    isGone: (pid) => !it.processes.has(pid)
  })
  return { it, births }
}

/** It has been seen to count, and has walked once since. */
const warm = (processes: ReadonlyArray<ProcFs.ProcEntry>) => {
  const made = machine(10, processes)
  made.births.walk()
  made.it.count = 11
  made.births.walk()
  made.it.walks = 0
  return made
}

describe("Births", () => {
  it("lists all again where something was born", () => {
    const { births, it } = warm([entry(7)])
    it.count = 12
    it.processes.set(8, entry(8))
    assert.deepStrictEqual([...births.walk().keys()], [7, 8])
    assert.strictEqual(it.walks, 1)
  })

  it("reads only those it knows where nothing was, and sees who is gone and what has changed", () => {
    const { births, it } = warm([entry(7), entry(8), entry(9)])
    it.processes.delete(8)
    it.processes.set(9, entry(9, { session: 7, state: "Z" }))
    assert.deepStrictEqual([...births.walk().values()], [entry(7), entry(9, { session: 7, state: "Z" })])
    assert.strictEqual(it.walks, 0)
  })

  it("lists all again where something is born while it reads", () => {
    const { births, it } = warm([entry(7)])
    it.onRead = () => {
      it.count = 12
      it.processes.set(8, entry(8))
    }
    assert.deepStrictEqual([...births.walk().keys()], [7, 8])
    assert.strictEqual(it.walks, 1)
  })

  it("lists all again where one that is there cannot be read", () => {
    const { births, it } = warm([entry(7), entry(8)])
    it.unreadable.add(8)
    assert.deepStrictEqual([...births.walk().keys()], [7, 8])
    assert.strictEqual(it.walks, 1)
  })

  it("does not read the kernel's threads again, but whatever else is below the same parent", () => {
    const thread = { parent: 2, rssPages: 0, group: 0, session: 0 }
    const { births, it } = warm([
      entry(5, thread),
      entry(6, { ...thread, rssPages: 1 }),
      entry(7, { ...thread, group: 7 })
    ])
    assert.deepStrictEqual([...births.walk().keys()], [5, 6, 7])
    assert.deepStrictEqual(it.reads, [6, 7])
  })

  it("does not read a zombie again, but one of which only the first thread has ended", () => {
    const { births, it } = warm([entry(5, { state: "Z" }), entry(6, { state: "Z", threads: 2 })])
    it.processes.set(6, entry(6, { threads: 2, session: 5 }))
    assert.strictEqual(births.walk().get(6)?.session, 5)
    assert.deepStrictEqual(it.reads, [6])
  })

  it("trusts no count that was never seen to grow, and none that is not there", () => {
    for (const count of [undefined, 5]) {
      const { births, it } = machine(count, [entry(7)])
      for (let i = 0; i < 4; i++) births.walk()
      assert.strictEqual(it.walks, 4)
    }
  })

  it("keeps nothing of a walk that could not be completed", () => {
    const { births, it } = warm([entry(7)])
    it.count = 12
    it.processes.clear()
    assert.strictEqual(births.walk().size, 0)
    it.processes.set(7, entry(7))
    assert.deepStrictEqual([...births.walk().keys()], [7])
    assert.strictEqual(it.walks, 2)
  })

  const missing = Births.count() === undefined ? "this kernel does not count what is born" : undefined
  if (missing !== undefined) console.log(`not tested with the machine's own processes: ${missing}`)
  it.skipIf(missing !== undefined)("counts a process of ours, and finds the same as a full walk", () => {
    const before = Births.count() ?? 0
    const births = Births.make()
    births.walk()
    spawnSync("true")
    assert.isAbove(Births.count() ?? 0, before)
    births.walk()
    const own = births.walk().get(process.pid)
    assert.strictEqual(own?.startTime, ProcFs.read(process.pid)?.startTime)
  })
})
