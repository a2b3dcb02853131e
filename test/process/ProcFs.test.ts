import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { machinePressure, parsePressure } from "../../src/process/Pressure.ts"
import { available, read } from "../../src/process/ProcessTable.ts"
import * as ProcFs from "../../src/process/ProcFs.ts"

const NOBODY = 2 ** 30

/** A program that is there when it has printed its first line, and is killed after the test. */
const withProgram = async (command: string, args: ReadonlyArray<string>, use: (child: ChildProcess) => void) => {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] })
  try {
    await once(child.stdout as NonNullable<typeof child.stdout>, "data")
    use(child)
  } finally {
    const gone = once(child, "exit")
    child.kill("SIGKILL")
    await gone
  }
}

const path = (file: string) => JSON.stringify(fileURLToPath(new URL(`../../src/process/${file}`, import.meta.url)))
const module = path("ProcFs.ts")
const pressure = path("Pressure.ts")

/** What a script prints as JSON that is run by a runtime of its own, which `by` starts. */
const inBun = (script: string, by: ReadonlyArray<string> = []): Record<string, unknown> => {
  const [command, ...args] = [...by, process.execPath, "-e", script]
  const { stderr, stdout } = spawnSync(command as string, args, { encoding: "utf8" })
  assert.notStrictEqual(stdout, "", stderr)
  return JSON.parse(stdout) as Record<string, unknown>
}

/** The same, with an empty file system in place of /proc; undefined where that cannot be had. */
const withoutProc = (script: string): Record<string, unknown> | undefined => {
  const unshare = ["unshare", "--map-root-user", "--mount"]
  const mount = ["mount", "-t", "tmpfs", "none", "/proc"]
  const tried = spawnSync("unshare", [...unshare.slice(1), ...mount], { encoding: "utf8" })
  if (tried.status !== 0) {
    console.warn(`/proc cannot be hidden here: ${tried.error?.message ?? tried.stderr}`)
    return undefined
  }
  // Not before the runtime is up: Bun does not start without /proc.
  const [command, ...args] = mount
  const hide = `(await import("node:child_process")).execFileSync(${JSON.stringify(command)}, ${JSON.stringify(args)})\n`
  return inBun(hide + script, unshare)
}

const count = fc.maxSafeNat().map((n) => Math.floor(n / 2))
const small = fc.nat({ max: 2 ** 22 })

const entry = fc.record({
  pid: fc.integer({ min: 1, max: 2 ** 22 }),
  name: fc.oneof(
    fc.string({ unit: "binary", maxLength: 15 }).map((text) => text.replaceAll("\0", "")),
    fc.constantFrom("", ")", ") ", ") R 1 2 3", "((", "a) S 1 (b", "\n", ") S\n", "é🙂", "(sd-pam)")
  ),
  state: fc.constantFrom("R", "S", "D", "Z", "T", "t", "I", "X"),
  parent: small,
  group: small,
  session: small,
  terminal: fc.integer({ min: -1, max: 40_000 }),
  utime: count,
  stime: count,
  cutime: count,
  cstime: count,
  threads: fc.integer({ min: 0, max: 5000 }),
  startTime: count,
  rssPages: count
})

type Written = typeof entry extends fc.Arbitrary<infer T> ? T : never

/** The line as the kernel writes it, see proc_pid_stat(5). */
const line = (it: Written): Buffer => {
  const before = [it.parent, it.group, it.session, it.terminal, -1, 4194304, 99, 0, 1, 0]
  const times = [it.utime, it.stime, it.cutime, it.cstime, 20, -5, it.threads, 0, it.startTime, 3133440, it.rssPages]
  const after = ["18446744073709551615", 93826878328832, 0, 0, 17, 1, 0, 0]
  return Buffer.from(`${it.pid} (${it.name}) ${it.state} ${[...before, ...times, ...after].join(" ")}\n`)
}

/** All there is to know of one process. */
const details = (pid: number) => ({
  ...ProcFs.memoryOf(pid),
  io: ProcFs.ioOf(pid),
  descriptors: ProcFs.descriptorsOf(pid)
})

