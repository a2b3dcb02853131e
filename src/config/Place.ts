/** A place in the config file, and what stands there. */

export type Path = ReadonlyArray<PropertyKey>

/** Nobody needs to read more of a key that should not be there. */
const LONGEST = 60

/** With nothing in it that moves the cursor, begins a line or turns the direction of writing: such is escaped as in JSON. */
export const visible = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (all) =>
    Array.from({ length: all.length }, (_, at) => `\\u${all.charCodeAt(at).toString(16).padStart(4, "0")}`).join("")
  )

/** As it may stand in a message: visible, and never very long. */
export const printable = (text: string): string => {
  const escaped = visible(JSON.stringify(text).slice(1, -1))
  return escaped.length <= LONGEST ? escaped : `${escaped.slice(0, LONGEST - 1)}…`
}

const step = (key: PropertyKey): string =>
  typeof key === "number"
    ? `[${key}]`
    : /^[A-Za-z_$][\w$-]{0,59}$/.test(String(key))
      ? `.${String(key)}`
      : `["${printable(String(key))}"]`

/** `agents[1].limits.taskTime`; `(file)` for the whole. */
export const placeOf = (path: Path): string => path.map(step).join("").replace(/^\./, "") || "(file)"

/** The value at a place, or undefined. */
export const valueAt = (root: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? (value as Record<PropertyKey, unknown>)[key]
        : undefined,
    root
  )
