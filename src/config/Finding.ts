/**
 * A mistake as it is found: at a path, not yet in words for a person. Here it gets its place, its line and the variable
 * that it came from. What was found is shown as it is written, but never where a secret may be.
 */
import { distance } from "fastest-levenshtein"
import { SECRETS } from "../transport/TransportSettings.ts"
import type { Mistake } from "./ConfigError.ts"
import { type Path, placeOf, printable, visible } from "./Place.ts"

export interface Finding {
  readonly path: Path
  readonly expected: string
  readonly found?: string
  readonly suggestion?: string
}

/** Nobody reads more, and a file of nonsense has millions. */
export const MAX_TOLD = 1000

const LONGEST = 60

const kindOf = (value: unknown): string =>
  value === null
    ? "null"
    : Array.isArray(value)
      ? value.length === 0
        ? "[]"
        : "an array"
      : typeof value === "object"
        ? Object.keys(value).length === 0
          ? "{}"
          : "an object"
        : typeof value === "string"
          ? "text"
          : typeof value === "number"
            ? "a number"
            : `a ${typeof value}`

/** A secret that is in the wrong shape is still a secret, and so is all that it is part of. In addresses some write a password. */
const mayBeSecret = ([first, second]: Path): boolean =>
  first === undefined ||
  (first === "claude" && (second === undefined || second === "env")) ||
  (first === "transport" &&
    (second === undefined || second === "servers" || SECRETS.some(([setting]) => setting === second)))

/** How many steps of a path lead to the secret that it is in; undefined where it is in none. */
export const secretDepth = (path: Path): number | undefined => {
  const [first, ...rest] = path
  if (first === "claude" && rest[0] === "env") return 3
  if (first !== "transport") return undefined
  const within = SECRETS.find((steps) => steps.every((step, index) => step === rest[index]))
  return within === undefined ? undefined : within.length + 1
}

/** As it is written in the file, in at most 60 characters; only the kind of what holds more, or may be secret. */
export const shown = (value: unknown, path: Path): string | undefined => {
  if (value === undefined) return undefined
  if (mayBeSecret(path) || typeof value === "object") return kindOf(value)
  const text = visible(typeof value === "string" ? JSON.stringify(value) : String(value))
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`
}

/** Of more words than these the first are looked at: a suggestion is a courtesy, for which nobody waits. */
const MAX_WORDS = 1000

/** The nearest of some words, where it is near enough to have been meant. */
export const nearest = (word: string, words: ReadonlyArray<string>): string | undefined => {
  const furthest = word.length < 3 ? 1 : Math.max(2, Math.floor(word.length / 3))
  let best: readonly [number, string] | undefined
  for (const each of words.slice(0, MAX_WORDS)) {
    if (word === "" || Math.abs(word.length - each.length) > furthest) continue
    const far = distance(word.toLowerCase(), each.toLowerCase())
    if (far <= furthest && (best === undefined || far < best[0])) best = [far, each]
  }
  return best?.[1]
}

export const didYouMean = (meant: string | undefined): { readonly suggestion?: string } =>
  meant === undefined ? {} : { suggestion: `did you mean "${printable(meant)}"?` }

export interface Position {
  readonly line: number
  readonly column: number
}

/** A place as the key of a Map. */
export const keyOf = (path: Path): string => JSON.stringify(path)

/**
 * In words: a mistake in a value that a variable has set is the variable's; any other has the line of its place, or of
 * the nearest place around it that is in the file.
 */
export const placed = (
  findings: ReadonlyArray<Finding>,
  sources: ReadonlyMap<string, string>,
  locate: (path: Path) => Position | undefined
): ReadonlyArray<Mistake> => {
  const unique = new Map(findings.map((each) => [`${keyOf(each.path)} ${each.expected}`, each]))
  const told = [...unique.values()].slice(0, MAX_TOLD).map(({ path, ...rest }): Mistake => {
    const at = placeOf(path)
    const variable = sourceOf(path, sources)
    return variable === undefined ? { at, ...rest, ...locate(path) } : { at: `${printable(variable)} (${at})`, ...rest }
  })
  return unique.size > MAX_TOLD ? [...told, { at: "(file)", expected: "there are more mistakes than these" }] : told
}

const sourceOf = (path: Path, sources: ReadonlyMap<string, string>): string | undefined => {
  if (sources.size === 0) return undefined
  for (let length = path.length; length > 0; length--) {
    const variable = sources.get(keyOf(path.slice(0, length)))
    if (variable !== undefined) return variable
  }
  return undefined
}
