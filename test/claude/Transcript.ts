/** The recorded CLIs in test/fixtures/transcripts, raw stdout and duplex recordings alike. */
import { readdirSync, readFileSync } from "node:fs"

const folder = new URL("../fixtures/transcripts/", import.meta.url)

export interface Transcript {
  readonly file: string
  /** Lines as the CLI printed them. */
  readonly stdout: ReadonlyArray<string>
  readonly stderr: string
  /** What the CLI was sent. */
  readonly stdin: ReadonlyArray<unknown>
}

export const files: ReadonlyArray<string> = readdirSync(folder)
  .filter((name) => name.endsWith(".jsonl"))
  .map((name) => name.slice(0, -".jsonl".length))
  .sort()

export const read = (file: string): Transcript => {
  const stdout: Array<string> = []
  const stdin: Array<unknown> = []
  let stderr = ""
  for (const line of readFileSync(new URL(`${file}.jsonl`, folder), "utf8").split("\n")) {
    if (line === "") continue
    const value = JSON.parse(line)
    if (value.dir === undefined) stdout.push(line)
    else if (value.dir === "stdout") stdout.push(JSON.stringify(value.msg))
    else if (value.dir === "stdin") stdin.push(value.msg)
    else stderr += value.msg
  }
  return { file, stdout, stderr, stdin }
}

const encoder = new TextEncoder()

export const bytesOf = (lines: ReadonlyArray<string>): Uint8Array =>
  encoder.encode(lines.map((line) => `${line}\n`).join(""))

/** Cuts bytes at these places, in any order and however often. */
export const cut = (bytes: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const borders = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return borders.slice(1).map((end, i) => bytes.subarray(borders[i], end))
}
