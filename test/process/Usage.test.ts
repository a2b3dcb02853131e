import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { setTimeout as pause } from "node:timers/promises"
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { available } from "../../src/process/ProcessTable.ts"
import type { ProcEntry } from "../../src/process/ProcFs.ts"
import * as ProcFs from "../../src/process/ProcFs.ts"
import { makeSampler, type SamplerOptions } from "../../src/process/Usage.ts"

const PAGE = ProcFs.pageSize
const MB = 1024 * 1024
const tickMillis = 1000 / ProcFs.clockTicks

const fake = (pid: number, some: Partial<ProcEntry> = {}): ProcEntry => ({
  pid,
  startTime: "7",
  parent: 1,
  group: pid,
  session: pid,
  state: "S",
  name: "fake",
  cpuTicks: 0,
  reapedTicks: 0,
  threads: 1,
  rssPages: 1000,
  ...some
})
const tableOf = (...entries: ReadonlyArray<ProcEntry>) => new Map(entries.map((entry) => [entry.pid, entry]))
const nobody = fake(1)

/** Each process has half of its memory for itself, three descriptors and has written as many bytes as its pid says. */
const probe = (seen: Array<number> = []): NonNullable<SamplerOptions["probe"]> => ({
  memoryOf: (pid) => {
    seen.push(pid)
    return { pss: 500 * PAGE, rssAnon: 400 * PAGE, swap: 0 }
  },
  residentOf: () => ({ pss: undefined, rssAnon: 250 * PAGE, swap: 0 }),
  ioOf: (pid) => ({ read: 0, written: pid }),
  descriptorsOf: () => 3
})

