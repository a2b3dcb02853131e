/**
 * Strict JSON with places. The engine's own parser reads it; the one that knows lines and columns (jsonc-parser) is loaded
 * only when something is wrong, because most files are fine and it costs a tenth of `check`.
 */
import { Effect } from "effect"
import type { Node, ParseError } from "jsonc-parser"
import type { Finding, Position } from "./Finding.ts"
import type { Path } from "./Place.ts"

/** Deeper than anybody writes; any recursion over the value is safe. */
export const MAX_DEPTH = 200

export interface Parsed {
  readonly value: unknown
  /** Every key that stands twice; the value has the last. */
  readonly doubles: Effect.Effect<ReadonlyArray<Finding>>
  /** Where a key stands, or what is nearest to it from above. */
  readonly locate: Effect.Effect<(path: Path) => Position | undefined>
}

export interface NotJson extends Position {
  readonly expected: string
}

/** The value, or where the text stops being JSON. */
export const parse = Effect.fnUntraced(function* (text: string): Effect.fn.Return<Parsed, NotJson> {
  const { depth, keys } = survey(text)
  if (depth > MAX_DEPTH)
    return yield* Effect.fail({ expected: `expected at most ${MAX_DEPTH} levels`, line: 1, column: 1 })
  const parsed = yield* Effect.option(Effect.try(() => JSON.parse(text) as unknown))
  if (parsed._tag === "None") return yield* Effect.fail(yield* syntaxError(text))
  const { value } = parsed
  return {
    value,
    doubles: keys === keysOf(value) ? Effect.succeed([]) : doublesIn(text),
    locate: locateIn(text)
  }
})

/** In one pass: how deep it goes, and how many keys are written. A string ends with its line, as it does for all parsers. */
const survey = (text: string): { readonly depth: number; readonly keys: number } => {
  let [depth, deepest, keys, inString] = [0, 0, 0, false]
  for (let index = 0; index < text.length; index++) {
    const char = text.charCodeAt(index)
    if (inString) {
      if (char === BACKSLASH) index++
      else if (char === QUOTE || char === NEWLINE) inString = false
    } else if (char === QUOTE) inString = true
    else if (char === COLON) keys++
    else if (char === OPEN_LIST || char === OPEN_OBJECT) deepest = Math.max(deepest, ++depth)
    else if (char === CLOSE_LIST || char === CLOSE_OBJECT) depth--
  }
  return { depth: deepest, keys }
}

const [QUOTE, BACKSLASH, NEWLINE, COLON] = [0x22, 0x5c, 0x0a, 0x3a]
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d]

/** Keys as read: fewer where one stands twice. */
const keysOf = (value: unknown): number => {
  if (typeof value !== "object" || value === null) return 0
  const children = Object.values(value)
  return children.reduce<number>((sum, child) => sum + keysOf(child), Array.isArray(value) ? 0 : children.length)
}

const library = Effect.promise(() => import("jsonc-parser"))
const strict = { disallowComments: true, allowTrailingComma: false, allowEmptyContent: false }

/** Lines and columns of offsets, both from 1. */
const positions = (text: string): ((offset: number) => Position) => {
  const starts = [0]
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1)
  return (offset) => {
    let [low, high] = [0, starts.length]
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 }
  }
}

const syntaxError = Effect.fnUntraced(function* (text: string) {
  const { parseTree, printParseErrorCode } = yield* library
  const errors: Array<ParseError> = []
  // In text that is no JSON, what looks like levels to us may not to the parser, and there may be too many for it.
  yield* Effect.ignore(Effect.try(() => parseTree(text, errors, strict)))
  const [first] = errors
  const words = first === undefined ? "" : printParseErrorCode(first.error).replace(/([a-z])([A-Z])/g, "$1 $2")
  return {
    expected: words === "" ? "expected JSON" : `expected JSON (${words.toLowerCase()})`,
    ...positions(text)(first?.offset ?? 0)
  }
})

const doublesIn = Effect.fnUntraced(function* (text: string) {
  const { parseTree } = yield* library
  const found: Array<Finding> = []
  const visit = (node: Node, path: Path) => {
    const keys = new Set<unknown>()
    for (const [index, child] of (node.children ?? []).entries()) {
      if (node.type === "array") visit(child, [...path, index])
      const [key, value] = child.children ?? []
      if (node.type !== "object" || key === undefined) continue
      const here = [...path, String(key.value)]
      if (keys.has(key.value)) found.push({ path: here, expected: "this key stands twice" })
      keys.add(key.value)
      if (value !== undefined) visit(value, here)
    }
  }
  const tree = parseTree(text, [], strict)
  if (tree !== undefined) visit(tree, [])
  return found
})

const locateIn = Effect.fnUntraced(function* (text: string) {
  const { parseTree } = yield* library
  const tree = parseTree(text, [], strict)
  const position = positions(text)
  const known = new Map<Node, ReadonlyMap<unknown, Node>>()
  // Of a key that stands twice the last counts, as it does for the value.
  const propertiesOf = (node: Node): ReadonlyMap<unknown, Node> => {
    const found = known.get(node) ?? new Map((node.children ?? []).map((each) => [each.children?.[0]?.value, each]))
    known.set(node, found)
    return found
  }
  return (path: Path): Position | undefined => {
    let node = tree
    let offset = 0
    for (const step of path) {
      if (node === undefined) break
      const found: Node | undefined = typeof step === "number" ? node.children?.[step] : propertiesOf(node).get(step)
      if (found === undefined) break
      offset = found.offset
      node = typeof step === "number" ? found : found.children?.[1]
    }
    return offset === 0 ? undefined : position(offset)
  }
})
