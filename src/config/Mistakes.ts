/**
 * From the schema's issues to findings. A key that is not known gets the nearest known one as a suggestion, a quantity
 * without its unit the way to write it.
 */
import { Schema, SchemaIssue } from "effect"
import { rewritten } from "../domain/Quantity.ts"
import { ConfigFile } from "./Config.ts"
import { didYouMean, type Finding, keyOf, MAX_TOLD, nearest, secretDepth, shown } from "./Finding.ts"
import { type Path, valueAt } from "./Place.ts"
import { keysAt, wordsAt, wouldTake } from "./Wanted.ts"

export const decode = Schema.decodeUnknownResult(ConfigFile, { errors: "all", onExcessProperty: "error" })

/** One leaf: its kind and what was expected, as JSON in the place of a message. */
interface Leaf {
  readonly kind: string
  readonly expected: string
}

const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => JSON.stringify({ kind: issue._tag, expected: SchemaIssue.defaultLeafHook(issue) }),
  checkHook: (issue) =>
    JSON.stringify({
      kind: "Check",
      expected:
        SchemaIssue.defaultCheckHook(issue) ?? `expected ${issue.filter.annotations?.expected ?? "another value"}`
    })
})

/** Some messages do not come through the hooks: those that a schema gives for a whole union or transformation. */
const leafOf = (message: string): Leaf =>
  message.startsWith('{"kind":') ? JSON.parse(message) : { kind: "Check", expected: message }

const kinds: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  boolean: "true or false",
  object: "an object",
  array: "an array"
}

const tidy = (expected: string): string => {
  const plain = expected
    .replace(/^E/, "e")
    .replace(/^(expected )(\w+)$/, (all, verb, kind) => (kinds[kind] === undefined ? all : `${verb}${kinds[kind]}`))
  return plain.includes('" | "') ? plain.replace("expected ", "expected one of ").replaceAll(" | ", ", ") : plain
}

/** Every mistake that the schema finds, one for a place: a union reports each of its members, a field each of its checks. */
export const findingsOf = (issue: SchemaIssue.Issue, root: unknown): ReadonlyArray<Finding> => {
  const found = new Map<string, Finding>()
  for (const { message, path = [] } of format(issue).issues) {
    const steps = path.map((step) => (typeof step === "object" ? step.key : step))
    const leaf = leafOf(message)
    const depth = secretDepth(steps)
    const finding = depth === undefined ? findingAt(steps, leaf, root) : ofSecret(steps, depth, leaf, root)
    const key = keyOf(finding.path)
    if (!found.has(key)) found.set(key, finding)
    if (found.size > MAX_TOLD) break
  }
  return [...found.values()]
}

const SECRET = 'expected text, { "env": "NAME" } or { "file": "path" }'

/** A broken reference is one mistake, not one for each thing that it might have been; and its value is never shown. */
const ofSecret = (path: Path, depth: number, { expected, kind }: Leaf, root: unknown): Finding =>
  path.length <= depth
    ? { path, expected: tidy(expected), ...foundAt(root, path) }
    : {
        path: path.slice(0, depth),
        expected: SECRET,
        ...(kind === "UnexpectedKey" ? didYouMean(misspelt(String(path[depth]), ["env", "file"])) : {})
      }

const foundAt = (root: unknown, path: Path): { readonly found?: string } => {
  const found = shown(valueAt(root, path), path)
  return found === undefined ? {} : { found }
}

const misspelt = (key: string, keys: ReadonlyArray<string>) => (keys.includes(key) ? undefined : nearest(key, keys))

const findingAt = (path: Path, { expected, kind }: Leaf, root: unknown): Finding => {
  if (kind === "UnexpectedKey") {
    const key = String(path.at(-1))
    const keys = keysAt(path.slice(0, -1), root)
    const meant = misspelt(key, keys)
    return {
      path,
      expected: "there is no such key",
      ...(meant === undefined ? { suggestion: `known here: ${keys.join(", ")}` } : didYouMean(meant))
    }
  }
  const value = valueAt(root, path)
  if (kind === "MissingKey" || value === undefined) return { path, expected: "is missing" }
  // Which of several objects it is, is said by a word in it: then that word is wrong, or missing.
  const choice = /^Expected (?:string \| )?\{/.test(expected) ? wordsAt(path, root) : undefined
  if (choice !== undefined) {
    const here = [...path, choice.key]
    const word = valueAt(value, [choice.key])
    return {
      path: typeof value === "object" ? here : path,
      expected: `expected ${typeof value === "object" ? "" : `${expected.includes("string |") ? "text, or " : ""}an object whose "${choice.key}" is `}one of ${choice.words.map((each) => JSON.stringify(each)).join(", ")}`,
      ...foundAt(root, typeof value === "object" ? here : path),
      ...didYouMean(typeof word === "string" ? nearest(word, choice.words) : undefined)
    }
  }
  const quantity = rewritten(expected, value)
  // It may be out of bounds.
  const write = quantity !== undefined && wouldTake(path, root, quantity) ? quantity : undefined
  const words = typeof value === "string" ? [...expected.matchAll(/"([\w-]+)"/g)].map((match) => match[1] ?? "") : []
  return {
    path,
    expected: tidy(expected),
    // What an object or an array has wrong within it, it does not show by being one.
    ...(kind === "Check" && typeof value === "object" && Object.keys(value ?? {}).length > 0
      ? {}
      : foundAt(root, path)),
    ...(write !== undefined
      ? { suggestion: `write "${write}"` }
      : didYouMean(words.length > 1 ? nearest(String(value), words) : undefined))
  }
}
