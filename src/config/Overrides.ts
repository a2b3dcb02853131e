/**
 * Environment variables that change the config: `MISTER_SMITH__SUPERVISION__MAX_RESTARTS=5` is `supervision.maxRestarts`,
 * `MISTER_SMITH__AGENTS__0__MODEL` is `agents[0].model`. Case does not matter; a single underscore within a key stands for
 * its next capital. The schema says how a value is read: as text, as a number, or as JSON for what holds more.
 */
import { SchemaAST } from "effect"
import type { Mistake } from "./ConfigError.ts"
import { keyOf, nearest } from "./Finding.ts"
import { type Path, placeOf, printable, valueAt } from "./Place.ts"
import { isOpen, keysAt, wantedAt } from "./Wanted.ts"

export const PREFIX = "MISTER_SMITH__"

type Environment = Readonly<Record<string, string | undefined>>

export interface Overridden {
  readonly root: unknown
  /** The variable behind each place that was changed or made. */
  readonly sources: ReadonlyMap<string, string>
  readonly mistakes: ReadonlyArray<Mistake>
}

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isOverride = (name: string) => name.toUpperCase().startsWith(PREFIX)

export const withoutOverrides = (env: Environment): Environment =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !isOverride(name)))

/** Applies all variables to a copy: the whole before its parts, the entries of a list in their order. */
export const override = (root: unknown, env: Environment): Overridden => {
  const names = Object.keys(env).filter((name) => isOverride(name) && env[name] !== undefined)
  const sources = new Map<string, string>()
  const mistakes: Array<Mistake> = []
  if (names.length === 0 || !isObject(root)) return { root, sources, mistakes }
  const found: Array<{ readonly name: string; readonly path: Path }> = []
  for (const name of names.sort()) {
    const { path, unknown } = resolve(name.slice(PREFIX.length).split("__"), root)
    if (unknown === undefined) found.push({ name, path })
    else mistakes.push(unknownKey(name, path, unknown, root))
  }
  let changed: unknown = root
  for (const { name, path } of found.sort((a, b) => inOrder(a.path, b.path))) {
    const other = sources.get(keyOf(path))
    const outcome =
      other === undefined ? put(changed, path, env[name] ?? "") : `${placeOf(path)} is set by ${other} too`
    if (typeof outcome === "string") mistakes.push({ at: printable(name), expected: outcome })
    else {
      changed = outcome.root
      for (const made of outcome.made) sources.set(keyOf(made), name)
    }
  }
  return { root: changed, sources, mistakes }
}

const inOrder = (a: Path, b: Path): number => {
  const at = a.findIndex((step, index) => step !== b[index])
  const [x, y] = [a[at], b[at]]
  if (at === -1 || y === undefined) return at === -1 ? a.length - b.length : 1
  if (typeof x === "number" && typeof y === "number") return x - y
  return String(x) < String(y) ? -1 : 1
}

const screaming = (key: PropertyKey) =>
  String(key)
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toUpperCase()

const unknownKey = (name: string, path: Path, segment: string, root: unknown): Mistake => {
  const keys = keysAt(path, root)
  const meant = nearest(segment.replaceAll("_", ""), keys)
  const place = placeOf(path)
  return keys.length === 0
    ? { at: printable(name), expected: `there is nothing within ${place} that "${printable(segment)}" could name` }
    : {
        at: printable(name),
        expected: `${place} has no key like "${printable(segment)}"`,
        suggestion:
          meant === undefined
            ? `known there: ${keys.join(", ")}`
            : `did you mean ${[PREFIX.slice(0, -2), ...path, meant].map(screaming).join("__")}?`
      }
}

/** The place that a name means, or as much of it as there is and the first segment that leads nowhere. */
const resolve = (
  segments: ReadonlyArray<string>,
  root: unknown
): { readonly path: Path; readonly unknown?: string } => {
  const path: Array<PropertyKey> = []
  for (const [index, segment] of segments.entries()) {
    const wanted = wantedAt(path, root)
    const plain = segment.replaceAll("_", "").toLowerCase()
    const key = keysAt(path, root).find((each) => each.toLowerCase() === plain)
    if (key !== undefined) path.push(key)
    else if (wanted.some(SchemaAST.isArrays) && /^\d{1,5}$/.test(segment)) path.push(Number(segment))
    // The user's own keys are taken as they are, underscores and all.
    else if (wanted.some(isOpen) && segments.slice(index).join("__") !== "")
      return { path: [...path, segments.slice(index).join("__")] }
    else return { path, unknown: segment }
  }
  return { path }
}

/** Nothing where the text is not what the place wants and cannot be shown to the schema either. */
const valueOf = (text: string, path: Path, root: unknown): { readonly value: unknown } | undefined => {
  const wanted = wantedAt(path, root)
  const json = () => {
    try {
      return { value: JSON.parse(text) as unknown }
    } catch {
      return undefined
    }
  }
  if (wanted.some((ast) => SchemaAST.isString(ast) || (SchemaAST.isLiteral(ast) && typeof ast.literal === "string"))) {
    // A secret is text even if it looks like a number; only what is a reference and nothing else is taken for one.
    const keys = keysAt(path, root)
    const reference = keys.length > 0 && text.startsWith("{") ? json() : undefined
    const isReference = isObject(reference?.value) && Object.keys(reference.value).some((key) => keys.includes(key))
    return isReference ? reference : { value: text }
  }
  if (wanted.some((ast) => SchemaAST.isArrays(ast) || SchemaAST.isObjects(ast))) return json()
  return json() ?? { value: text }
}

/** The changed copy and the places that are new in it, or why that cannot be. */
const put = (
  root: unknown,
  path: Path,
  text: string
): { readonly root: unknown; readonly made: ReadonlyArray<Path> } | string => {
  const read = valueOf(text, path, root)
  if (read === undefined) {
    const isList = wantedAt(path, root).some(SchemaAST.isArrays)
    return `expected ${isList ? 'an array in JSON, such as ["a", "b"]' : 'an object in JSON, such as {"key": "value"}'}`
  }
  const made: Array<Path> = [path]
  let gap: string | undefined
  const within = (here: unknown, depth: number): unknown => {
    const step = path[depth]
    if (step === undefined) return read.value
    if (here === undefined) made.push(path.slice(0, depth))
    const container = here ?? (typeof step === "number" ? [] : {})
    if (typeof step === "number" && Array.isArray(container)) {
      if (step > container.length)
        gap = `${placeOf(path.slice(0, depth))} has ${container.length === 1 ? "1 entry" : `${container.length} entries`}, so the next is number ${container.length}`
      return gap === undefined
        ? Object.assign([...container], { [step]: within(container[step], depth + 1) })
        : container
    }
    // Where something else stands, it stays: the schema will say what is wrong with it.
    if (typeof step === "number" || !isObject(container)) return container
    return { ...container, [step]: within(valueAt(container, [step]), depth + 1) }
  }
  const changed = within(root, 0)
  return gap ?? { root: changed, made }
}
