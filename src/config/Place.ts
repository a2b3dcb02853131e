/** A place in the config file, and what stands there. */

export type Path = ReadonlyArray<PropertyKey>

/** Nobody needs to read more of a key that should not be there. */
const LONGEST = 60

/** As it may stand in a message: nothing that moves the cursor, and never very long. */
export const printable = (text: string): string => {
  const escaped = JSON.stringify(text).slice(1, -1)
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
