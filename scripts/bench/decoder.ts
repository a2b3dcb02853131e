/**
 * How fast the CLI's lines become events, against a plain split and JSON.parse of the same bytes in the same run.
 * Prints one line of JSON. Rounds alternate, figures are medians; no figure is a pass or a fail.
 *
 *   bun scripts/bench/decoder.ts
 */
import { readdirSync, readFileSync } from "node:fs"
import { ClaudeDecoder } from "../../src/claude/ClaudeEvent.ts"

const ROUNDS = 25
const CHUNK = 64 * 1024
const SIZE = 8 * 1024 * 1024
const encoder = new TextEncoder()

/** Lines of 240 bytes, one template after the other, filled up at the mark; no two lines are alike. */
const filled = (templates: ReadonlyArray<string>): Uint8Array => {
  const lines: Array<string> = []
  for (let i = 0; lines.length * 241 < SIZE; i++) {
    const template = templates[i % templates.length] ?? ""
    const line = template.replaceAll("ID", i.toString(16).padStart(12, "0"))
    lines.push(line.replace("FILL", i.toString(36).padEnd(240 - line.length + "FILL".length, "word ")))
  }
  return encoder.encode(`${lines.join("\n")}\n`)
}

const session = `"session_id":"4d87395f-1257-46ea-b4e6-ID","uuid":"c404d499-cce0-422e-9ade-ID"`
const delta = (json: string) =>
  `{"type":"stream_event","event":{"type":"content_block_delta","index":0,"delta":${json}},"parent_tool_use_id":null,${session}}`
const textDelta = delta(`{"type":"text_delta","text":"FILL"}`)
const inputDelta = delta(`{"type":"input_json_delta","partial_json":"FILL"}`)
const assistant = `{"type":"assistant","message":{"id":"msg_ID","model":"m","content":[{"type":"text","text":"FILL"}]},${session}}`
const toolUse = `{"type":"assistant","message":{"id":"","model":"","content":[{"type":"tool_use","id":"t","name":"Bash","input":{"a":"FILL"}}]},${session}}`
const toolResult = `{"type":"user","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"FILL"}]},${session}}`
const status = `{"type":"system","subtype":"status","status":"requesting","permissionMode":"FILL",${session}}`

/** What the recorded CLIs printed, one after the other, again and again. */
const recorded = (): Uint8Array => {
  const folder = new URL("../../test/fixtures/transcripts/", import.meta.url)
  const lines = readdirSync(folder).flatMap((name) =>
    readFileSync(new URL(name, folder), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .flatMap((line) => {
        const value = JSON.parse(line)
        return value.dir === undefined ? [line] : value.dir === "stdout" ? [JSON.stringify(value.msg)] : []
      })
  )
  const once = `${lines.join("\n")}\n`
  return encoder.encode(once.repeat(Math.ceil(SIZE / once.length)))
}

const chunksOf = (bytes: Uint8Array): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(bytes.length / CHUNK) }, (_, i) => bytes.slice(i * CHUNK, (i + 1) * CHUNK))

/** What everyone would write first. */
const plain = (chunks: ReadonlyArray<Uint8Array>): number => {
  const decoder = new TextDecoder()
  let rest = ""
  let count = 0
  for (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n")
    rest = lines.pop() ?? ""
    const values = lines.map((line): unknown => JSON.parse(line))
    count += values.length
  }
  return count
}

const ours = (chunks: ReadonlyArray<Uint8Array>): number => {
  const decoder = new ClaudeDecoder()
  let count = 0
  for (const chunk of chunks) count += decoder.push(chunk).length
  const { broken, overlong, unknown } = decoder.unreadable
  if (broken + overlong + unknown > 0) throw new Error("the bench feeds lines that do not decode")
  return count + decoder.passedOver
}

const median = (values: ReadonlyArray<number>) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
const round = (value: number, digits = 0) => Number(value.toFixed(digits))

const measure = (bytes: Uint8Array) => {
  const chunks = chunksOf(bytes)
  const lines = plain(chunks)
  if (ours(chunks) !== lines) throw new Error("both must see the same lines")
  const seconds = { plain: [] as Array<number>, decoder: [] as Array<number> }
  for (let i = 0; i < ROUNDS * 2; i++) {
    // Which of the two comes first changes from pair to pair.
    const name = (i + (i >> 1)) % 2 === 0 ? "plain" : "decoder"
    const begin = performance.now()
    name === "plain" ? plain(chunks) : ours(chunks)
    seconds[name].push((performance.now() - begin) / 1000)
  }
  const rate = (values: ReadonlyArray<number>) => ({
    megabytesPerSecond: round(bytes.length / median(values) / 1e6),
    linesPerSecond: round(lines / median(values))
  })
  return {
    meanLine: round(bytes.length / lines),
    plain: rate(seconds.plain),
    decoder: rate(seconds.decoder),
    ratio: round(median(seconds.plain) / median(seconds.decoder), 3)
  }
}

console.log(
  JSON.stringify({
    bench: "decoder",
    rounds: ROUNDS,
    chunk: CHUNK,
    deltas: measure(filled([textDelta])),
    mixed: measure(filled([textDelta, inputDelta, assistant, textDelta, toolUse, toolResult, status])),
    recorded: measure(recorded())
  })
)