describe("Usage", () => {
  it("adds up a tree, and gives cpu in percent of one core since the tick before", () => {
    const sampler = makeSampler({ probe: probe() })
    const pids = [fake(10), fake(11)]
    const tick = (at: number, ticks: number) =>
      sampler.tick([{ run: "a", pids }], tableOf(nobody, fake(10, { cpuTicks: ticks, threads: 4 }), fake(11)), at)
    tick(1000, 100)
    assert.deepStrictEqual(sampler.of("a"), {
      at: 1000,
      cpuMillis: 100 * tickMillis,
      cpuPercent: undefined,
      memory: 1000 * PAGE,
      memoryPeak: 1000 * PAGE,
      processes: 2,
      threads: 5,
      descriptors: 6,
      ioRead: 0,
      ioWritten: 21
    })
    tick(3000, 100 + 5000 / tickMillis)
    assert.strictEqual(sampler.of("a")?.cpuPercent, 250)
    tick(3000, 100 + 5000 / tickMillis)
    assert.isUndefined(sampler.of("a")?.cpuPercent)
  })

  it("knows nothing of a run it was never given, or was told to forget", () => {
    const sampler = makeSampler({ probe: probe() })
    sampler.tick([{ run: "a", pids: [fake(10)] }], tableOf(nobody, fake(10)), 0)
    sampler.forget("a")
    for (const run of ["a", "b"]) {
      assert.isUndefined(sampler.of(run))
      assert.isUndefined(sampler.exact(run))
      assert.deepStrictEqual(sampler.history(run), [])
    }
  })

  it("counts neither zombies, nor who is gone, nor a stranger that got the pid", () => {
    const sampler = makeSampler({ probe: probe() })
    const table = tableOf(nobody, fake(10), fake(11, { state: "Z" }), fake(12, { startTime: "8", cpuTicks: 99 }))
    sampler.tick([{ run: "a", pids: [fake(10), fake(11), fake(12), fake(13)] }], table, 0)
    assert.deepInclude(sampler.of("a"), { processes: 1, cpuMillis: 0 })
  })

  it("keeps the time of a zombie, and that of the dead, and falls to nothing in all else when the tree is gone", () => {
    const sampler = makeSampler({ probe: probe() })
    const tree = { run: "a", pids: [fake(10), fake(11)] }
    sampler.tick([tree], tableOf(nobody, fake(10), fake(11, { cpuTicks: 50, parent: 10 })), 0)
    sampler.tick([tree], tableOf(nobody, fake(10), fake(11, { cpuTicks: 60, parent: 10, state: "Z" })), 1)
    assert.deepInclude(sampler.of("a"), { cpuMillis: 60 * tickMillis, processes: 1 })
    sampler.tick([tree], tableOf(nobody, fake(10, { reapedTicks: 60 })), 2)
    assert.strictEqual(sampler.of("a")?.cpuMillis, 60 * tickMillis)
    sampler.tick([tree], tableOf(nobody), 3)
    assert.deepInclude(sampler.of("a"), { cpuMillis: 60 * tickMillis, processes: 0, memory: 0, ioWritten: 21 })
    assert.strictEqual(sampler.of("a")?.memoryPeak, 1000 * PAGE)
  })

  it("learns nothing from a walk that could not be completed", () => {
    const sampler = makeSampler({ probe: probe() })
    const tree = { run: "a", pids: [fake(10)] }
    sampler.tick([tree], tableOf(nobody, fake(10, { cpuTicks: 50 })), 0)
    const before = sampler.of("a")
    sampler.tick([tree], new Map(), 1)
    assert.strictEqual(sampler.of("a"), before)
    sampler.tick([tree], tableOf(nobody, fake(10, { cpuTicks: 50 })), 2)
    assert.strictEqual(sampler.of("a")?.cpuMillis, 50 * tickMillis)
  })

  it("looks at no more processes in a tick than it may, and in time at all of them", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(1_000_000), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 8 }),
        fc.nat(3_000_000),
        (sizes, looksPerTick, pagesPerTick) => {
          const seen: Array<number> = []
          const sampler = makeSampler({ probe: probe(seen), looksPerTick, pagesPerTick })
          const old = sizes.map((rssPages, i) => fake(10 + i, { rssPages }))
          const looked = new Set<number>()
          // Someone new in every tick must not keep the others from being looked at.
          for (let at = 0; at < 5000 && old.some(({ pid }) => !looked.has(pid)); at++) {
            const table = tableOf(nobody, ...old, fake(1000, { startTime: String(at) }))
            const pids = [...table.values()].filter(({ pid }) => pid !== 1)
            // Two trees share the bound.
            const trees = [0, 1].map((half) => ({
              run: String(half),
              pids: pids.filter(({ pid }) => pid % 2 === half)
            }))
            seen.length = 0
            sampler.tick(trees, table, at)
            assert.isAtMost(seen.length, looksPerTick)
            const pages = seen.reduce((sum, pid) => sum + (table.get(pid)?.rssPages ?? 0), 0)
            if (seen.length > 1) assert.isAtMost(pages, pagesPerTick)
            for (const pid of seen) looked.add(pid)
          }
          for (const { pid } of old) assert.isTrue(looked.has(pid))
        }
      ),
      { numRuns: 20 }
    )
  })

  it("looks at the biggest first, and takes for the others what was theirs alone, until it has looked", () => {
    const seen: Array<number> = []
    const sampler = makeSampler({ probe: probe(seen), looksPerTick: 1 })
    const all = [fake(10), fake(11, { rssPages: 2000 }), fake(12)]
    const tick = () => sampler.tick([{ run: "a", pids: all }], tableOf(nobody, ...all), 0)
    tick()
    assert.deepStrictEqual(seen, [11])
    assert.strictEqual(sampler.of("a")?.memory, (250 + 500 + 250) * PAGE)
    assert.strictEqual(sampler.of("a")?.descriptors, 3)
    assert.strictEqual(sampler.exact("a")?.memory, 3 * 500 * PAGE)
    assert.sameMembers(seen.slice(1), [10, 11, 12])
    assert.strictEqual(sampler.of("a")?.memory, 3 * 500 * PAGE)
    assert.strictEqual(sampler.of("a")?.descriptors, 9)
    assert.strictEqual(sampler.history("a")[0], sampler.of("a"))
    assert.strictEqual(sampler.history("a").length, 1)
  })

  it("takes the last share for one that has grown since, and looks soon at one that has a new child", () => {
    const seen: Array<number> = []
    const sampler = makeSampler({ probe: probe(seen), looksPerTick: 2 })
    const tick = (...all: ReadonlyArray<ProcEntry>) =>
      sampler.tick([{ run: "a", pids: all }], tableOf(nobody, ...all), 0)
    const others = [11, 12, 13].map((pid) => fake(pid))
    tick(fake(10), ...others)
    tick(fake(10), ...others)
    assert.sameMembers(seen, [10, 11, 12, 13])
    seen.length = 0
    tick(fake(10), ...others, fake(14, { parent: 13 }))
    assert.sameMembers(seen, [13, 14])
    seen.length = 0
    tick(
      fake(10, { rssPages: 4000 }),
      fake(11, { rssPages: 100_000 }),
      fake(12, { rssPages: 100_000 }),
      fake(13),
      fake(14)
    )
    assert.sameMembers(seen, [11, 12])
    assert.strictEqual(sampler.of("a")?.memory, (2000 + 500 + 500 + 500 + 500) * PAGE)
  })

  it("believes a cgroup where it speaks, and counts on from there when it is gone", () => {
    const seen: Array<number> = []
    const sampler = makeSampler({ probe: probe(seen) })
    let told: (() => Record<string, number>) | undefined
    const cgroup = { usage: () => (told as () => Record<string, number>)() }
    const tick = (at: number, cpuTicks: number) =>
      sampler.tick([{ run: "a", pids: [fake(10)], cgroup }], tableOf(nobody, fake(10, { cpuTicks })), at)
    told = () => ({ cpuMicros: 5_000_000, memory: 70, memoryPeak: 90, processes: 3, ioRead: 6, ioWritten: 8 })
    tick(0, 1)
    assert.deepInclude(sampler.of("a"), { cpuMillis: 5000, memory: 70, memoryPeak: 90, processes: 3, ioRead: 6 })
    assert.deepStrictEqual(seen, [])
    told = () => ({ cpuMicros: 6_000_000, memory: 80, memoryPeak: 95, processes: 3, ioRead: 7, ioWritten: 9 })
    tick(1, 2)
    assert.deepInclude(sampler.of("a"), { cpuMillis: 6000, memoryPeak: 95, ioWritten: 9 })
    told = () => {
      throw new Error("the group is gone")
    }
    tick(2, 4)
    assert.deepInclude(sampler.of("a"), { cpuMillis: 6000 + 2 * tickMillis, memory: 500 * PAGE, processes: 1 })
    told = () => ({ cpuMicros: 7_000_000 })
    tick(3, 5)
    tick(4, 6)
    assert.strictEqual(sampler.of("a")?.cpuMillis, 6000 + 3 * tickMillis)
    told = () => ({ cpuMicros: 7_500_000 })
    tick(5, 7)
    assert.strictEqual(sampler.of("a")?.cpuMillis, 6500 + 3 * tickMillis)
  })

  it("counts bytes that a reaped child wrote once, also when its parent is looked at late", () => {
    let parentWrote = 10
    const told = { ...probe(), ioOf: (pid: number) => ({ read: 0, written: pid === 10 ? parentWrote : 100 }) }
    const sampler = makeSampler({ probe: told, looksPerTick: 1 })
    const big = fake(11, { parent: 10, rssPages: 9000 })
    const tick = (...all: ReadonlyArray<ProcEntry>) =>
      sampler.tick([{ run: "a", pids: all }], tableOf(nobody, ...all), 0)
    tick(fake(10), big)
    assert.strictEqual(sampler.of("a")?.ioWritten, 100)
    parentWrote = 110
    tick(fake(10))
    assert.strictEqual(sampler.of("a")?.ioWritten, 110)
  })

  it("keeps a bounded history, the oldest first", () => {
    const sampler = makeSampler({ probe: probe(), historyLength: 5 })
    for (let at = 0; at < 12; at++) sampler.tick([{ run: "a", pids: [fake(10)] }], tableOf(nobody, fake(10)), at)
    assert.deepStrictEqual(
      sampler.history("a").map(({ at }) => at),
      [7, 8, 9, 10, 11]
    )
    const usual = makeSampler({ probe: probe() })
    for (let at = 0; at < 200; at++) usual.tick([{ run: "a", pids: [] }], tableOf(nobody), at)
    assert.strictEqual(usual.history("a").length, 120)
  })
})

