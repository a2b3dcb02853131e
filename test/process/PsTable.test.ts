import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { chmodSync, readFileSync, writeFileSync } from "node:fs"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Membership, type Run } from "../../src/process/Membership.ts"
import { available } from "../../src/process/ProcessTable.ts"
import * as ProcFs from "../../src/process/ProcFs.ts"
import * as PsTable from "../../src/process/PsTable.ts"
import { tempDir } from "../utils/Binary.ts"

const units: PsTable.Units = { pageSize: 16_384, clockTicks: 100 }
const here: PsTable.Units = { pageSize: ProcFs.pageSize, clockTicks: ProcFs.clockTicks }

/** No process of a Linux machine has such pids, so nothing of this machine can be taken for theirs. */
const CLI = 2 ** 22 + 100
const [TOOL, SHELL, DAEMON, SERVER, STRANGER] = [CLI + 1, CLI + 2, CLI + 3, CLI + 4, CLI + 5]

/** As macOS prints it: padded days, paths with spaces, flags after the state, sessions not told. */
const MACOS = `
    1     0     1      0 Ss    14832   1:05.33 Fri Nov  6 21:14:02 2026     /sbin/launchd
  412     1   412      0 S    641200 123:45.67 Fri Nov 20 21:15:10 2026     /Applications/Some Editor.app/Contents/MacOS/Editor
${CLI}   412 ${CLI}      0 Ss   163840   0:02.50 Sat Nov 21 08:00:00 2026     /opt/homebrew/bin/claude
${TOOL} ${CLI} ${CLI}      0 S      1600   0:00.01 Sat Nov 21 08:00:01 2026     -zsh
${SHELL} ${TOOL} ${SHELL}      0 U+     1600   0:00.00 Sat Nov 21 08:00:02 2026     /bin/sh
${DAEMON}     1 ${CLI}      0 T      1600   0:00.00 Sat Nov 21 08:00:03 2026     sleep
${SERVER} ${SHELL} ${CLI}      0 Z         0   0:00.00 Sat Nov 21 08:00:04 2026     (node)
${STRANGER}     1 ${STRANGER}      0 S      1600   0:00.00 Sat Nov 21 08:00:05 2026     /usr/bin/vi
`

