/**
 * Environment variables that change the config: `MISTER_SMITH__SUPERVISION__MAX_RESTARTS=5` is `supervision.maxRestarts`,
 * `MISTER_SMITH__AGENTS__0__MODEL` is `agents[0].model`. Case does not matter; a single underscore within a key stands for
 * its next capital. A value is read as JSON where it is JSON of another kind than text and the key does not want text.
 */
import type { Mistake } from "./ConfigError.ts"
import { keysAt, nearest, wantsText } from "./Mistakes.ts"
import { type Path, placeOf } from "./Place.ts"

export const PREFIX = "MISTER_SMITH__"

type Environment = Readonly<Record<string, string | undefined>>

export interface Overridden {
  readonly root: unknown
  /** The variable behind each place that was changed. */
  readonly sources: ReadonlyMap<string, string>
  readonly mistakes: ReadonlyArray<Mistake>
}

type Json = Record<string, unknown>
const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const isOverride = (name: string) => name.toUpperCase().startsWith(PREFIX)

export const withoutOverrides = (env: Environment): Environment =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !isOverride(name)))

/** Applies all variables, in the order of their names, to a copy. */
export const override = (root: unknown, env: Environment): Overridden => {
  const names = Object.keys(env).filter(isOverride).sort()
  if (names.length === 0 || !isObject(root)) return { root, sources: new Map(), mistakes: [] }
  const copy = structuredClone(root)
  const sources = new Map<string, string>()
  const mistakes: Array<Mistake> = []
  for (const name of names) {
    const outcome = resolve(name.slice(PREFIX.length).split("__"))
    if ("unknown" in outcome) {
      const meant = nearest(outcome.unknown, outcome.keys)
      mistakes.push({
        at: name,
        expected: `${placeOf(outcome.path)} has no key like ${outcome.unknown}`,
        suggestion:
          meant === undefined
            ? `known there: ${outcome.keys.join(", ")}`
            : `did you mean ${[PREFIX.slice(0, -2), ...outcome.path.map(String), meant].map(screaming).join("__")}?`
      })
    } else {
      const text = env[name] ?? ""
      set(copy, outcome.path, wantsText(outcome.path) ? text : valueOf(text))
      sources.set(placeOf(outcome.path), name)
    }
  }
  return { root: copy, sources, mistakes }
}

const screaming = (key: string) => key.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase()

type Resolution =
  | { readonly path: Path }
  | { readonly path: Path; readonly unknown: string; readonly keys: ReadonlyArray<string> }

const resolve = (segments: ReadonlyArray<string>): Resolution => {
  const path: Array<PropertyKey> = []
  for (const segment of segments) {
    if (/^\d{1,5}$/.test(segment)) {
      path.push(Number(segment))
      continue
    }
    const keys = keysAt(path)
    const plain = segment.replaceAll("_", "").toLowerCase()
    const key = keys.find((each) => each.toLowerCase() === plain)
    // The names of variables under claude.env are the user's own.
    if (key === undefined && path.join(".") === "claude.env") path.push(segment)
    else if (key === undefined) return { path, unknown: segment, keys }
    else path.push(key)
  }
  return { path }
}

/** Text, unless it is JSON for something else. Whether that fits is said by the schema. */
const valueOf = (text: string): unknown => {
  if (!/^(-?\d|true$|false$|null$|[[{"])/.test(text)) return text
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}

const set = (root: Json, path: Path, value: unknown): void => {
  let at: unknown = root
  for (const [index, step] of path.slice(0, -1).entries()) {
    const here = at as Record<PropertyKey, unknown>
    const existing = here[step]
    const next =
      typeof existing === "object" && existing !== null ? existing : typeof path[index + 1] === "number" ? [] : {}
    here[step] = next
    at = next
  }
  const last = path.at(-1)
  if (last !== undefined) (at as Record<PropertyKey, unknown>)[last] = value
}
