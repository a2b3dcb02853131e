import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { type Bounds, LOST_FILE, LogFiles, MAX_BUFFERED, MAX_PIECE } from "../../src/observability/LogFiles.ts"
import { agentLog, nameOf, rotatedName } from "../../src/observability/LogNames.ts"
import * as LogReader from "../../src/observability/LogReader.ts"
import { tempDir } from "../utils/Binary.ts"

const KIB = 1024
const bounds: Bounds = { maxFile: 64 * KIB, maxTotal: 1024 * KIB, maxAgeMillis: 1_000_000 }

const filesIn = (dir: string) =>
  readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((path) => nameOf(path) !== undefined)
const sizeOf = (dir: string) => filesIn(dir).reduce((sum, path) => sum + statSync(join(dir, path)).size, 0)
const line = (n: number, length = 100) =>
  JSON.stringify({ time: new Date(n).toISOString(), n, text: "x".repeat(length) })

describe("log files", () => {
  it("hold every line whole, in order, in files that keep their bound, for the user alone", async () => {
    using dir = tempDir()
    const logs = join(dir.path, "logs")
    const files = new LogFiles(logs, { ...bounds, maxTotal: 100 * 1024 * KIB })
    for (let n = 0; n < 5000; n++) {
      files.write(agentLog("a"), line(n, n % 500))
      if (n % 700 === 0) await files.flush()
    }
    await files.flush()
    assert.isAbove(filesIn(logs).length, 10)
    for (const path of filesIn(logs)) {
      assert.isAtMost(statSync(join(logs, path)).size, bounds.maxFile)
      assert.strictEqual(statSync(join(logs, path)).mode & 0o777, 0o600)
    }
    assert.strictEqual(statSync(logs).mode & 0o777, 0o700)
    assert.strictEqual(statSync(join(logs, "agents")).mode & 0o777, 0o700)
    const { broken, lines } = await LogReader.read(dir.path, "a", {})
    assert.strictEqual(broken, 0)
    assert.deepStrictEqual(
      lines.map((each) => each["n"]),
      Array.from({ length: 5000 }, (_, n) => n)
    )
    const last = await LogReader.read(dir.path, "a", { last: 3, since: 4990 })
    assert.deepStrictEqual(
      last.lines.map((each) => each["n"]),
      [4997, 4998, 4999]
    )
    assert.strictEqual(files.lost, 0)
  })

  it("are never more than all of them may be, however many there are; the latest lines stay", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(19), { minLength: 5, maxLength: 40 }), async (whose) => {
        using dir = tempDir()
        const files = new LogFiles(dir.path, bounds)
        for (const [n, who] of whose.entries()) {
          for (let each = 0; each < 300; each++) files.write(agentLog(`a-${who}`), line(n, 400))
          await files.flush()
          assert.isAtMost(sizeOf(dir.path), bounds.maxTotal)
        }
        assert.strictEqual(files.lost, 0)
        const last = readFileSync(join(dir.path, `${agentLog(`a-${whose.at(-1)}`)}.log`), "utf8")
        assert.include(last, line(whose.length - 1, 400))
      }),
      { numRuns: 15 }
    )
  })

  it("also where an earlier run has left more", async () => {
    using dir = tempDir()
    const files = new LogFiles(dir.path, bounds)
    for (let n = 1; n <= 30; n++) writeFileSync(join(dir.path, rotatedName("runtime", n)), "x".repeat(64 * KIB))
    files.write("runtime", line(1))
    await new LogFiles(dir.path, { ...bounds, maxAgeMillis: Date.now() }).flush()
    await files.flush()
    assert.isAtMost(sizeOf(dir.path), bounds.maxTotal)
    assert.include(readFileSync(join(dir.path, "runtime.log"), "utf8"), line(1))
  })

  it("are put aside when they are old, and removed when they are older", async () => {
    using dir = tempDir()
    let now = Date.parse("2026-01-01T00:00:00Z")
    const files = new LogFiles(dir.path, bounds, undefined, () => now)
    const write = async () => {
      files.write("runtime", line(now))
      await files.flush()
    }
    await write()
    now += bounds.maxAgeMillis - 1
    await write()
    assert.lengthOf(filesIn(dir.path), 1)
    now += 1
    await write()
    assert.lengthOf(filesIn(dir.path), 2)
    now += bounds.maxAgeMillis - 1
    await write()
    assert.lengthOf(filesIn(dir.path), 2)
    now += 61_000
    await write()
    const names = filesIn(dir.path)
    assert.include(names, "runtime.log")
    assert.notInclude(names, rotatedName("runtime", Date.parse("2026-01-01T00:00:00Z") + bounds.maxAgeMillis))
  })

  it("end the half of a line that a crash has left; readers pass it over and count it", async () => {
    using dir = tempDir()
    mkdirSync(join(dir.path, "logs/agents"), { recursive: true })
    appendFileSync(join(dir.path, "logs/agents/a.log"), `${line(1)}\n${line(2).slice(0, 20)}`)
    const files = new LogFiles(join(dir.path, "logs"), bounds)
    files.write(agentLog("a"), line(3))
    files.write(agentLog("a"), line(4))
    await files.flush()
    const { broken, lines } = await LogReader.read(dir.path, "a", {})
    assert.strictEqual(broken, 1)
    assert.deepStrictEqual(
      lines.map((each) => each["n"]),
      [1, 3, 4]
    )
  })

  it("are made anew where the directory goes away", async () => {
    using dir = tempDir()
    const logs = join(dir.path, "logs")
    const files = new LogFiles(logs, bounds)
    files.write("runtime", line(1))
    await files.flush()
    rmSync(logs, { recursive: true })
    files.write("runtime", line(2))
    await files.flush()
    assert.strictEqual(readFileSync(join(logs, "runtime.log"), "utf8"), `${line(2)}\n`)
    assert.strictEqual(files.lost, 0)
  })

  it("lose lines on a full disk, count them, say so once, and go on when there is room", async () => {
    using dir = tempDir()
    const said: Array<string> = []
    const files = new LogFiles(dir.path, bounds, (reason) => said.push(reason))
    symlinkSync("/dev/full", join(dir.path, "runtime.log"))
    for (let n = 0; n < 3; n++) {
      files.write("runtime", line(n))
      files.write(agentLog("a"), line(n))
      await files.flush()
    }
    assert.deepStrictEqual(said, ["ENOSPC"])
    assert.strictEqual(files.lost, 3)
    assert.deepInclude(JSON.parse(readFileSync(join(dir.path, LOST_FILE), "utf8")), { lines: 3, reason: "ENOSPC" })
    assert.lengthOf(readFileSync(join(dir.path, "agents/a.log"), "utf8").trim().split("\n"), 3)
    rmSync(join(dir.path, "runtime.log"))
    files.write("runtime", line(9))
    await files.flush()
    assert.strictEqual(readFileSync(join(dir.path, "runtime.log"), "utf8"), `${line(9)}\n`)
    assert.notProperty(JSON.parse(readFileSync(join(dir.path, LOST_FILE), "utf8")), "reason")
  })

  it("hold no more than their bound of what waits; lines for debugging go first", () => {
    const said: Array<string> = []
    const files = new LogFiles("/nowhere", bounds, (reason) => said.push(reason))
    const much = "x".repeat(MAX_PIECE)
    const count = MAX_BUFFERED / MAX_PIECE
    for (let n = 0; n < count; n++) files.write("runtime", much, true)
    assert.strictEqual(files.lost, count / 2)
    for (let n = 0; n < count; n++) files.write("runtime", much)
    assert.strictEqual(files.lost, count)
    assert.lengthOf(said, 1)
  })
})