/** A process and all its descendants that the walk has found. */
const treeOf = (table: ReadonlyMap<number, ProcEntry>, leader: number): ReadonlyArray<ProcEntry> => {
  const found = new Set([leader])
  for (let before = 0; before < found.size; ) {
    before = found.size
    for (const { parent, pid } of table.values()) if (found.has(parent)) found.add(pid)
  }
  return [...table.values()].filter(({ pid }) => found.has(pid))
}

interface Program {
  readonly pid: number
  /** The next thing it prints has come. */
  readonly said: () => Promise<string>
  readonly tell: (line: string) => void
}

const withProgram = async (command: string, args: ReadonlyArray<string>, use: (program: Program) => Promise<void>) => {
  // Its group is its own, so that all of it can be ended.
  const child: ChildProcess = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], detached: true })
  const { stdin, stdout } = child
  if (stdin === null || stdout === null || child.pid === undefined) throw new Error("no pipes")
  let rest = ""
  const lines = stdout.iterator({ destroyOnReturn: false })
  const said = async () => {
    while (!rest.includes("\n")) {
      const { done, value } = await lines.next()
      if (done) throw new Error("it ended")
      rest += String(value)
    }
    const end = rest.indexOf("\n")
    const line = rest.slice(0, end)
    rest = rest.slice(end + 1)
    return line
  }
  const gone = once(child, "exit")
  try {
    await use({ pid: child.pid, said, tell: (line) => void stdin.write(`${line}\n`) })
  } finally {
    process.kill(-child.pid, "SIGKILL")
    await gone
  }
}

