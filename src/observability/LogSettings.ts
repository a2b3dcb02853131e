/** What a person may set about logs, and what it is if they do not. */
import { Effect, type LogLevel, Schema } from "effect"
import { byteSizeBetween } from "../domain/Quantity.ts"
import { duration } from "../domain/Setting.ts"

/** The parts of the runtime that a level can be set for. */
export const MODULES = [
  "admin",
  "agent",
  "claude",
  "cli",
  "config",
  "event",
  "fleet",
  "health",
  "message",
  "observability",
  "process",
  "resource",
  "security",
  "state",
  "supervision",
  "task",
  "tool",
  "transport"
] as const
export type Module = (typeof MODULES)[number]

export const LEVELS = ["trace", "debug", "info", "warn", "error", "off"] as const
export type Level = (typeof LEVELS)[number]

const Level = Schema.Literals(LEVELS)

const modules = Object.fromEntries(
  MODULES.map((name) => [
    name,
    Schema.optionalKey(Level).annotateKey({ description: `The level of ${name}. Default: logs.level` })
  ])
) as Record<Module, Schema.optionalKey<typeof Level>>

export const LogSettings = Schema.Struct({
  level: Level.pipe(Schema.withDecodingDefaultKey(Effect.succeed("info" as const))).annotateKey({
    description: "The least that is logged: trace, debug, info, warn, error, or off. Default info"
  }),
  modules: Schema.Struct(modules)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))
    .annotateKey({ description: "Another level for a part of the runtime. Default none" }),
  file: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(true))).annotateKey({
    description: "Write files under logs in dataDir: runtime.log and agents/ID.log. Default true"
  }),
  stream: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(true))).annotateKey({
    description: "Also keep what each CLI prints on stdout, as agents/ID.stream.log, for logs --raw. Default true"
  }),
  format: Schema.Literals(["json", "logfmt"])
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("json" as const)))
    .annotateKey({ description: "How a line of runtime.log is written: json or logfmt. Default json" }),
  maxFile: byteSizeBetween("64 KiB", "1 GiB")
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("10 MiB" as const)))
    .annotateKey({ description: 'A file that would be larger is put aside and another begun. Default "10 MiB"' }),
  maxAge: duration(
    "7 days",
    "A file that was begun so long ago is put aside; one that was put aside so long ago is removed."
  ),
  maxTotal: byteSizeBetween("1 MiB", "1 TiB")
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("200 MiB" as const)))
    .annotateKey({
      description: 'What all files may be together; the oldest that were put aside go first. Default "200 MiB"'
    })
})
export type LogSettings = typeof LogSettings.Type

const names: Readonly<Record<Level, LogLevel.LogLevel>> = {
  trace: "Trace",
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  error: "Error",
  off: "None"
}

type Levels = Pick<LogSettings, "level" | "modules">

/** The least that any module logs: what is below it costs a comparison and nothing more. */
export const lowest = ({ level, modules }: Levels): LogLevel.LogLevel => {
  const used = new Set<Level>([level, ...Object.values(modules)])
  return names[LEVELS.find((each) => used.has(each)) ?? "off"]
}

const ORDER: ReadonlyArray<string> = ["All", "Trace", "Debug", "Info", "Warn", "Error", "Fatal"]

/** Is this to be logged? */
export const passes = ({ level, modules }: Levels, module: unknown, of: LogLevel.LogLevel): boolean => {
  const set = typeof module === "string" && Object.hasOwn(modules, module) ? modules[module as Module] : undefined
  const least = names[set ?? level]
  return least !== "None" && ORDER.indexOf(of) >= ORDER.indexOf(least)
}
