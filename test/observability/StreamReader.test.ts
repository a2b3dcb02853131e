/** What `logs --raw` reads: every line once, whatever is put aside while it reads. */
import { appendFileSync, mkdirSync, renameSync, unlinkSync } from "node:fs"
import { dirname, join } from "node:path"
import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { type Bounds, LogFiles } from "../../src/observability/LogFiles.ts"
import { agentStream, rotatedName } from "../../src/observability/LogNames.ts"
import * as LogReader from "../../src/observability/LogReader.ts"
import { StreamReader, streamLine } from "../../src/observability/StreamReader.ts"
import { tempDir } from "../utils/Binary.ts"

const name = agentStream("worker")
const bounds: Bounds = { maxFile: 64 * 1024, maxTotal: 16 * 1024 * 1024, maxAgeMillis: 1_000_000 }

const texts = async (reader: StreamReader) => {
  const seen: Array<string> = []
  for await (const { text } of reader.look()) seen.push(text)
  return seen
}
const json = (n: number, size = 0) => JSON.stringify({ n, pad: "x".repeat(size) })

describe("the reader of a stream", () => {
  it("gives every line once and in order while files are put aside between its looks", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 8000 }), fc.boolean())),
        async (rounds) => {
          using dir = tempDir()
          const files = new LogFiles(join(dir.path, "logs"), bounds)
          const reader = new StreamReader(dir.path, "worker")
          const written: Array<string> = []
          const seen: Array<string> = []
          for (const [lines, size, look] of rounds) {
            for (let n = 0; n < lines; n++) {
              const text = json(written.length, size)
              written.push(text)
              files.write(name, streamLine(new Date(), text))
            }
            await files.flush()
            if (look) seen.push(...(await texts(reader)))
          }
          seen.push(...(await texts(reader)))
          await reader.close()
          assert.deepStrictEqual(seen, written)
          assert.strictEqual(files.lost, 0)
        }
      ),
      { numRuns: 40 }
    )
  })

  it("reads the end of a file that is put aside, and one that is removed, and waits for the rest of a line", async () => {
    using dir = tempDir()
    const live = join(dir.path, "logs", `${name}.log`)
    mkdirSync(dirname(live), { recursive: true })
    const at = new Date("2026-01-01T00:00:00Z")
    const say = (n: number) => appendFileSync(live, `${streamLine(at, json(n))}\n`)
    const reader = new StreamReader(dir.path, "worker")
    assert.deepStrictEqual(await texts(reader), [])
    say(1)
    const whole = streamLine(at, json(2))
    appendFileSync(live, whole.slice(0, 30))
    assert.deepStrictEqual(await texts(reader), [json(1)])
    appendFileSync(live, `${whole.slice(30)}\n`)
    say(3)
    renameSync(live, join(dir.path, "logs", rotatedName(name, 1000)))
    say(4)
    renameSync(live, join(dir.path, "logs", rotatedName(name, 2000)))
    say(5)
    assert.deepStrictEqual(
      await texts(reader),
      [2, 3, 4, 5].map((n) => json(n))
    )
    say(6)
    unlinkSync(live)
    say(7)
    appendFileSync(live, "no line of a stream\n")
    assert.deepStrictEqual(
      await texts(reader),
      [6, 7].map((n) => json(n))
    )
    assert.deepStrictEqual(await texts(reader), [])
    await reader.close()
  })

  it("is of an agent that the other files know, and adds nobody", async () => {
    using dir = tempDir()
    const files = new LogFiles(join(dir.path, "logs"), bounds)
    files.write("agents/worker", JSON.stringify({ time: new Date().toISOString(), type: "agent.state" }))
    files.write(name, streamLine(new Date(), json(1)))
    await files.flush()
    assert.deepStrictEqual(await LogReader.agentsIn(dir.path), ["worker"])
    assert.lengthOf((await LogReader.read(dir.path, "worker", {})).lines, 1)
  })
})
