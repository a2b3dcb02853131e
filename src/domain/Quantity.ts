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
const sizes = [
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"]
] as const

/** In the largest unit that leaves nothing over: 90000 is "90 seconds". */
const inUnits = (value: number, units: ReadonlyArray<readonly [number, string]>, smallest: string): string => {
  const [size, unit] = units.find(([size]) => value >= size && value % size === 0) ?? [1, smallest]
  const count = value / size
  return `${count} ${count === 1 && unit.endsWith("s") && unit !== "millis" ? unit.slice(0, -1) : unit}`
}

/** What both say where a text or something else is found. */
const expects = (expected: string) => ({ expected, message: `expected ${expected}` })

const fromText = <A>(expected: string, parse: (text: string) => Option.Option<A>, print: (value: A) => string) =>
  SchemaTransformation.transformEffect<A, string>({
    decode: (text, options) =>
      Option.match(parse(text), {
        onNone: () => Effect.fail(new SchemaIssue.InvalidValue(expects(expected), text, options)),
        onSome: Effect.succeed
      }),
    // What a program made may have no such text: without end, or less than nothing.
    encode: (value, options) => {
      const text = print(value)
      return Option.isSome(parse(text))
        ? Effect.succeed(text)
        : Effect.fail(new SchemaIssue.InvalidValue(expects(expected), value, options))
    }
  })

const DURATION = 'a duration such as "30 seconds" or "5 minutes"'
const SIZE = 'a size such as "512 MiB" or "2 GiB"'

/** A number and a word: for editors, which read patterns and know no units. */
const amount = (expected: string, examples: ReadonlyArray<string>) =>
  Schema.String.pipe(
    Schema.annotate({ ...expects(expected), examples }),
    Schema.check(Schema.isPattern(/^\s*\d+(\.\d+)?\s*[A-Za-z]+\s*$/, expects(expected)))
  )

/** Text such as "30 seconds" ↔ Duration. Finite, never negative; fractions are fine ("1.5 hours"). */
export const DurationFromString = amount(DURATION, ["30 seconds", "5 minutes", "1.5 hours"]).pipe(
  Schema.decodeTo(
    Schema.Duration,
    fromText(DURATION, parseDuration, (duration) => inUnits(Duration.toMillis(duration), times, "millis"))
  )
)

/** The same, but never nothing: for the time that something may take. */
export const PositiveDurationFromString = DurationFromString.pipe(
  Schema.check(
    Schema.makeFilter((time) => !Duration.isZero(time), { message: "expected a duration longer than nothing" })
  )
)

/** Text such as "2 GiB" ↔ a number of bytes. Units as in ByteSize: kB, MB, GB are powers of 1000, KiB, MiB, GiB of 1024. */
export const ByteSizeFromString = amount(SIZE, ["512 MiB", "2 GiB"]).pipe(
  Schema.decodeTo(
    Schema.Int,
    fromText(
      SIZE,
      (text) => Option.flatMap(ByteSize.fromString(text), ByteSize.toNumber),
      (bytes) => inUnits(bytes, sizes, "bytes")
    )
  )
)

const symbols = ["B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"]
const shorthands: Readonly<Record<string, string>> = { k: "KiB", m: "MiB", g: "GiB", t: "TiB" }

/** How something that is nearly a quantity is written, where what was meant can hardly be anything else. */
export const rewritten = (expected: string, found: unknown): string | undefined => {
  const [, count, word = ""] = /^\s*(\d{1,12}(?:\.\d{1,9})?)\s*([a-z]*)\s*$/i.exec(String(found)) ?? []
  if (count === undefined || typeof found === "object") return undefined
  if (expected.includes(DURATION) && word === "") return `${count} ${count === "1" ? "second" : "seconds"}`
  if (!expected.includes(SIZE)) return undefined
  if (word === "") return Number(count) < 1024 ? `${count} MiB` : inUnits(Math.round(Number(count)), sizes, "bytes")
  const unit = symbols.find((symbol) => symbol.toLowerCase() === word.toLowerCase()) ?? shorthands[word.toLowerCase()]
  return unit === undefined ? undefined : `${count} ${unit}`
}