describe("ProcFs", () => {
  it("reads every field of a stat line, whatever the name", () => {
    fc.assert(
      fc.property(entry, (it) => {
        assert.deepStrictEqual(ProcFs.parseStat(line(it)), {
          pid: it.pid,
          startTime: String(it.startTime),
          parent: it.parent,
          group: it.group,
          session: it.session,
          state: it.state,
          // Half a character is left where the kernel has cut a name.
          name: Buffer.from(it.name).toString("utf8"),
          cpuTicks: it.utime + it.stime,
          reapedTicks: it.cutime + it.cstime,
          threads: it.threads,
          rssPages: it.rssPages
        })
      }),
      { numRuns: 500 }
    )
  })

  it("takes a line that is cut short for none, and never throws", () => {
    fc.assert(
      fc.property(entry, fc.nat(), (it, at) => {
        const whole = line(it)
        const fields = whole.subarray(0, whole.lastIndexOf(")") + 2).length
        const needed = whole.toString("latin1", fields).split(" ").slice(0, 22).join(" ").length
        assert.isUndefined(ProcFs.parseStat(whole, at % (fields + needed + 1)))
        assert.isDefined(ProcFs.parseStat(whole, fields + needed + 1))
        // What lies behind the length is of an earlier, longer line.
        assert.strictEqual(ProcFs.parseStat(Buffer.concat([whole, whole]), whole.length)?.pid, it.pid)
      })
    )
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void ProcFs.parseStat(Buffer.from(bytes))))
  })

  it("reads the other files, and of any other text says that it tells nothing", () => {
    const rollup = "55-7f ---p 0 00:00 0   [rollup]\nRss:    900 kB\nPss:     12 kB\nPss_Anon: 7 kB\n"
    assert.deepStrictEqual(ProcFs.parseRollup(`${rollup}Anonymous:     4 kB\nSwap:        1 kB\nSwapPss:   0 kB\n`), {
      pss: 12 * 1024,
      rssAnon: 4096,
      swap: 1024
    })
    assert.deepStrictEqual(
      ProcFs.parseStatus("Name:\tRssAnon:\nVmRSS:\t 9 kB\nRssAnon:\t     8 kB\nVmSwap:\t 0 kB\n"),
      {
        pss: undefined,
        rssAnon: 8192,
        swap: 0
      }
    )
    assert.deepStrictEqual(ProcFs.parseIo("rchar: 1\nread_bytes: 23\nwrite_bytes: 4\ncancelled_write_bytes: 5\n"), {
      read: 23,
      written: 4
    })
    fc.assert(
      fc.property(fc.string(), (text) => {
        assert.isUndefined(ProcFs.parseIo(text))
        assert.isUndefined(ProcFs.parseRollup(text).pss)
        assert.isUndefined(ProcFs.parseStatus(text).rssAnon)
        assert.isUndefined(parsePressure(text))
      })
    )
  })

  it("finds a value in the auxiliary vector", () => {
    const words = new BigUint64Array([33n, 7n, 6n, 65536n, 17n, 250n, 0n, 0n])
    const bytes = new Uint8Array(words.buffer)
    assert.strictEqual(ProcFs.parseAuxv(bytes, 6), 65536)
    assert.strictEqual(ProcFs.parseAuxv(bytes, 17), 250)
    assert.isUndefined(ProcFs.parseAuxv(bytes, 7))
    assert.isUndefined(ProcFs.parseAuxv(bytes.subarray(0, 20), 6))
  })

  it("tells nothing of a process that is not there", () => {
    assert.deepStrictEqual(details(NOBODY), {
      pss: undefined,
      rssAnon: undefined,
      swap: undefined,
      io: undefined,
      descriptors: undefined
    })
  })

  describe.runIf(available)("on this machine", () => {
    it("finds this process, the first one, and what ProcessTable says of them", () => {
      const table = ProcFs.walk()
      const self = table.get(process.pid)
      const known = read(process.pid)
      for (const field of ["group", "name", "parent", "pid", "startTime"] as const)
        assert.strictEqual(self?.[field], known?.[field])
      assert.isAbove(self?.threads ?? 0, 1)
      assert.isAbove(self?.cpuTicks ?? 0, 0)
      // Nothing is missing that was there before and is there afterwards.
      const numbers = () =>
        new Set(
          readdirSync("/proc")
            .filter((entry) => /^\d+$/.test(entry))
            .map(Number)
        )
      const before = numbers()
      const walked = ProcFs.walk()
      for (const pid of numbers()) if (before.has(pid)) assert.isTrue(walked.has(pid) || read(pid) === undefined)
    })

    it("knows the size of a page and how long a tick is", () => {
      const status = readFileSync("/proc/self/status", "latin1")
      const resident = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
      const pages = ProcFs.walk().get(process.pid)?.rssPages ?? 0
      // The two are not of one instant; a wrong page size is off by a factor of 4 at least.
      assert.isBelow(Math.abs(Math.log2((pages * ProcFs.pageSize) / resident)), 1)
      const started = Number(read(process.pid)?.startTime) / ProcFs.clockTicks
      const uptime = Number(readFileSync("/proc/uptime", "latin1").split(" ")[0])
      assert.isAtMost(started, uptime)
    })

    it("reads a process whose name is made to mislead", async () => {
      await withProgram("perl", ["-e", '$| = 1; $0 = ") R 1 (\\n"; print "up\\n"; sleep 1000'], (child) => {
        const found = ProcFs.walk().get(child.pid as number)
        assert.strictEqual(found?.name, ") R 1 (\n")
        assert.strictEqual(found?.parent, process.pid)
      })
    })

    it("counts open descriptors, and tells the memory of a process of ours", async () => {
      const script =
        'my @f; for (1..40) { open(my $f, "<", "/dev/null"); push @f, $f } $| = 1; print "up\\n"; sleep 1000'
      await withProgram("perl", ["-e", script], (child) => {
        const pid = child.pid as number
        const known = details(pid)
        assert.strictEqual(known.descriptors, readdirSync(`/proc/${pid}/fd`).length)
        assert.isAtLeast(known.descriptors ?? 0, 43)
        assert.isAbove(known.rssAnon ?? 0, 0)
        if (existsSync("/proc/self/smaps_rollup")) assert.isAbove(known.pss ?? 0, 0)
      })
    })

    it("has a walk that cannot be completed be empty, because the living would look dead in it", () => {
      const said = inBun(
        `
        const { closeSync, openSync } = await import("node:fs")
        const { walk } = await import(${module})
        const held = []
        try { for (;;) held.push(openSync("/dev/null", "r")) } catch {}
        const without = walk().size
        closeSync(held.pop())
        const withOne = walk().size
        for (const file of held) closeSync(file)
        console.log(JSON.stringify({ without, withOne, self: walk().has(process.pid) }))`,
        ["sh", "-c", 'ulimit -n 200; exec "$0" "$@"']
      )
      assert.deepInclude(said, { without: 0, self: true })
      // One free descriptor is enough, or it is not; half of a walk it never is.
      if (said["withOne"] !== 0) assert.isAbove(said["withOne"] as number, 1)
    })

    it("leaves no descriptor open", () => {
      // In a process of its own: other tests open and close some in this one.
      const said = inBun(`
        const { readdirSync } = await import("node:fs")
        const { descriptorsOf, ioOf, memoryOf, walk } = await import(${module})
      const details = (pid) => ({ ...memoryOf(pid), io: ioOf(pid), descriptors: descriptorsOf(pid) })
        const open = () => readdirSync("/proc/self/fd").length
        walk()
        const before = open()
        for (let i = 0; i < 20; i++) walk(), details(process.pid), details(${NOBODY})
        console.log(JSON.stringify({ more: open() - before }))`)
      assert.deepStrictEqual(said, { more: 0 })
    })
  })

  it("finds nobody where there is no /proc, and throws nothing", (context) => {
    const script = `
      const { descriptorsOf, ioOf, memoryOf, walk } = await import(${module})
      const details = (pid) => ({ ...memoryOf(pid), io: ioOf(pid), descriptors: descriptorsOf(pid) })
      const { machinePressure } = await import(${pressure})
      const { existsSync } = await import("node:fs")
      const proc = existsSync("/proc/self/stat")
      console.log(JSON.stringify({ proc, size: walk().size, ...details(process.pid), ...machinePressure() }))`
    const said = available ? withoutProc(script) : inBun(script)
    if (said === undefined) return context.skip()
    // What is undefined is not in the JSON.
    assert.deepStrictEqual(said, { proc: false, size: 0 })
  })

  it.runIf(available)("passes over who is gone, and takes any other failure for the end of the walk", (context) => {
    const said = withoutProc(`
      const { mkdirSync, writeFileSync } = await import("node:fs")
      const { walk } = await import(${module})
      const stat = "5 (five) S " + Array.from({ length: 49 }, (_, i) => i).join(" ")
      mkdirSync("/proc/5")
      writeFileSync("/proc/5/stat", stat)
      mkdirSync("/proc/6")
      const gone = [...walk().keys()]
      mkdirSync("/proc/7/stat", { recursive: true })
      console.log(JSON.stringify({ gone, unreadable: [...walk().keys()] }))`)
    if (said === undefined) return context.skip()
    assert.deepStrictEqual(said, { gone: [5], unreadable: [] })
  })
})

describe("Pressure", () => {
  it("reads what the kernel writes, with and without a `full` line", () => {
    const some = "some avg10=0.20 avg60=12.52 avg300=100.00 total=372207418\n"
    const expected = { avg10: 0.2, avg60: 12.52, avg300: 100, totalMicros: 372207418 }
    assert.deepStrictEqual(parsePressure(some), { some: expected, full: undefined })
    const full = "full avg10=0.00 avg60=0.01 avg300=0.00 total=7\n"
    assert.deepStrictEqual(parsePressure(some + full)?.full, { avg10: 0, avg60: 0.01, avg300: 0, totalMicros: 7 })
  })

  it("answers for this machine what its files say", () => {
    const { cpu, io, memory } = machinePressure()
    for (const [resource, told] of Object.entries({ cpu, io, memory })) {
      const path = `/proc/pressure/${resource}`
      let text = ""
      try {
        text = readFileSync(path, "latin1")
      } catch {
        assert.isUndefined(told)
        continue
      }
      const total = Number(/^some .*total=(\d+)$/m.exec(text)?.[1])
      assert.isAtMost(told?.some?.totalMicros ?? Number.NaN, total)
      assert.isAtMost(told?.some?.avg10 ?? Number.NaN, 100)
    }
  })
})
