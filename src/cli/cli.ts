/**
 * The command tree. A command's own file is loaded when it is called, so that a command costs only what it uses.
 *
 * Promises: every way in which a command can end is an exit code of the table below, and what went wrong is a sentence
 * on stderr with a hint, never a stack trace for a user's mistake.
 */
import { Cause, Console, Effect, Exit, type FileSystem, Option, type Path } from "effect"
import { Argument, CliError, Command, Flag } from "effect/cli"
import { type Fault, isFault } from "../domain/Fault.ts"
import { VERSION } from "../domain/Version.ts"
import { TasksFailed } from "./CliFault.ts"

/** Exit codes. 130 and 143, for SIGINT and SIGTERM, are given by main.ts, which hears the signals. */
export const EXIT = { done: 0, failed: 1, usage: 2, unreachable: 3 } as const

const config = Argument.String("config").pipe(
  Argument.withDescription("The config file"),
  Argument.withDefault("mister-smith.json")
)
const json = Flag.Boolean("json").pipe(
  Flag.withDescription("Print one JSON object a line on stdout; logs go to stderr"),
  Flag.withDefault(false)
)

const run = Command.make(
  "run",
  {
    config,
    json,
    once: Flag.Boolean("once").pipe(
      Flag.withDescription("End when the tasks of the config are finished: 0 when all succeeded, 1 when one failed"),
      Flag.withDefault(false)
    )
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./run.ts")),
      ({ run }) => run(input)
    )
).pipe(
  Command.withDescription("Start the agents, perform the tasks of the config, and go on serving"),
  Command.withExamples([
    { command: "mister-smith run fleet.json", description: "Run until it is stopped" },
    { command: "mister-smith run fleet.json --once --json", description: "Run the tasks, print their results, exit" }
  ])
)

const check = Command.make("check", { config, json }, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./check.ts")),
    ({ check }) => check(input)
  )
).pipe(Command.withDescription("Say what is wrong with a config: every mistake with its place"))

const schema = Command.make("schema", {}, () =>
  Effect.flatMap(
    Effect.promise(() => import("./schema.ts")),
    ({ schema }) => schema
  )
).pipe(Command.withDescription("Print the JSON Schema of the config, for editors"))

const version = Command.make("version", {}, () => Console.log(VERSION)).pipe(
  Command.withDescription("Print the version")
)

const root = Command.make("mister-smith").pipe(
  Command.withDescription("Keeps a fleet of Claude CLI agents working"),
  Command.withSubcommands([run, check, schema, version])
)

type Platform = Command.Environment | FileSystem.FileSystem | Path.Path

/** Runs a command line and answers with the exit code. Fails only by being interrupted. */
export const main = (args: ReadonlyArray<string>): Effect.Effect<number, never, Platform> =>
  Command.runWith(root, { version: VERSION })(args).pipe(
    Effect.exit,
    Effect.flatMap((exit) => (Exit.isSuccess(exit) ? Effect.succeed(EXIT.done) : explain(exit.cause)))
  )

const explain = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>) {
  if (Cause.hasInterruptsOnly(cause)) return yield* Effect.interrupt
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  // The command line has printed its own mistakes and help already.
  if (CliError.isCliError(error)) return error._tag === "ShowHelp" && error.errors.length === 0 ? EXIT.done : EXIT.usage
  if (error instanceof TasksFailed) return EXIT.failed
  if (isFault(error)) {
    yield* Console.error(sentence(error))
    return error._tag === "ConfigInvalid" || error._tag === "ConfigUnreadable" ? EXIT.usage : EXIT.failed
  }
  // Ours, not the user's: the whole story, so that it can be reported.
  yield* Console.error(`internal error, please report it:\n${Cause.pretty(cause)}`)
  return EXIT.failed
})

const sentence = (fault: Fault) => (fault.hint === undefined ? fault.message : `${fault.message}\nhint: ${fault.hint}`)