describe("PsTable", () => {
  it("reads what macOS prints", () => {
    const table = PsTable.parse(MACOS, units)
    assert.strictEqual(table.size, 8)
    assert.deepStrictEqual(table.get(CLI), {
      pid: CLI,
      startTime: String(Date.UTC(2026, 10, 21, 8, 0, 0) / 1000),
      parent: 412,
      group: CLI,
      session: 0,
      state: "S",
      name: "claude",
      cpuTicks: 250,
      reapedTicks: 0,
      threads: 1,
      rssPages: 10_240
    })
    assert.strictEqual(table.get(1)?.startTime, String(Date.UTC(2026, 10, 6, 21, 14, 2) / 1000))
    assert.strictEqual(table.get(412)?.name, "Editor")
    assert.strictEqual(table.get(412)?.cpuTicks, 742_567)
    assert.deepStrictEqual(
      [TOOL, SHELL, DAEMON, SERVER].map((pid) => [table.get(pid)?.name, table.get(pid)?.state]),
      [
        ["-zsh", "S"],
        ["sh", "U"],
        ["sleep", "T"],
        ["(node)", "Z"]
      ]
    )
  })

  it("finds by group and descent who belongs to a run on macOS, and nobody else", () => {
    const table = PsTable.parse(MACOS, units)
    const startTime = table.get(CLI)?.startTime ?? ""
    const run: Run = { marker: "owner.life.run", leader: { pid: CLI, startTime }, cgroup: undefined }
    const members = new Membership().of([run], table).get(run.marker) ?? []
    // The shell has a group of its own and is found by descent, the orphan by its group; the zombie is dead.
    assert.sameMembers(
      members.map(({ pid }) => pid),
      [CLI, TOOL, SHELL, DAEMON]
    )
  })

  it("keeps sessions apart that are told as addresses of the kernel", () => {
    const session = (text: string) =>
      PsTable.parseRow(`7 1 7 ${text} S 16 0:00.00 Sat Nov 21 08:00:00 2026 x`, units)?.session
    assert.strictEqual(session("0"), 0)
    assert.strictEqual(session("-"), 0)
    assert.strictEqual(session("23397"), 23397)
    const addresses = [
      "ffffff8012345678",
      "ffffff8012345680",
      "ffffffa012345678",
      "fffffe2299aa0010",
      "fffffe2299aa0011"
    ]
    assert.strictEqual(new Set(addresses.map(session)).size, addresses.length)
    for (const address of addresses) assert.isAbove(session(address) ?? 0, 2 ** 22)
  })

  it("takes what is no line of it for none, and never throws", () => {
    const known = PsTable.parse(MACOS, units)
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string(), fc.constantFrom(...MACOS.split("\n")))), (lines) => {
        for (const [pid, entry] of PsTable.parse(lines.join("\n"), units)) assert.deepStrictEqual(entry, known.get(pid))
      })
    )
    const whole = "7 1 7 0 S 16 0:00.00 Sat Nov 21 08:00:00 2026 x"
    assert.isDefined(PsTable.parseRow(whole, units))
    for (let at = 0; at < whole.length - 2; at++) assert.isUndefined(PsTable.parseRow(whole.slice(0, at), units))
  })

  const ps = spawnSync("ps", ["-A", "-o", "lstart="], { stdio: "ignore" }).status === 0
  if (!ps) console.log("there is no ps here to be compared with /proc")

  it.skipIf(!ps || !available)("tells of this machine what /proc tells", async () => {
    const child = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" })
    await once(child, "spawn")
    const pid = child.pid as number
    try {
      const [before, byPs, after] = [ProcFs.walk(), PsTable.walk(here), ProcFs.walk()]
      const { group, session, startTime } = before.get(pid) as ProcFs.ProcEntry
      assert.deepStrictEqual([group, session], [pid, pid])
      for (const looked of [byPs.get(pid), PsTable.read(pid, here)]) {
        assert.deepInclude(looked, { pid, parent: process.pid, group, session })
      }
      // Who stood still between two walks of /proc stands there in the table of ps too.
      let compared = 0
      for (const [pid, entry] of byPs) {
        const [first, last] = [placeOf(before.get(pid)), placeOf(after.get(pid))]
        if (first === undefined || first.startTime !== last?.startTime) continue
        if (JSON.stringify(first) !== JSON.stringify(last)) continue
        const { startTime: _, ...place } = first
        assert.deepInclude(entry, place)
        compared++
      }
      assert.isAbove(compared, 2)
      // The second in which it began, as far as the kernel and ps agree on when the machine did.
      const booted = Number(/^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1])
      assert.closeTo(Number(byPs.get(pid)?.startTime), booted + Number(startTime) / ProcFs.clockTicks, 2)
    } finally {
      const gone = once(child, "exit")
      child.kill("SIGKILL")
      await gone
    }
    assert.isUndefined(PsTable.read(pid, here))
  })

  it("is what ProcFs asks on a system without /proc, and only there", (context) => {
    using dir = tempDir()
    // A ps that knows its caller and one other, and of single pids only the caller's.
    const ps = join(dir.path, "ps")
    writeFileSync(
      ps,
      `#!/bin/sh
[ "$1" = -A ] || [ "$2" = $PPID ] || exit 1
echo "$PPID 1 $PPID 0 S 1600 0:00.10 Sat Nov 21 08:00:00 2026 /opt/my runtime"
echo "${CLI} $PPID ${CLI} 0 S 1600 0:00.10 Sat Nov 21 08:00:00 2026 /opt/claude"
`
    )
    chmodSync(ps, 0o755)
    const mac = askedOn("darwin", dir.path)
    if (mac === undefined) return context.skip()
    assert.deepStrictEqual(mac, { me: "my runtime", other: "claude", alone: "my runtime" })
    if (available) assert.deepStrictEqual(askedOn("linux", dir.path), {})
  })
})

const placeOf = (entry: ProcFs.ProcEntry | undefined) =>
  entry && { startTime: entry.startTime, parent: entry.parent, group: entry.group, session: entry.session }

/** What ProcFs answers to a runtime that takes itself to be on this system, without /proc; undefined where that cannot be had. */
const askedOn = (platform: string, path: string): unknown => {
  const file = fileURLToPath(new URL("../../src/process/ProcFs.ts", import.meta.url))
  const script = `
    // Not before the runtime is up: Bun does not start without /proc.
    if (${available}) (await import("node:child_process")).execFileSync("mount", ["-t", "tmpfs", "none", "/proc"])
    Object.defineProperty(process, "platform", { value: ${JSON.stringify(platform)} })
    process.env.PATH = ${JSON.stringify(path + delimiter)} + process.env.PATH
    const { read, walk } = await import(${JSON.stringify(file)})
    const table = walk()
    console.log(JSON.stringify({
      me: table.get(process.pid)?.name,
      other: table.get(${CLI})?.name,
      alone: read(process.pid)?.name,
      nobody: read(${CLI})?.name
    }))`
  const command = available ? ["unshare", "--map-root-user", "--mount", process.execPath] : [process.execPath]
  const { error, status, stderr, stdout } = spawnSync(command[0] as string, [...command.slice(1), "-e", script], {
    encoding: "utf8"
  })
  if (status === 0) return JSON.parse(stdout)
  const why = error?.message ?? stderr
  if (!/unshare|mount/.test(why)) throw new Error(why)
  console.log(`/proc cannot be hidden here: ${why}`)
  return undefined
}
