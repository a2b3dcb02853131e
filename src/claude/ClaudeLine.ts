/**
 * A line of the CLI's stream-json as it may be kept: the same JSON on one line, without what is secret, never longer than
 * MAX_KEPT_LINE bytes.
 *
 * Left out are parts of messages (`stream_event`), which follow whole, the control protocol, by which the runtime and the
 * CLI speak of other things than the conversation, and what is no JSON object. A line that is too long keeps its shape:
 * its long texts are cut, and `cut` says how many bytes it had; where that does not do, its kind is all that is left.
 */
import { redactIn } from "../domain/Redaction.ts"

/** In bytes. */
export const MAX_KEPT_LINE = 60 * 1024
/** In characters: longer lines are not looked into. */
const MAX_LOOKED_INTO = 4 * 1024 * 1024
/** The longest texts that are tried within a line that is too long, in characters. */
const SHORTER = [4096, 256]
const MAX_WORD = 128

const LEFT_OUT = new Set([
  "stream_event",
  "control_request",
  "control_response",
  "control_cancel_request",
  "keep_alive"
])

/** The CLI writes the type first, so that most of what is left out need not be parsed. */
const BEGINNING = /^\s*\{"type":"(\w{1,64})"(?:,"subtype":"(\w{1,64})")?/

export const keptLine = (line: string): string | undefined => {
  const [, type, subtype] = BEGINNING.exec(line.slice(0, 256)) ?? []
  if (type !== undefined && LEFT_OUT.has(type)) return undefined
  if (line.length > MAX_LOOKED_INTO) return JSON.stringify({ type, subtype, cut: Buffer.byteLength(line) })
  const value = objectIn(line)
  if (value === undefined || LEFT_OUT.has(String(value["type"]))) return undefined
  // Within the values, not in the text: a mark over a quote would leave no JSON, and an escape before it hides a token.
  const told = redactIn(value)
  const text = JSON.stringify(told)
  const bytes = Buffer.byteLength(text)
  if (bytes <= MAX_KEPT_LINE) return text
  for (const most of SHORTER) {
    const shorter = JSON.stringify({ ...(cutIn(told, most) as object), cut: bytes })
    if (Buffer.byteLength(shorter) <= MAX_KEPT_LINE) return shorter
  }
  const word = (key: string) => (typeof told[key] === "string" ? told[key].slice(0, MAX_WORD) : undefined)
  return JSON.stringify({
    type: word("type"),
    subtype: word("subtype"),
    session_id: word("session_id"),
    uuid: word("uuid"),
    cut: bytes
  })
}

const objectIn = (line: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(line)
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

const cutIn = (value: unknown, most: number): unknown => {
  if (typeof value === "string") return value.length <= most ? value : `${value.slice(0, most)}…`
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map((each) => cutIn(each, most))
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, cutIn(each, most)]))
}
