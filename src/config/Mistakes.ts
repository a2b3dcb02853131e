/**
 * From the schema's issues to sentences about places in the file. A key that is not known gets the nearest known one
 * as a suggestion; what was found is shown as it is written, but never under a place that holds secrets.
 */

import { Schema, SchemaAST, SchemaIssue } from "effect"
import { distance } from "fastest-levenshtein"
import { ConfigFile } from "./Config.ts"
import type { Mistake } from "./ConfigError.ts"
import { type Path, placeOf, valueAt } from "./Place.ts"

const LONGEST = 60

/** As it is written in the file, in at most 60 characters; nothing of what may be secret. */
export const shown = (value: unknown, path: Path): string | undefined => {
  if (value === undefined) return undefined
  if (path[0] === "claude" && path[1] === "env")
    return typeof value === "object" ? "something else" : `a ${typeof value}`
  const text = JSON.stringify(value)
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`
}

/** The nearest of some words, where it is near enough to have been meant. */
export const nearest = (word: string, words: ReadonlyArray<string>): string | undefined => {
  const ranked = words
    .map((each) => [distance(word.toLowerCase(), each.toLowerCase()), each] as const)
    .sort(([a], [b]) => a - b)
  const [first] = ranked
  return first !== undefined && first[0] <= Math.max(2, Math.floor(word.length / 3)) ? first[1] : undefined
}

/** Only where something is wrong or overridden; remembered by the library. */
const file = () => SchemaAST.toEncoded(ConfigFile.ast)

/** What the schema wants at a place of the file; undefined where it knows of no such place. */
const wantedAt = (path: Path): SchemaAST.AST | undefined => {
  let ast: SchemaAST.AST = file()
  for (const step of path) {
    if (SchemaAST.isArrays(ast) && ast.rest[0] !== undefined) ast = ast.rest[0]
    else if (SchemaAST.isObjects(ast)) {
      const property = ast.propertySignatures.find(({ name }) => name === step)
      if (property === undefined) return undefined
      ast = property.type
    } else return undefined
    // What may be left out is a union with undefined.
    if (SchemaAST.isUnion(ast)) ast = ast.types.find((type) => !SchemaAST.isUndefined(type)) ?? ast
  }
  return ast
}

/** The keys that an object at this place may have. */
export const keysAt = (path: Path): ReadonlyArray<string> => {
  const ast = wantedAt(path)
  return ast !== undefined && SchemaAST.isObjects(ast) ? ast.propertySignatures.map(({ name }) => String(name)) : []
}

export const wantsText = (path: Path): boolean => {
  const ast = wantedAt(path)
  return ast !== undefined && SchemaAST.isString(ast)
}

/** What the formatter hands us for one leaf: its kind and what was expected, as JSON in the place of a message. */
const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => JSON.stringify({ kind: issue._tag, expected: SchemaIssue.defaultLeafHook(issue) }),
  checkHook: (issue) =>
    JSON.stringify({ kind: "Check", expected: SchemaIssue.defaultCheckHook(issue) ?? "a valid value" })
})

const tidy = (expected: string): string =>
  expected
    .replace(/, (got|actual) .*$/s, "")
    .replace(/^Expected a string that will be decoded as a Duration$/, 'expected a duration such as "30 seconds"')
    .replace(/^E/, "e")
    .replaceAll(" | ", ", ")

export const decode = Schema.decodeUnknownResult(ConfigFile)

/** Every mistake that the schema finds. */
export const mistakesOf = (issue: SchemaIssue.Issue, root: unknown): ReadonlyArray<Mistake> => {
  const seen = new Map<string, Mistake>()
  for (const { message, path = [] } of format(issue).issues) {
    const steps = path.map((step) => (typeof step === "object" ? step.key : step))
    const at = placeOf(steps)
    const mistake = mistakeAt(at, steps, leafOf(message), root)
    // A union reports each of its members: one sentence for a place is enough.
    if (!seen.has(at)) seen.set(at, mistake)
  }
  return [...seen.values()]
}

/** Some messages do not come through the hooks: those that a schema gives for a whole union or transformation. */
const leafOf = (message: string): { readonly kind: string; readonly expected: string } =>
  message.startsWith('{"kind":') ? JSON.parse(message) : { kind: "Check", expected: message }

const mistakeAt = (
  at: string,
  path: Path,
  { expected, kind }: { readonly kind: string; readonly expected: string },
  root: unknown
): Mistake => {
  const parent = path.slice(0, -1)
  const key = String(path.at(-1))
  if (kind === "UnexpectedKey") {
    const keys = keysAt(parent)
    const meant = nearest(key, keys)
    return {
      at,
      expected: "there is no such key",
      suggestion: meant === undefined ? `known here: ${keys.join(", ")}` : `did you mean "${meant}"?`
    }
  }
  if (kind === "MissingKey") return { at, expected: "is missing" }
  const value = valueAt(root, path)
  const found = shown(value, path)
  const words = typeof value === "string" ? [...expected.matchAll(/"([\w-]+)"/g)].map((match) => match[1] ?? "") : []
  const meant = words.length > 1 ? nearest(String(value), words) : undefined
  return {
    at,
    expected: tidy(expected),
    ...(found === undefined ? {} : { found }),
    ...(meant === undefined ? {} : { suggestion: `did you mean "${meant}"?` })
  }
}
