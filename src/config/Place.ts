/** A place in the config file, and what stands there. */

export type Path = ReadonlyArray<PropertyKey>

const isIndex = (step: PropertyKey) => typeof step === "number" || /^\d+$/.test(String(step))

/** `agents[1].limits.taskTime`; `(file)` for the whole. */
export const placeOf = (path: Path): string =>
  path
    .map((step) => (isIndex(step) ? `[${String(step)}]` : `.${String(step)}`))
    .join("")
    .replace(/^\./, "") || "(file)"

/** The value at a place, or undefined. */
export const valueAt = (root: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (value, step) =>
      typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[step] : undefined,
    root
  )