const perl = (script: string, use: (program: Program) => Promise<void>) =>
  withProgram("perl", ["-e", `$| = 1; ${script}`], use)

describe.runIf(available)("Usage of real processes", () => {
  it("sees all of a tree of shells", () =>
    withProgram("sh", ["-c", "sh -c 'sleep 1000; :' & sleep 1000; :"], async ({ pid }) => {
      const sampler = makeSampler()
      for (;;) {
        const table = ProcFs.walk()
        const pids = treeOf(table, pid)
        if (pids.filter(({ name }) => name === "sleep").length === 2) {
          sampler.tick([{ run: "a", pids }], table, 0)
          break
        }
        await pause(5)
      }
      assert.deepInclude(sampler.of("a"), { processes: 4, threads: 4 })
      assert.isAbove(sampler.of("a")?.memory ?? 0, 0)
      assert.isAtLeast(sampler.of("a")?.descriptors ?? 0, 4 * 3)
    }))

  it("counts memory that two processes share once", async (context) => {
    if (!existsSync("/proc/self/smaps_rollup")) {
      console.warn("this kernel does not tell what is shared")
      return context.skip()
    }
    const script = `my $x = "x"; $x x= ${50 * MB}; if (!fork) { print "up\\n"; sleep 1000 } wait`
    await perl(script, async ({ pid, said }) => {
      await said()
      const table = ProcFs.walk()
      const pids = treeOf(table, pid)
      const resident = pids.map(({ rssPages }) => rssPages * PAGE)
      assert.strictEqual(resident.length, 2)
      for (const each of resident) assert.isAbove(each, 50 * MB)
      const largest = Math.max(...resident)
      const sampler = makeSampler()
      sampler.tick([{ run: "a", pids }], table, 0)
      for (const memory of [sampler.of("a")?.memory, sampler.exact("a")?.memory]) {
        assert.isAbove(memory ?? 0, 50 * MB)
        assert.isBelow(memory ?? 0, 1.2 * largest)
      }
    })
  })

  it("looks again at a parent whose memory has come to be shared", async (context) => {
    if (!existsSync("/proc/self/smaps_rollup")) return context.skip()
    const script = `my $x = "x"; $x x= ${50 * MB}; print "up\\n"; <STDIN>; if (!fork) { print "up\\n"; sleep 1000 } wait`
    await perl(script, async ({ pid, said, tell }) => {
      const sampler = makeSampler()
      const tick = () => {
        const table = ProcFs.walk()
        sampler.tick([{ run: "a", pids: treeOf(table, pid) }], table, 0)
        return sampler.of("a")
      }
      await said()
      const alone = tick()?.memory ?? 0
      assert.isAbove(alone, 50 * MB)
      tell("fork")
      await said()
      const both = tick()
      assert.strictEqual(both?.processes, 2)
      assert.isBelow(both?.memory ?? 0, 1.2 * alone)
    })
  })

  const burn = "my $t = 0; while ($t < 0.12) { for (1..100000) { $i++ } my @t = times; $t = $t[0] + $t[1] }"

  it("counts the time of a child once, before and after it is reaped", () =>
    perl(
      `my $child = fork; if (!$child) { ${burn} print "burnt\\n"; sleep 1000 }
       <STDIN>; kill "KILL", $child; wait; print "reaped\\n"; <STDIN>`,
      async ({ pid, said, tell }) => {
        const sampler = makeSampler()
        const tick = () => {
          const table = ProcFs.walk()
          const pids = treeOf(table, pid)
          sampler.tick([{ run: "a", pids }], table, 0)
          return { pids, leader: table.get(pid), cpuMillis: sampler.of("a")?.cpuMillis ?? 0 }
        }
        await said()
        const before = tick()
        assert.strictEqual(before.pids.length, 2)
        assert.isAtLeast(before.cpuMillis, 100)
        tell("go")
        assert.strictEqual(await said(), "reaped")
        for (let i = 0; i < 4; i++) {
          const after = tick()
          assert.strictEqual(after.pids.length, 1)
          // All of it is in the leader now, which waits for us: no more and no less.
          const ticks = (after.leader?.cpuTicks ?? 0) + (after.leader?.reapedTicks ?? 0)
          assert.isAtLeast(ticks * tickMillis, before.cpuMillis)
          assert.strictEqual(after.cpuMillis, ticks * tickMillis)
        }
      }
    ))

  it("keeps the time of a child that nobody waited for", () =>
    perl(
      `$SIG{CHLD} = "IGNORE"; my $child = fork; if (!$child) { ${burn} print "burnt\\n"; sleep 1000 }
       <STDIN>; kill "KILL", $child; wait; print "gone\\n"; <STDIN>`,
      async ({ pid, said, tell }) => {
        const sampler = makeSampler()
        const tick = () => {
          const table = ProcFs.walk()
          sampler.tick([{ run: "a", pids: treeOf(table, pid) }], table, 0)
          return { leader: table.get(pid), ...sampler.of("a") }
        }
        await said()
        const before = tick()
        assert.strictEqual(before.processes, 2)
        tell("go")
        assert.strictEqual(await said(), "gone")
        for (let i = 0; i < 4; i++) {
          const after = tick()
          assert.strictEqual(after.processes, 1)
          assert.strictEqual(after.leader?.reapedTicks, 0)
          assert.isAtLeast(after.cpuMillis ?? 0, before.cpuMillis ?? Number.NaN)
        }
      }
    ))

  it("counts the descriptors of all of a tree", () =>
    perl(
      `my @f; for (1..40) { open(my $f, "<", "/dev/null"); push @f, $f } if (!fork) { print "up\\n"; sleep 1000 } wait`,
      async ({ pid, said }) => {
        await said()
        const table = ProcFs.walk()
        const sampler = makeSampler()
        sampler.tick([{ run: "a", pids: treeOf(table, pid) }], table, 0)
        assert.isAtLeast(sampler.of("a")?.descriptors ?? 0, 2 * 43)
        assert.strictEqual(
          sampler.exact("a")?.descriptors,
          treeOf(table, pid).reduce((sum, each) => sum + (ProcFs.descriptorsOf(each.pid) ?? 0), 0)
        )
      }
    ))
})
