/**
 * Strict JSON with places. The engine's own parser reads it; the one that knows lines and columns (jsonc-parser) is loaded
 * only when something is wrong, because most files are fine and it costs a tenth of `check`.
 */
import { Effect } from "effect"
import type { Node, ParseError } from "jsonc-parser"
import type { Mistake } from "./ConfigError.ts"
import { placeOf } from "./Place.ts"

export interface Parsed {
  readonly value: unknown
  /** The line of a place, such as `agents[0].id`; undefined for what is not in the file. */
  readonly lineOf: Effect.Effect<(at: string) => number | undefined>
}

/** The value, or where the text stops being JSON, or which keys stand twice. */
export const parse = Effect.fnUntraced(function* (text: string): Effect.fn.Return<Parsed, ReadonlyArray<Mistake>> {
  const parsed = yield* Effect.option(Effect.try(() => JSON.parse(text.replace(/^\uFEFF/, "")) as unknown))
  if (parsed._tag === "None") return yield* Effect.fail([yield* syntaxError(text)])
  if (keysIn(text) !== keysOf(parsed.value)) return yield* Effect.fail(yield* doubles(text))
  return { value: parsed.value, lineOf: lineOf(text) }
})

/** Keys as written: literals followed by a colon. */
const keysIn = (text: string): number => {
  let count = 0
  for (const [, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)) if (colon !== undefined) count++
  return count
}

/** Keys as read: fewer where one stands twice. */
const keysOf = (value: unknown): number => {
  if (typeof value !== "object" || value === null) return 0
  const children = Object.values(value)
  return children.reduce<number>((sum, child) => sum + keysOf(child), Array.isArray(value) ? 0 : children.length)
}

const library = Effect.promise(() => import("jsonc-parser"))
const strict = { disallowComments: true, allowTrailingComma: false, allowEmptyContent: false }

const position = (text: string, offset: number) => {
  const before = text.slice(0, offset).split("\n")
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }
}

const syntaxError = Effect.fnUntraced(function* (text: string) {
  const { parseTree, printParseErrorCode } = yield* library
  const errors: Array<ParseError> = []
  parseTree(text, errors, strict)
  const [first] = errors
  const at = position(text, first?.offset ?? 0)
  const words = first === undefined ? "nothing" : printParseErrorCode(first.error).replace(/([a-z])([A-Z])/g, "$1 $2")
  const mistake: Mistake = {
    at: `line ${at.line}, column ${at.column}`,
    expected: `expected JSON (${words.toLowerCase()})`
  }
  return mistake
})

/** Every key that stands twice, at its second place. */
const doubles = Effect.fnUntraced(function* (text: string) {
  const { parseTree } = yield* library
  const found: Array<Mistake> = []
  const visit = (node: Node, path: ReadonlyArray<string | number>) => {
    const keys = new Set<unknown>()
    for (const [index, child] of (node.children ?? []).entries()) {
      if (node.type === "array") visit(child, [...path, index])
      const [key, value] = child.children ?? []
      if (node.type !== "object" || key === undefined) continue
      const here = [...path, String(key.value)]
      if (keys.has(key.value))
        found.push({ at: placeOf(here), expected: "this key stands twice", ...position(text, key.offset) })
      keys.add(key.value)
      if (value !== undefined) visit(value, here)
    }
  }
  const tree = parseTree(text, [], strict)
  if (tree !== undefined) visit(tree, [])
  return found
})

const lineOf = Effect.fnUntraced(function* (text: string) {
  const { findNodeAtLocation, parseTree } = yield* library
  const tree = parseTree(text, [], strict)
  return (at: string): number | undefined => {
    const steps = at
      .split(/[.[\]]+/)
      .filter((step) => step !== "")
      .map((step) => (/^\d+$/.test(step) ? Number(step) : step))
    const node = tree === undefined ? undefined : findNodeAtLocation(tree, steps)
    return node === undefined ? undefined : position(text, node.offset).line
  }
})
