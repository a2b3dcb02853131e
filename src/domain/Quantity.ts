/** Quantities as people write them: "30 seconds", "2 GiB". A number without its unit is a mistake, never a guess. */
import { ByteSize, Duration, Effect, Option, Schema, SchemaIssue, SchemaTransformation } from "effect"

/** Words people use for units of time, as Duration knows them. */
// biome-ignore format: one unit a line
const units: Readonly<Record<string, string>> = {
  ms: "millis", milli: "millis", millis: "millis", millisecond: "millis", milliseconds: "millis",
  s: "seconds", sec: "seconds", secs: "seconds", second: "seconds", seconds: "seconds",
  m: "minutes", min: "minutes", mins: "minutes", minute: "minutes", minutes: "minutes",
  h: "hours", hour: "hours", hours: "hours",
  d: "days", day: "days", days: "days"
}

const parseDuration = (text: string): Option.Option<Duration.Duration> => {
  const [, count, word] = /^\s*(\d{1,12}(?:\.\d{1,9})?)\s*([a-z]+)\s*$/i.exec(text) ?? []
  const unit = units[word?.toLowerCase() ?? ""]
  return unit === undefined ? Option.none() : Duration.fromInput(`${count} ${unit}` as Duration.Input)
}

const times = [
  [3_600_000, "hours"],
  [60_000, "minutes"],
  [1_000, "seconds"]
] as const
const LONG = ["hours", "minutes"]
const sizes = [
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"]
] as const

/** In the largest unit that leaves nothing over; one minute or hour is better known as 60 of the smaller. */
const inUnits = (value: number, units: ReadonlyArray<readonly [number, string]>, smallest: string): string => {
  const [size, unit] = units.find(
    ([size, unit]) => value >= size * (LONG.includes(unit) ? 2 : 1) && value % size === 0
  ) ?? [1, smallest]
  const count = value / size
  return `${count} ${count === 1 && unit.endsWith("s") && unit !== "millis" ? unit.slice(0, -1) : unit}`
}

const DURATION = 'a duration such as "30 seconds" or "5 minutes"'
const SIZE = 'a size such as "512 MiB" or "2 GiB"'

/** For editors, which know patterns but no units: a number and a word. */
const PATTERN = "^\\s*\\d+(\\.\\d+)?\\s*[A-Za-z]+\\s*$"

/**
 * Text that `parse` understands. It is refused as text, before it is transformed: where a struct has a default, effect
 * looks at all that is written first, and a mistake there would hide one that only the transformation finds.
 */
const written = <A>(expected: string, examples: ReadonlyArray<string>, parse: (text: string) => Option.Option<A>) =>
  Schema.String.pipe(
    Schema.annotate({ expected, message: `expected ${expected}`, examples }),
    Schema.check(
      Schema.makeFilter((text: string) => Option.isSome(parse(text)), {
        message: `expected ${expected}`,
        toJsonSchema: () => [{ pattern: PATTERN }, true]
      })
    )
  )

/** What a program made may have no such text: without end, less than nothing. */
const transformation = <A>(
  expected: string,
  parse: (text: string) => Option.Option<A>,
  print: (value: A) => string
): SchemaTransformation.Transformation<A, string> => {
  const refuse = (value: unknown) =>
    Effect.fail(new SchemaIssue.InvalidValue({ message: `expected ${expected}` }, value))
  return SchemaTransformation.transformEffect<A, string>({
    decode: (text) => Option.match(parse(text), { onNone: () => refuse(text), onSome: Effect.succeed }),
    encode: (value) => {
      const text = print(value)
      return Option.isSome(parse(text)) ? Effect.succeed(text) : refuse(value)
    }
  })
}

const durations = (expected: string, parse: (text: string) => Option.Option<Duration.Duration>) =>
  written(expected, ["30 seconds", "5 minutes", "1.5 hours"], parse).pipe(
    Schema.decodeTo(
      Schema.Duration,
      transformation(expected, parse, (duration) => inUnits(Duration.toMillis(duration), times, "millis"))
    )
  )

const sizesOf = (expected: string, parse: (text: string) => Option.Option<number>) =>
  written(expected, ["512 MiB", "2 GiB"], parse).pipe(
    Schema.decodeTo(
      Schema.Int,
      transformation(expected, parse, (bytes) => inUnits(bytes, sizes, "bytes"))
    )
  )

/** Text such as "30 seconds" ↔ Duration. Finite, never negative; fractions are fine ("1.5 hours"). */
export const DurationFromString = durations(DURATION, parseDuration)

/** The same, but never nothing: for the time that something may take. */
export const PositiveDurationFromString = durations(`${DURATION}, longer than nothing`, (text) =>
  Option.filter(parseDuration(text), (duration) => !Duration.isZero(duration))
)

const parseSize = (text: string) => Option.flatMap(ByteSize.fromString(text), ByteSize.toNumber)

/** Text such as "2 GiB" ↔ a number of bytes. Units as in ByteSize: kB, MB, GB are powers of 1000, KiB, MiB, GiB of 1024. */
export const ByteSizeFromString = sizesOf(SIZE, parseSize)

/** The same, within bounds that are written the same way. */
export const byteSizeBetween = (least: string, most: string) => {
  const [from, to] = [least, most].map((text) => Option.getOrThrow(parseSize(text))) as [number, number]
  return sizesOf(`${SIZE}, from "${least}" to "${most}"`, (text) =>
    Option.filter(parseSize(text), (bytes) => bytes >= from && bytes <= to)
  )
}

const symbols = ["B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"]
const shorthands: Readonly<Record<string, string>> = { k: "KiB", m: "MiB", g: "GiB", t: "TiB" }

/** How something that is nearly a quantity is written, where what was meant can hardly be anything else. */
export const rewritten = (expected: string, found: unknown): string | undefined => {
  if (typeof found !== "string" && typeof found !== "number") return undefined
  const [, count, word = ""] = /^\s*(\d{1,12}(?:\.\d{1,9})?)\s*([a-z]*)\s*$/i.exec(String(found)) ?? []
  if (count === undefined || Number(count) === 0) return undefined
  const text = expected.includes(DURATION)
    ? word === ""
      ? `${count} ${count === "1" ? "second" : "seconds"}`
      : undefined
    : expected.includes(SIZE)
      ? sizeLike(count, word.toLowerCase())
      : undefined
  return text === found ? undefined : text
}

const sizeLike = (count: string, word: string): string | undefined => {
  if (word === "") return Number(count) < 1024 ? `${count} MiB` : inUnits(Math.round(Number(count)), sizes, "bytes")
  const unit = symbols.find((symbol) => symbol.toLowerCase() === word) ?? shorthands[word]
  return unit === undefined ? undefined : `${count} ${unit}`
}
