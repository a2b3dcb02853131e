/** Times as an operator reads them. */

const units: ReadonlyArray<readonly [number, string]> = [
  [3_600_000, "hour"],
  [60_000, "minute"],
  [1_000, "second"],
  [1, "millisecond"]
]

/** 90000 is "90 seconds", 120000 "2 minutes": the largest unit that leaves nothing over. */
export const inWords = (millis: number): string => {
  if (!Number.isFinite(millis)) return "any time"
  const whole = Math.round(millis)
  const [size, name] = units.find(([size]) => whole >= size && whole % size === 0) ?? [1, "millisecond"]
  const count = whole / size
  return `${count} ${name}${count === 1 ? "" : "s"}`
}

/** To the second, and after two minutes to the minute: nobody counts the milliseconds of what goes on. */
export const roughly = (millis: number): number => {
  const size = millis < 1_000 ? 1 : millis < 120_000 ? 1_000 : 60_000
  return Math.round(millis / size) * size
}
